package xsclient

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/wire"
)

// A school server that talks nonsense is an error that says so, and is forgotten.
func TestHostileClaimAnswers(t *testing.T) {
	found := func(change func(*wire.Claimable)) wire.ClaimAnswer {
		good := wire.Claimable{Account: "SHC0", Nick: "Amara", Entries: 3, Bytes: 5, LastBackup: 7, Claim: wire.ClaimAutomatic}
		bad := good
		change(&bad)
		return wire.ClaimAnswer{Version: wire.Version, Backups: []wire.Claimable{good, bad}}
	}
	offers := map[string]any{
		"an account called claim": found(func(f *wire.Claimable) { f.Account = wire.ClaimUser }),
		"an account that climbs":  found(func(f *wire.Claimable) { f.Account = "../x" }),
		"no account":              found(func(f *wire.Claimable) { f.Account = "" }),
		"a long account":          found(func(f *wire.Claimable) { f.Account = strings.Repeat("a", 100_000) }),
		"negative entries":        found(func(f *wire.Claimable) { f.Entries = -1 }),
		"negative bytes":          found(func(f *wire.Claimable) { f.Bytes = -1 }),
		"an unknown way":          found(func(f *wire.Claimable) { f.Claim = "by force" }),
		"too many entries":        `{"version":2,"backups":[{"account":"SHC1","claim":"automatic","entries":1e30}]}` + "\n",
		"backups that are none":   `{"version":2,"backups":"all"}` + "\n",
	}
	states := map[string]any{
		"an unknown state":                stateIs("perhaps", "SHC1"),
		"no state":                        stateIs("", "SHC1"),
		"granted, nobody knows what":      stateIs(wire.ClaimGranted, ""),
		"granted an account called claim": stateIs(wire.ClaimGranted, wire.ClaimUser),
		"granted an account that climbs":  stateIs(wire.ClaimGranted, "../x"),
		"granted a long account":          stateIs(wire.ClaimGranted, strings.Repeat("a", 100_000)),
	}
	both := map[string]any{
		"version 1":     wire.ClaimAnswer{Version: 1, State: wire.ClaimGranted, Account: "SHC1"},
		"version 3":     wire.ClaimAnswer{Version: 3, State: wire.ClaimGranted, Account: "SHC1"},
		"no version":    wire.ClaimAnswer{State: wire.ClaimGranted, Account: "SHC1"},
		"not JSON":      "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an empty line": "\n",
		"null":          "null\n",
		"a long line":   `{"version":2,"sign":"` + strings.Repeat("a", wire.MaxLine) + `"}` + "\n",
		"half a line":   `{"version":2,"state":"gran`,
		"nothing":       "",
		"silence":       nil,
	}
	unheard := []string{"half a line", "nothing", "silence"}
	waits := claim{Account: "SHC1", Sign: "blue fish boat", Waits: true, Asked: true}
	asks := map[string]func(c *Client) error{
		wire.ClaimFind: func(c *Client) error { _, err := c.FindBackups(t.Context()); return err },
		wire.ClaimTake: func(c *Client) error { _, err := c.Claim(t.Context(), "SHC1", ""); return err },
		wire.ClaimState: func(c *Client) error {
			_, over, err := c.askClaim(t.Context())
			if over {
				t.Error("it is decided")
			}
			return err
		},
		wire.ClaimOwn: func(c *Client) error { return c.openOwn(t.Context()) },
	}
	for ask, do := range asks {
		answers := maps.Clone(both)
		maps.Copy(answers, map[bool]map[string]any{true: offers, false: states}[ask == wire.ClaimFind])
		for name, answer := range answers {
			t.Run(ask+"/"+name, func(t *testing.T) {
				p := newPeer(t)
				p.says(answer)
				c := client(t, newcomer(t, p))
				c.openTimeout = 200 * time.Millisecond
				must(t, c.Recover(t.Context()))
				if ask == wire.ClaimState {
					must(t, c.update(func(st *state) { st.Claim = waits }))
				}
				before := c.stateOnDisk(t)
				wantCode(t, do(c), ServerUnavailable)
				if got := p.asks(); !slices.Equal(got, []string{ask}) {
					t.Errorf("asked for %v", got)
				}
				if ask == wire.ClaimTake && slices.Contains(unheard, name) {
					before.Claim = claim{Account: "SHC1", Asked: true} // it may be let in
				}
				if after := c.stateOnDisk(t); after != before {
					t.Errorf("%+v, was %+v", after, before)
				}
				if ask == wire.ClaimFind && c.state.get().HostKey != "" {
					t.Error("it is trusted now")
				}
			})
		}
	}
}

