package xsclient

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

// It is a first boot if nothing of a child's is there. That stays so, whatever is
// drawn and whenever the daemon starts, until somebody answers.
func TestFirstBoot(t *testing.T) {
	p := newPeer(t)
	journal, _ := rawJournal(t, 2, 1)
	ownerKey := func(cfg Config) {
		must(t, os.MkdirAll(cfg.Profile.Dir, 0o700))
		must(t, os.WriteFile(filepath.Join(cfg.Profile.Dir, "owner.key"), nil, 0o600))
	}
	entries := func(cfg Config) { must(t, os.CopyFS(cfg.Profile.Datastore(), os.DirFS(journal))) }
	for name, c := range map[string]struct {
		has   []func(Config)
		first bool
	}{
		"no profile":              {nil, true},
		"entries without a child": {[]func(Config){entries}, true},
		"a child without entries": {[]func(Config){ownerKey}, true},
		"an empty Journal": {[]func(Config){ownerKey, func(cfg Config) {
			must(t, os.MkdirAll(filepath.Join(cfg.Profile.Datastore(), "checksums/queue"), 0o700))
			must(t, os.WriteFile(filepath.Join(cfg.Profile.Datastore(), "version"), []byte("6"), 0o600))
		}}, true},
		"a child's laptop": {[]func(Config){ownerKey, entries}, false},
		"a damaged state": {[]func(Config){func(cfg Config) {
			must(t, os.MkdirAll(cfg.StateDir, 0o700))
			must(t, os.WriteFile(filepath.Join(cfg.StateDir, "state.json"), []byte("{"), 0o600))
		}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newcomer(t, p)
			for _, has := range c.has {
				has(cfg)
			}
			first := func(want bool) {
				t.Helper()
				next := client(t, cfg)
				must(t, next.Recover(t.Context()))
				if is := next.Status().State == StateFirstBoot; is != want {
					t.Errorf("first boot: %t", is)
				}
			}
			first(c.first)
			if !c.first {
				return
			}
			must(t, os.RemoveAll(cfg.Profile.Datastore()))
			ownerKey(cfg)
			entries(cfg)
			first(true)
			must(t, client(t, cfg).Dismiss(t.Context(), AnswerLater))
			must(t, os.RemoveAll(cfg.Profile.Dir))
			first(false)
		})
	}
}

// An offer makes a laptop one of which is to be asked whose it is, however it looks;
// but not where somebody has answered.
func TestOfferAsks(t *testing.T) {
	p := newPeer(t)
	p.says(wire.ClaimAnswer{Version: wire.Version, Backups: []wire.Claimable{{Account: "SHC1", Claim: wire.ClaimAutomatic}}})
	c := client(t, newcomer(t, p))
	for _, answer := range []string{"", AnswerLater, AnswerAfresh} {
		if answer != "" {
			must(t, c.Dismiss(t.Context(), answer))
		}
		_, err := c.FindBackups(t.Context())
		must(t, err)
		if first := c.Status().State == StateFirstBoot; first != (answer == "") || !c.state.get().Offered {
			t.Errorf("answered %q: %+v", answer, c.Status())
		}
	}
}

func TestDismissForNoReason(t *testing.T) {
	p := newPeer(t)
	p.lets()
	c := client(t, newcomer(t, p))
	must(t, c.Recover(t.Context()))
	before := c.stateOnDisk(t)
	for _, bad := range []string{"", "Later", "later ", "not me", "granted"} {
		wantCode(t, c.Dismiss(t.Context(), bad), InvalidArgument)
	}
	if after := c.stateOnDisk(t); after != before || len(p.asks()) != 0 {
		t.Errorf("%+v, asked %v", after, p.asks())
	}
}

// The state of a daemon of before, which knew nothing of claims.
func TestStateOfBefore(t *testing.T) {
	p := newPeer(t)
	cfg := laptop(t, p, "-t", "ed25519")
	must(t, os.MkdirAll(cfg.StateDir, 0o700))
	must(t, os.WriteFile(filepath.Join(cfg.StateDir, "state.json"), fmt.Appendf(nil, `{
	"version": 1,
	"account": "SHC1",
	"enrolled": true,
	"server": %q,
	"ssh": %q,
	"host_key": %q,
	"last_backup": 1795469405,
	"last_result": "60 entries are safe at school.",
	"entries": 60
}
`, p.http.URL, p.ssh.Addr(), hostKeyLine(p.hostKey.PublicKey())), 0o600))
	key, err := cfg.Profile.BackupKey(true)
	must(t, err)
	p.let("SHC1", string(key.PublicKey().Marshal()))
	c := client(t, cfg)
	must(t, c.Recover(t.Context()))
	if s := c.Status(); s.State != StateIdle || s.Account != "SHC1" || s.Entries != 60 || s.LastBackup == 0 || c.PendingClaim() {
		t.Errorf("%+v", s)
	}
	if _, err := c.ListSnapshots(t.Context()); err != nil {
		t.Error(err)
	}
}

// told checks what the school was told about the offer of a snapshot, since the
// last time.
func (s *school) told(t *testing.T, want ...wire.PinAnswer) {
	t.Helper()
	s.peer.set(func() {
		if fmt.Sprint(s.pins) != fmt.Sprint(want) {
			t.Errorf("told %v, not %v", s.pins, want)
		}
		s.pins = nil
	})
}

