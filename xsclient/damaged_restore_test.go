package xsclient

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

// bothWays runs a restore of damaged things as a merge and as a replace. The
// laptop has the first two entries in an older version each, agreed on, and one
// of its own.
func bothWays(t *testing.T, test func(t *testing.T, s *school, p *pupil, opts RestoreOptions, uids []string)) {
	t.Helper()
	for name, opts := range map[string]RestoreOptions{"merge": {}, "replace": {Replace: true}} {
		t.Run(name, func(t *testing.T) {
			old, uids := rawJournal(t, 6, 1)
			s := newSchool(t, old)
			p := newPupil(t, s, "")
			for _, uid := range uids[:2] {
				dir := filepath.Join(p.journal, uid[:2], uid)
				must(t, os.CopyFS(dir, os.DirFS(filepath.Join(old, uid[:2], uid))))
				must(t, os.WriteFile(filepath.Join(dir, "metadata", "title"), []byte("as it is here"), 0o644))
			}
			p.agreeOn(p.journal)
			test(t, s, p, opts, uids)
			p.untouched()
			p.pending(false)
		})
	}
}

func (s *school) file(uid, suffix string) string {
	return filepath.Join(s.tree, uid[:1], uid+suffix)
}

// What is damaged at school is named, and what is here of it is left alone; the
// rest comes back.
func TestDamagedAtSchool(t *testing.T) {
	for name, spoil := range map[string]func(path string, b []byte) error{
		"other bytes": func(path string, b []byte) error {
			return writeTimed(path, append([]byte{b[0] ^ 1}, b[1:]...))
		},
		"same size and time": func(path string, b []byte) error {
			when := datastore.ModTime(sha256.Sum256(b))
			b[len(b)-1] ^= 1
			must(t, os.WriteFile(path, b, 0o644))
			return os.Chtimes(path, when, when)
		},
		"cut":     func(path string, b []byte) error { return writeTimed(path, b[:len(b)/2]) },
		"missing": func(path string, _ []byte) error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, s *school, p *pupil, opts RestoreOptions, uids []string) {
				before, _ := rawRead(t, p.journal, uids[0])
				bad := []string{uids[0], uids[2]} // here, and not here
				list := s.entries()
				s.list = func(w io.Writer) {
					for _, e := range list {
						wire.WriteLine(w, e)
					}
				}
				for i, suffix := range []string{".data", ".cjson"} {
					path := s.file(bad[i], suffix)
					b, err := os.ReadFile(path)
					must(t, err)
					must(t, spoil(path, b))
				}
				result, err := p.Restore(t.Context(), opts, p.progress)
				must(t, err)
				if !result.Partial || len(result.Skipped) != 2 || result.Entries != 4 {
					t.Errorf("%+v", result)
				}
				for _, skipped := range result.Skipped {
					if skipped.UID != bad[0] && skipped.UID != bad[1] || !strings.Contains(result.Message, skipped.UID) {
						t.Errorf("%+v, %s", skipped, result.Message)
					}
				}
				after, ok := rawRead(t, p.journal, uids[0])
				if !ok || after != before {
					t.Errorf("what is here was not left alone: %v\n%v\n%v", ok, before, after)
				}
				if _, ok := rawRead(t, p.journal, uids[2]); ok {
					t.Error("what is damaged is in the Journal")
				}
				p.holds(filepath.Join(filepath.Dir(s.tree), "none"), uids...)
				p.agreedIsHere()
				// Whole again at school, all of it comes.
				old, _ := rawJournal(t, 6, 1)
				fresh := newSchool(t, old)
				s.peer.set(func() { s.tree, s.list = fresh.tree, nil })
				result, err = p.Restore(t.Context(), opts, p.progress)
				must(t, err)
				if result.Partial {
					t.Errorf("%+v", result)
				}
				p.holds(old)
				p.agreedIsHere()
			})
		})
	}
}