// What an XS says by a refusal is what a person is told; what was wanted is not.
func TestClaimRefusals(t *testing.T) {
	p := newPeer(t)
	for code, want := range map[string]Code{
		wire.RefusedClaim: ClaimRefused, wire.RefusedBusy: ServerBusy, wire.RefusedInput: ServerRefused, "": Failed, "unheard of": Failed,
	} {
		c := client(t, newcomer(t, p))
		must(t, c.update(func(st *state) { st.Claim = claim{Account: "SHC7", Waits: true, Asked: true} }))
		before := c.stateOnDisk(t)
		p.says(wire.ClaimAnswer{Version: wire.Version, Error: &wire.Refusal{Code: code, Message: "No,\x00 said the server.", RetryAfter: -5}})
		_, err := c.Claim(t.Context(), "SHC1", "")
		wantCode(t, err, want)
		if after := c.stateOnDisk(t); after != before {
			t.Errorf("%s: %+v", code, after)
		}
	}
}

// Offers come newest first; what is no name, colour or group is left out.
func TestFindBackups(t *testing.T) {
	p := newPeer(t)
	c := client(t, newcomer(t, p))
	must(t, c.Recover(t.Context()))
	p.says(wire.ClaimAnswer{Version: wire.Version, Backups: []wire.Claimable{
		{Account: "old", LastBackup: -1 << 63, Claim: wire.ClaimApproval, Nick: "Айгүл", Color: "#FF2B34,#00A0FF", Group: "4th Grade"},
		{Account: "new", LastBackup: 1<<63 - 1, Claim: wire.ClaimByCode, Nick: "two\nlines", Color: "red", Group: strings.Repeat("g", 10_000)},
	}})
	found, err := c.FindBackups(t.Context())
	must(t, err)
	if len(found) != 2 || found[0] != (wire.Claimable{Account: "new", LastBackup: 1<<63 - 1, Claim: wire.ClaimByCode}) ||
		found[1].Nick != "Айгүл" || found[1].Color != "#FF2B34,#00A0FF" || found[1].Group != "4th Grade" {
		t.Errorf("%+v", found)
	}
	// The server is not ours by that: a child may just be in another school's network.
	if st := c.state.get(); st.HostKey != "" || st.Server != "" || st.SSH != "" || !st.Offered || !st.FirstBoot {
		t.Errorf("%+v", st)
	}
	p.says(wire.ClaimAnswer{Version: wire.Version})
	if found, err := c.FindBackups(t.Context()); err != nil || len(found) != 0 || c.state.get().Offered {
		t.Errorf("%v, %v, %+v", found, err, c.state.get())
	}
	p.lets()
	made, err := c.Claim(t.Context(), "SHC1", "")
	if err != nil || made != (Claim{Account: "SHC1", State: wire.ClaimGranted}) {
		t.Fatalf("%+v, %v", made, err)
	}
	if st := c.state.get(); st.HostKey != hostKeyLine(p.hostKey.PublicKey()) || st.Account != "SHC1" || !st.Enrolled || !st.Claimed || st.FirstBoot {
		t.Errorf("%+v", st)
	}
	if _, err := c.ListSnapshots(t.Context()); err != nil {
		t.Error(err)
	}
}