// catchesUp tells what is still to be told, as each backup does first.
func (p *pupil) catchesUp() {
	p.t.Helper()
	s, err := p.dial(p.t.Context())
	must(p.t, err)
	defer s.Close()
	must(p.t, p.catchUp(p.t.Context(), s))
}

// A snapshot that is kept until somebody answers is what comes back when nobody says
// which: the fullest, if there are several. That it is here, whole, is the answer.
func TestRestoreAnswersThePin(t *testing.T) {
	for name, opts := range map[string]RestoreOptions{"merge": {}, "replace": {Replace: true}} {
		t.Run(name, func(t *testing.T) {
			old, _ := rawJournal(t, 6, 1)
			s := newSchool(t, old)
			s.snap.Pinned = true
			small := wire.Snapshot{ID: "2026-11-24T21-30-05Z", Seq: 8, Time: 1795555805, Entries: 1, Account: "a"}
			lesser := small
			lesser.ID, lesser.Seq, lesser.Entries, lesser.Pinned = "2026-11-20T21-30-05Z", 5, 2, true
			s.snapshots = []wire.Snapshot{small, s.snap, lesser}
			p := newPupil(t, s, "")
			if opts.Replace {
				p.service.holding = func() {
					if pending, err := p.loadPending(); err != nil || !pending.Answers {
						t.Errorf("cut off now, it would be offered again: %+v, %v", pending, err)
					}
				}
			}
			_, err := p.Restore(t.Context(), opts, p.progress)
			must(t, err)
			p.holds(old)
			s.told(t, wire.PinAnswer{Snapshot: s.snap.ID, Answer: wire.PinRestored})
			p.catchesUp()
			s.told(t)
		})
	}
}

// What is not the offered one, or not whole, is no answer.
func TestRestoreThatAnswersNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, s *school, p *pupil, opts RestoreOptions, uids []string) {
		must(t, p.update(func(st *state) { st.Claimed = true }))
		newer := s.snap
		newer.ID, newer.Seq = "2026-11-24T21-30-05Z", 8
		s.snapshots = []wire.Snapshot{newer, s.snap}
		opts.Snapshot = s.snap.ID
		_, err := p.Restore(t.Context(), opts, p.progress)
		must(t, err)
		s.told(t)

		s.snapshots, s.snap.Pinned, opts.Snapshot = nil, true, ""
		list := s.entries() // as it was before the damage
		s.list = func(w io.Writer) {
			for _, e := range list {
				wire.WriteLine(w, e)
			}
		}
		must(t, os.Remove(s.file(uids[3], ".cjson")))
		must(t, os.RemoveAll(p.journal))
		result, err := p.Restore(t.Context(), opts, p.progress)
		if err != nil || !result.Partial {
			t.Errorf("%+v, %v", result, err)
		}
		s.told(t)
	})
}

// An answer that cannot be told is told later; another one takes its place.
func TestPinToldLater(t *testing.T) {
	old, _ := rawJournal(t, 3, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, "")
	away := func(is bool) { s.peer.set(func() { s.accept = func(net.Conn) bool { return !is } }) }
	next := func() { p.Client = client(t, p.cfg) } // the next daemon
	dismissed := wire.PinAnswer{Answer: wire.PinDismissed}

	// In an account of its own "not-me" says the same: what is offered is not mine.
	for _, answer := range []string{AnswerAfresh, AnswerNotMe} {
		away(true)
		must(t, p.Dismiss(t.Context(), answer))
		next()
		away(false)
		s.told(t)
		p.catchesUp()
		s.told(t, dismissed)
		p.catchesUp()
		s.told(t)
	}

	// Who changes its mind meanwhile has wanted nothing.
	s.lets()
	for _, change := range []func() error{
		func() error { return p.Dismiss(t.Context(), AnswerLater) },
		func() error { away(false); _, err := p.Claim(t.Context(), "SHC2", ""); return err },
	} {
		away(true)
		must(t, p.Dismiss(t.Context(), AnswerAfresh))
		must(t, change())
		away(false)
		p.catchesUp()
		s.told(t)
	}
}

// A laptop that came into its account by a registration, which somebody let in, was
// never asked about what was there before. Once it has claimed that, to bring it back
// is the answer.
func TestRegisteredThenClaimed(t *testing.T) {
	old, _ := rawJournal(t, 3, 1)
	s := newSchool(t, old)
	s.lets()
	p := newPupil(t, s, "")
	if p.state.get().Claimed {
		t.Fatal("it has claimed")
	}
	_, err := p.Claim(t.Context(), p.account(), "")
	must(t, err)
	_, err = p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)
	s.told(t, wire.PinAnswer{Snapshot: s.snap.ID, Answer: wire.PinRestored})
}

// Another server is trusted: what was said of whose laptop it is stays said.
func TestAnswerOutlivesTheServer(t *testing.T) {
	for _, answer := range []string{"", AnswerAfresh} {
		p := newPeer(t)
		c := client(t, newcomer(t, p))
		must(t, c.Recover(t.Context()))
		must(t, c.update(func(st *state) { st.HostKey = hostKeyLine(newSigner(t).PublicKey()) }))
		if answer != "" {
			must(t, c.Dismiss(t.Context(), answer))
		}
		must(t, c.TrustServer(t.Context(), ssh.FingerprintSHA256(p.hostKey.PublicKey())))
		if st := c.state.get(); st.Answer != answer || st.FirstBoot != (answer == "") {
			t.Errorf("answered %q: %+v", answer, st)
		}
	}
}
