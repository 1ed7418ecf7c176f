package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus"
)

// claim has this laptop let into an account. Where a person has to say so, it waits.
func (a *app) claim(d *daemon, r recovery) error {
	changes := make(chan *godbus.Signal, 16)
	d.Signal(changes)
	defer d.RemoveSignal(changes)
	// Before it is claimed, so that no answer is missed.
	err := d.AddMatchSignal(godbus.WithMatchObjectPath(dbus.Path), godbus.WithMatchInterface(dbus.Interface), godbus.WithMatchMember("ClaimChanged"))
	if err != nil {
		return err
	}
	state, sign, err := d.claim(context.Background(), r.account, r.code)
	if err != nil {
		return err
	}
	if over, err := decided(state); over {
		return err
	}
	if r.noWait {
		return a.leave(r, sign)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	a.saySign(r.account, sign)
	fmt.Fprintln(a.stderr, "This waits until they have. Ctrl-C leaves the request standing.")
	err = d.awaitClaim(ctx, changes, r.account, a.patience)
	if ctx.Err() != nil {
		fmt.Fprintf(a.stderr, "\nThe request stands. Once it is approved: %s\n", r.again())
		return status(exitInterrupted)
	}
	return err
}

// claim asks the school server to let this laptop in.
func (d *daemon) claim(ctx context.Context, account, code string) (state, sign string, err error) {
	err = d.call(ctx, "Claim", []any{account, code}, &state, &sign)
	return state, oneLine(sign), err
}

// awaitClaim waits for the answer. It is told by a signal; asking again keeps the
// backup service there to tell it, and finds out if the signal was missed.
func (d *daemon) awaitClaim(ctx context.Context, changes <-chan *godbus.Signal, account string, patience time.Duration) error {
	again := time.NewTicker(patience)
	defer again.Stop()
	for {
		var (
			state string
			err   error
		)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case change, ok := <-changes:
			if !ok {
				return godbus.ErrClosed
			}
			state = answerIn(change, account)
		case <-again.C:
			// Without the code: that is used up, or counts as one more try.
			if state, _, err = d.claim(ctx, account, ""); err != nil && !passes(err) {
				return err
			}
		}
		if over, err := decided(state); over {
			return err
		}
	}
}

// answerIn is what a signal says to who claims the account. Who looks after the
// school server may have let this laptop into another one than it asked for.
func answerIn(change *godbus.Signal, account string) (state string) {
	var of string
	if change.Name != dbus.Interface+".ClaimChanged" || godbus.Store(change.Body, &of, &state) != nil {
		return ""
	}
	if state != dbus.ClaimGranted && account != "" && of != account {
		return ""
	}
	return state
}

// decided tells whether a state is final; a no is an error.
func decided(state string) (over bool, err error) {
	switch state {
	case dbus.ClaimGranted:
		return true, nil
	case dbus.ClaimDenied:
		return true, godbus.Error{Name: dbus.ErrorPrefix + dbus.ClaimRefused,
			Body: []any{"Whoever looks after the school server did not let this laptop in."}}
	}
	return false, nil
}

// passes tells whether an error may be gone the next time: the school server is
// away, or the backup service ends and another one begins.
func passes(err error) bool {
	var e godbus.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Name {
	case dbus.ErrorPrefix + dbus.ServerUnavailable, dbus.ErrorPrefix + dbus.ServerBusy, dbus.ErrorPrefix + dbus.Cancelled:
		return true
	}
	return !strings.HasPrefix(e.Name, dbus.ErrorPrefix)
}

// saySign says what somebody at the school server has to do.
func (a *app) saySign(account, sign string) {
	if account == "" {
		account = "ACCOUNT"
	}
	fmt.Fprintf(a.stderr, "Ask whoever looks after the school server to approve the request with the sign: %s\nThey type: xs-backupd approve %s --sign %q\n", sign, account, sign)
}

// pendingClaim is the JSON of a claim that nobody waits for.
type pendingClaim struct {
	outcome
	Account string `json:"account"`
	Sign    string `json:"sign"`
}

// leave ends without waiting: nothing has come back yet.
func (a *app) leave(r recovery, sign string) error {
	if a.json {
		message := "This laptop waits to be let in: whoever looks after the school server has to approve the request with this sign."
		a.printJSON(pendingClaim{outcome{Result: dbus.ClaimPending, Message: message}, r.account, sign})
	} else {
		a.saySign(r.account, sign)
		fmt.Fprintf(a.stderr, "Once they have: %s\n", r.again())
	}
	return status(exitFailed)
}

// again is what goes on with a claim that waits.
func (r recovery) again() string {
	if r.named {
		return "xo-backup recover --account " + r.account
	}
	return "xo-backup recover"
}
