package e2e

import (
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A claim that waits for a person outlives the daemon and the XS, whoever of them is
// away when the person answers. It is told once, and the sign stays the same.
func TestRecoveryWaits(t *testing.T) {
	t.Parallel()
	r := lose(t, 5, "--reflash", "approval")
	changes := r.claimChanges(t)
	waits := func() {
		t.Helper()
		if state, reason := property[string](t, r.XO, "State"), property[string](t, r.XO, "StateReason"); state != "first-boot" || !strings.Contains(reason, "sign") {
			t.Errorf("while it waits: %s, %q", state, reason)
		}
	}
	state, sign := r.claim(t)
	changesTo(t, changes, "pending")
	if state != "pending" || len(strings.Fields(sign)) != 3 {
		t.Fatalf("Claim: %s, sign %q", state, sign)
	}
	for range 3 {
		r.kill(t)
		waits()
		r.offered(t, 5)
		state, again := r.claim(t)
		changesTo(t, changes, "pending")
		if state != "pending" || again != sign {
			t.Errorf("claimed again: %s, sign %q, not %q", state, again, sign)
		}
	}
	must(t, r.xs.Kill())
	r.kill(t)
	waits()
	refused(t, r.Backup().Call("org.laptop.Backup.Claim", 0, r.Options.Serial, "").Err, "ServerUnavailable")
	waits()
	r.administer(t, "approve", r.Options.Serial)
	must(t, r.xs.Start(t.Context()))
	changesTo(t, changes, "granted")
	r.awaitAccount(t)

	done(t, r.XO, "Restore", "")
	holds(t, r.XO, r.before)
	if len(changes) > 0 {
		t.Errorf("and then ClaimChanged to %s", <-changes)
	}
}

// What was decided while no daemon ran is known when the next one starts.
func TestRecoveryDecidedMeanwhile(t *testing.T) {
	t.Parallel()
	r := lose(t, 5, "--reflash", "approval")
	changes := r.claimChanges(t)
	for _, c := range []struct{ answer, state string }{{"", "granted"}, {"--refuse", "refused"}} {
		r.reflash(t)
		r.claim(t)
		changesTo(t, changes, "pending")
		r.kill(t)
		r.administer(t, strings.Fields("approve "+r.Options.Serial+" "+c.answer)...)
		property[string](t, r.XO, "State") // starts it
		changesTo(t, changes, c.state)
		reason := property[string](t, r.XO, "StateReason")
		if in := property[string](t, r.XO, "Account") != ""; in != (c.state == "granted") || strings.Contains(reason, "sign") {
			t.Errorf("%s: let in: %t, %q", c.state, in, reason)
		}
	}
	refused(t, r.Backup().Call("org.laptop.Backup.Claim", 0, r.Options.Serial, "").Err, "ClaimRefused")
	must(t, r.StopService(t.Context(), bed.BackupName))
	r.offered(t, 5)
}