// An entry whose metadata is damaged at school is listed as such, named, and what
// is here of it is left alone.
func TestListedAsDamaged(t *testing.T) {
	bothWays(t, func(t *testing.T, s *school, p *pupil, opts RestoreOptions, uids []string) {
		before, _ := rawRead(t, p.journal, uids[0])
		bad := []string{uids[0], uids[2]} // here, and not here
		s.list = func(w io.Writer) {
			for _, e := range s.entries() {
				if slices.Contains(bad, e.UID) {
					e = wire.Entry{UID: e.UID, Damaged: "mice\x1b[2J ate it"}
				}
				wire.WriteLine(w, e)
			}
		}
		result, err := p.Restore(t.Context(), opts, p.progress)
		must(t, err)
		if !result.Partial || len(result.Skipped) != 2 || result.Entries != 4 || result.Unlisted != 0 {
			t.Errorf("%+v", result)
		}
		for i, skipped := range result.Skipped {
			if skipped.UID != bad[i] || !strings.Contains(skipped.Reason, "mice [2J ate it") || !strings.Contains(result.Message, skipped.UID) {
				t.Errorf("%+v, %s", skipped, result.Message)
			}
		}
		if after, ok := rawRead(t, p.journal, uids[0]); !ok || after != before {
			t.Errorf("what is here was not left alone: %v\n%v\n%v", ok, before, after)
		}
		for _, request := range s.restores {
			if slices.Contains(request.UIDs, bad[0]) || slices.Contains(request.UIDs, bad[1]) {
				t.Error("what is damaged was asked for")
			}
		}
		p.agreedIsHere()
	})
}

// A list that lacks entries of the snapshot: what is listed is merged, and the
// result says that it is not all; no Journal is replaced by less than it was.
func TestListLacksEntries(t *testing.T) {
	bothWays(t, func(t *testing.T, s *school, p *pupil, opts RestoreOptions, uids []string) {
		before := listing(t, p.journal)
		s.list = func(w io.Writer) {
			for _, e := range s.entries()[1:] {
				wire.WriteLine(w, e)
			}
		}
		result, err := p.Restore(t.Context(), opts, p.progress)
		if opts.Replace {
			e := wantCode(t, err, Damaged)
			if !strings.Contains(e.Message, s.snap.ID) {
				t.Error(e)
			}
			p.unharmed(before, false)
			return
		}
		must(t, err)
		if !result.Partial || result.Unlisted != 1 || result.Entries != 5 || !strings.Contains(result.Message, "does not find 1 more") {
			t.Errorf("%+v", result)
		}
	})
}

// rawRead is all of an entry on disk.
func rawRead(t testing.TB, journal, uid string) (string, bool) {
	t.Helper()
	all := listing(t, filepath.Join(journal, uid[:2], uid))
	return fmt.Sprint(all), len(all) > 0
}

// agreedIsHere checks that what is taken for agreed on is what is here: else
// the next restore would leave at school, or overwrite, what it must not.
func (p *pupil) agreedIsHere() {
	p.t.Helper()
	agreed, err := p.openAgreed()
	must(p.t, err)
	here := map[datastore.UID]datastore.Version{}
	for uid, info := range lookAt(p.t, p.journal).Entries() {
		here[uid] = info.Version
	}
	for uid, a := range agreed.entries {
		if here[uid] != a.Version {
			p.t.Errorf("agreed on %s is %.8s, here is %.8s", uid, a.Version, here[uid])
		}
	}
}

