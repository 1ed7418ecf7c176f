package xsclient

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// waiting is a laptop whose claim is not decided, as far as it knows. heard: the XS
// has said that it waits.
func waiting(t *testing.T, heard bool) (*peer, *Client) {
	t.Helper()
	p := newPeer(t)
	c := client(t, newcomer(t, p))
	must(t, c.Recover(t.Context()))
	if heard {
		p.says(stateIs(wire.ClaimPending, ""))
		made, err := c.Claim(t.Context(), "SHC1", "")
		if err != nil || made.State != wire.ClaimPending || made.Sign != "blue fish boat" {
			t.Fatalf("%+v, %v", made, err)
		}
	} else {
		p.says("")
		_, err := c.Claim(t.Context(), "SHC1", "")
		wantCode(t, err, ServerUnavailable)
	}
	if !c.PendingClaim() {
		t.Fatal("no claim waits")
	}
	return p, c
}

// pauses makes the client do one thing after the other where it would sleep. To
// sleep once more is a mistake.
func pauses(t *testing.T, c *Client, things ...func()) {
	c.sleep = func(ctx context.Context, d time.Duration) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(things) == 0 {
			t.Error("it waits too long")
			return errors.New("too long")
		}
		if d < claimMinWait || d > claimMaxWait {
			t.Errorf("it waits for %v", d)
		}
		things[0]()
		things = things[1:]
		return nil
	}
}

func TestAwaitClaim(t *testing.T) {
	decisions := map[string]struct {
		answer string
		state  string // "": it is forgotten without a word
		heard  bool
	}{
		"granted":                            {wire.ClaimGranted, wire.ClaimGranted, true},
		"granted, and nobody heard":          {wire.ClaimGranted, wire.ClaimGranted, false},
		"refused":                            {wire.ClaimRefused, wire.ClaimRefused, true},
		"refused, and nobody heard":          {wire.ClaimRefused, wire.ClaimRefused, false},
		"none: nobody has answered in time":  {wire.ClaimNone, wire.ClaimRefused, true},
		"none: it never got there, it seems": {wire.ClaimNone, "", false},
	}
	for name, d := range decisions {
		t.Run(name, func(t *testing.T) {
			p, c := waiting(t, d.heard)
			decide := func() { p.says(stateIs(d.answer, "SHC1")) }
			// An XS that waits, is away, talks nonsense, and is back.
			things := []func(){
				func() { p.says(stateIs(wire.ClaimPending, "")) },
				func() { p.set(func() { p.accept = func(net.Conn) bool { return false } }) },
				func() { p.says(stateIs("perhaps", "")) },
				func() { p.set(func() { p.accept = nil }) },
			}
			if d.state == "" { // else it is heard of
				things = things[1:]
			}
			pauses(t, c, append(things, decide)...)
			p.says(stateIs("perhaps", ""))
			made, err := c.AwaitClaim(t.Context())
			st := c.stateOnDisk(t)
			if made.State != d.state || (err != nil) != (d.state == "") || c.PendingClaim() || st.Claim != (claim{}) {
				t.Errorf("%+v, %v, %+v", made, err, st)
			}
			if in := d.state == wire.ClaimGranted; in != (st.Account == "SHC1" && made.Account == "SHC1") || in != st.Claimed || in == st.FirstBoot {
				t.Errorf("%+v, %+v", made, st)
			}
			// It is over.
			pauses(t, c)
			if _, err := c.AwaitClaim(t.Context()); err == nil {
				t.Error("and yet there is one")
			}
		})
	}
}

// A person who claims meanwhile, or wants none of it any more, is faster.
func TestAwaitClaimOvertaken(t *testing.T) {
	p, c := waiting(t, true)
	pauses(t, c,
		func() {
			p.lets()
			if _, err := c.Claim(t.Context(), "SHC2", ""); err != nil {
				t.Error(err)
			}
		})
	if made, err := c.AwaitClaim(t.Context()); !errors.Is(err, errClaimGone) || c.account() != "SHC2" {
		t.Errorf("%+v, %v; it is %s", made, err, c.account())
	}

	_, c = waiting(t, true)
	pauses(t, c, func() { must(t, c.Dismiss(t.Context(), AnswerAfresh)) })
	if made, err := c.AwaitClaim(t.Context()); !errors.Is(err, errClaimGone) || c.account() != "" {
		t.Errorf("%+v, %v; it is %s", made, err, c.account())
	}

	// Not yet is no such answer.
	p, c = waiting(t, true)
	pauses(t, c,
		func() { must(t, c.Dismiss(t.Context(), AnswerLater)) },
		func() { p.says(stateIs(wire.ClaimGranted, "SHC1")) })
	if made, err := c.AwaitClaim(t.Context()); err != nil || made.State != wire.ClaimGranted || c.account() != "SHC1" {
		t.Errorf("%+v, %v; it is %s", made, err, c.account())
	}
}

// A daemon that ends has nothing to tell; the next one goes on.
func TestAwaitClaimEnds(t *testing.T) {
	p, c := waiting(t, false)
	p.says(stateIs(wire.ClaimPending, ""))
	ctx, end := context.WithCancel(t.Context())
	c.cfg.Changed = func(Status) { end() } // when it hears that the claim waits
	if made, err := c.AwaitClaim(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", made, err)
	}
	next := client(t, c.cfg)
	p.says(stateIs(wire.ClaimGranted, "SHC1"))
	if made, err := next.AwaitClaim(t.Context()); err != nil || made.Account != "SHC1" {
		t.Errorf("%+v, %v", made, err)
	}
}
