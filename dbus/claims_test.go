package dbus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// TestClaimIsTold: what becomes of a claim is told by a signal, at once or when a
// person has said so, also by the next service.
func TestClaimIsTold(t *testing.T) {
	b := bustest.Start(t)
	decided := make(chan Claim, 1)
	await := func(ctx context.Context) (Claim, error) {
		select {
		case c := <-decided:
			return c, nil
		case <-ctx.Done():
			return Claim{}, ctx.Err()
		}
	}
	e := &fake{claim: func(_ context.Context, account, _ string) (Claim, error) {
		switch account {
		case "known":
			return Claim{Account: account, State: ClaimGranted}, nil
		case "unheard":
			return Claim{}, word{ServerUnavailable, "no answer"}
		}
		return Claim{account, ClaimPending, "blue fish"}, nil
	}}
	s := serve(t, b, e, Config{})
	c := newClient(t, b)
	told := c.signals()
	claim := func(account, state, sign string) {
		t.Helper()
		var gotState, gotSign string
		c.must("Claim", []any{account, ""}, &gotState, &gotSign)
		if gotState != state || gotSign != sign {
			t.Errorf("Claim %s: %s %s", account, gotState, gotSign)
		}
	}
	signal := func(account, state string) {
		t.Helper()
		if s := next(t, told, Interface+".ClaimChanged"); s.Body[0] != account || s.Body[1] != state {
			t.Errorf("ClaimChanged %v, not %s %s", s.Body, account, state)
		}
	}
	claim("known", ClaimGranted, "")
	signal("known", ClaimGranted)

	e.setAwait(await)
	claim("other", ClaimPending, "blue fish")
	signal("other", ClaimPending)
	claim("other", ClaimPending, "blue fish") // asked again
	signal("other", ClaimPending)
	decided <- Claim{Account: "other", State: ClaimGranted}
	signal("other", ClaimGranted)

	// Nobody has heard the answer, which may be yes.
	if err := c.call("Claim", []any{"unheard", ""}); errorName(err) != ErrorPrefix+ServerUnavailable {
		t.Errorf("no answer: %v", err)
	}
	decided <- Claim{Account: "unheard", State: ClaimGranted}
	signal("unheard", ClaimGranted)

	claim("third", ClaimPending, "blue fish")
	signal("third", ClaimPending)
	s.end()
	next := serve(t, b, e, Config{})
	decided <- Claim{Account: "third", State: ClaimDenied}
	signal("third", ClaimDenied)
	next.end()
}

// TestClaimedAgain: what is claimed just when the claim before it is decided is told
// too.
func TestClaimedAgain(t *testing.T) {
	b := bustest.Start(t)
	e := &fake{claim: func(_ context.Context, account, _ string) (Claim, error) {
		return Claim{Account: account, State: ClaimPending}, nil
	}}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	told := c.signals()
	e.setAwait(func(context.Context) (Claim, error) {
		e.setAwait(func(context.Context) (Claim, error) {
			e.setAwait(nil)
			return Claim{Account: "second", State: ClaimGranted}, nil
		})
		c.must("Claim", []any{"second", ""}, new(string), new(string))
		return Claim{Account: "first", State: ClaimDenied}, nil
	})
	c.must("Claim", []any{"first", ""}, new(string), new(string))
	for _, want := range []string{"first pending", "second pending", "first refused", "second granted"} {
		s := next(t, told, Interface+".ClaimChanged")
		if got := s.Body[0].(string) + " " + s.Body[1].(string); got != want {
			t.Errorf("told %s, not %s", got, want)
		}
	}
}

// TestClaimHolds: the service does not leave while a person may be waiting for a
// claim, and does leave when only the claim waits.
func TestClaimHolds(t *testing.T) {
	b := bustest.Start(t)
	const idle = 50 * time.Millisecond
	e := &fake{
		claim: func(context.Context, string, string) (Claim, error) { return Claim{State: ClaimPending}, nil },
		await: func(ctx context.Context) (Claim, error) { <-ctx.Done(); return Claim{}, ctx.Err() },
	}
	s := serve(t, b, e, Config{IdleExit: idle})
	c := newClient(t, b)
	var state, sign string
	c.must("Claim", []any{"", ""}, &state, &sign)
	select {
	case <-s.over:
		t.Fatal("it left while a person waits")
	case <-time.After(5 * idle):
	}
	s.mu.Lock()
	s.claimAsked = time.Now().Add(-2 * claimHolds)
	s.mu.Unlock()
	if err := s.wait(); err != nil {
		t.Error(err)
	}
	// Nobody has asked the next one, which leaves at once; one whose engine fails
	// serves all the same.
	if err := serve(t, b, e, Config{IdleExit: idle}).wait(); err != nil {
		t.Error(err)
	}
	e.setAwait(func(context.Context) (Claim, error) { return Claim{}, errors.New("gone") })
	serve(t, b, e, Config{})
	newClient(t, b).must("Claim", []any{"", ""}, &state, &sign)
}