// A server that sends less than it has listed, and says why or does not, and
// one that sends what nobody asked for.
func TestSendsOther(t *testing.T) {
	for name, c := range map[string]struct {
		sent string // of the first entry
		kept []wire.Kept
		want string
		asks int
	}{
		"less":          {"nothing", nil, "did not send it", 2},
		"less, and why": {"nothing", []wire.Kept{{UID: "../../x", Reason: "x"}, {Reason: "mice\x1b[2J\nate it"}}, "mice [2J ate it", 1},
		"no data":       {"cjson", nil, "damaged", 2},
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, s *school, p *pupil, opts RestoreOptions, uids []string) {
				s.restore = func(ch ssh.Channel, r *bufio.Reader, request wire.RestoreRequest) {
					only := files(request.UIDs)
					for i, prefix := range only {
						if strings.Contains(prefix, uids[0]) {
							only[i] += c.sent
						}
					}
					end := &wire.Report{End: true, Snapshot: &s.snap}
					for _, k := range c.kept {
						if k.UID == "" {
							k.UID = uids[0]
						}
						end.Kept = append(end.Kept, k)
					}
					s.send(ch, r, transfer.Dir(s.tree, only), end)
				}
				result, err := p.Restore(t.Context(), opts, p.progress)
				must(t, err)
				if len(result.Skipped) != 1 || result.Skipped[0].UID != uids[0] || !strings.Contains(result.Skipped[0].Reason, c.want) {
					t.Errorf("%+v", result.Skipped)
				}
				if len(s.restores) != c.asks {
					t.Errorf("asked %d times, want %d", len(s.restores), c.asks)
				}
				p.agreedIsHere()
			})
		})
	}
	t.Run("more", func(t *testing.T) {
		bothWays(t, func(t *testing.T, s *school, p *pupil, opts RestoreOptions, uids []string) {
			s.snap.Entries = 3
			s.list = func(w io.Writer) {
				for _, e := range s.entries()[:3] {
					wire.WriteLine(w, e)
				}
			}
			s.restore = func(ch ssh.Channel, r *bufio.Reader, _ wire.RestoreRequest) {
				s.send(ch, r, transfer.Dir(s.tree, nil), &wire.Report{End: true, Snapshot: &s.snap})
			}
			result, err := p.Restore(t.Context(), opts, p.progress)
			must(t, err)
			if result.Partial || result.Entries != 3 {
				t.Errorf("%+v", result)
			}
			for _, uid := range uids[3:] {
				if _, ok := rawRead(t, p.journal, uid); ok {
					t.Errorf("nobody asked for %s", uid)
				}
			}
			p.agreedIsHere()
		})
	})
}

// What a power cut left of a fetch, with the right name, size and time but no
// content, is fetched anew: the copy at school is not damaged.
func TestStagingOfBeforeAPowerCut(t *testing.T) {
	bothWays(t, func(t *testing.T, s *school, p *pupil, opts RestoreOptions, uids []string) {
		tree := filepath.Join(p.stagingDir(), "tree")
		must(t, os.CopyFS(tree, os.DirFS(s.tree)))
		for name := range listing(t, s.tree) {
			from, err := os.Stat(filepath.Join(s.tree, name))
			must(t, err)
			if from.IsDir() || name == "journal.cjson" {
				continue
			}
			path := filepath.Join(tree, name)
			must(t, os.WriteFile(path, bytes.Repeat([]byte{0}, int(from.Size())), 0o644))
			must(t, os.Chtimes(path, from.ModTime(), from.ModTime()))
		}
		must(t, p.savePending(pendingRestore{RestoreOptions: opts, Account: p.account(), Resolved: s.snap.ID}))
		result, err := p.Restore(t.Context(), opts, p.progress)
		must(t, err)
		if result.Partial || result.Entries != len(uids) {
			t.Errorf("%+v", result)
		}
		p.agreedIsHere()
	})
}

// Where a folder of the Journal here cannot be read, what belongs into it stays
// at school and is named; the rest comes back.
func TestRestoreBesideAnUnreadableFolder(t *testing.T) {
	old, uids := rawJournal(t, 6, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, "")
	folder := filepath.Join(p.journal, uids[0][:2])
	must(t, os.MkdirAll(p.journal, 0o755))
	must(t, os.Symlink("loop", folder)) // root reads anything else
	result, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)
	if !result.Partial || len(result.Skipped) != 1 || result.Skipped[0].UID != uids[0] || !strings.Contains(result.Message, uids[0]) {
		t.Errorf("%+v", result)
	}
	p.pending(false)
	must(t, os.Remove(folder))
	p.holds(old, uids[0])
	result, err = p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)
	p.holds(old)
}