// A server that is not the one it says, or not the one that is trusted, is told
// nothing.
func TestClaimAtAnother(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		p := newPeer(t)
		p.lets()
		c := client(t, newcomer(t, p))
		must(t, c.Recover(t.Context()))
		if trusted {
			must(t, c.update(func(st *state) { st.HostKey = hostKeyLine(p.hostKey.PublicKey()) }))
		}
		p.shown = newSigner(t)
		_, err := c.FindBackups(t.Context())
		wantCode(t, err, WrongServer)
		if s := c.Status(); (s.State == StateNewServer) != trusted || !trusted && s.State != StateFirstBoot {
			t.Errorf("trusted %t: %+v", trusted, s)
		}
		_, err = c.Claim(t.Context(), "SHC1", "")
		wantCode(t, err, WrongServer)
		if p.tries != 0 || len(p.claimed) != 0 || c.PendingClaim() {
			t.Errorf("%d tries, asked %v, claim pending: %t", p.tries, p.claimed, c.PendingClaim())
		}
		// The right one is back.
		p.set(func() { p.shown = nil })
		p.says(wire.ClaimAnswer{Version: wire.Version})
		if _, err := c.FindBackups(t.Context()); err != nil || c.Status().State == StateNewServer {
			t.Errorf("%v, %+v", err, c.Status())
		}
	}
}

// What cannot be kept is not asked for: the laptop would not know of it later.
func TestClaimOnAFullDisk(t *testing.T) {
	p := newPeer(t)
	p.lets()
	cfg := newcomer(t, p)
	must(t, os.MkdirAll(cfg.StateDir, 0o700))
	smallDisk(t, cfg.StateDir, "size=16k")
	c := client(t, cfg)
	must(t, c.Recover(t.Context()))
	_, err := cfg.Profile.BackupKey(true)
	must(t, err)
	if err := os.WriteFile(filepath.Join(cfg.StateDir, "ballast"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	before := c.stateOnDisk(t)
	_, err = c.Claim(t.Context(), "SHC1", "")
	wantCode(t, err, DiskFull)
	wantCode(t, c.Dismiss(t.Context(), AnswerLater), DiskFull)
	if after := c.stateOnDisk(t); after != before || c.state.get() != before || len(p.claimed) != 0 {
		t.Errorf("%+v, was %+v; asked for %v", after, before, p.claimed)
	}
	must(t, os.Remove(filepath.Join(cfg.StateDir, "ballast")))
	if _, err := c.Claim(t.Context(), "SHC1", ""); err != nil {
		t.Error(err)
	}
}

// What can be seen to be wrong is not asked for, and no try of a code.
func TestClaimArguments(t *testing.T) {
	p := newPeer(t)
	p.lets()
	c := client(t, newcomer(t, p))
	for _, bad := range [][2]string{{"claim", ""}, {"../x", ""}, {strings.Repeat("a", 1000), ""}, {"", "1"}, {"SHC1", "not a code"}} {
		_, err := c.Claim(t.Context(), bad[0], bad[1])
		wantCode(t, err, InvalidArgument)
	}
	if c.PendingClaim() || len(p.claimed) != 0 {
		t.Errorf("asked for %v", p.claimed)
	}
}

// Two people claim at the same time: each is answered, and what is known in the end
// is what was answered last.
func TestTwoClaimsAtOnce(t *testing.T) {
	p := newPeer(t)
	p.lets()
	c := client(t, newcomer(t, p))
	var last string
	c.cfg.Changed = func(s Status) {
		if s.Account != "" {
			last = s.Account // in order: one claim at a time
		}
	}
	var both sync.WaitGroup
	for i := range 8 {
		account := fmt.Sprint("SHC", i%2)
		both.Go(func() {
			if made, err := c.Claim(t.Context(), account, ""); err != nil || made.Account != account {
				t.Errorf("%+v, %v", made, err)
			}
		})
	}
	both.Wait()
	if st := c.stateOnDisk(t); st.Account != last || st.Account == "" || st.Claim.Asked {
		t.Errorf("%+v, told %s", st, last)
	}
	if _, err := c.ListSnapshots(t.Context()); err != nil {
		t.Error(err)
	}
}
