package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// withinAMinute runs a call that a person waits for, and that must say by then that
// the XS is not there.
func (r *reflashed) withinAMinute(t *testing.T, method string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	refused(t, r.Backup().CallWithContext(ctx, "org.laptop.Backup."+method, 0, args...).Err, "ServerUnavailable")
}

// The XS is killed while the laptop asks, while it claims, and while it restores,
// and comes back later.
func TestRecoveryServerKilled(t *testing.T) {
	t.Parallel()
	r := lose(t, 30)
	must(t, r.xs.Kill())
	r.withinAMinute(t, "FindBackups")
	r.withinAMinute(t, "Claim", r.Options.Serial, "")
	must(t, r.xs.Start(t.Context()))
	r.offered(t, 30)

	granted := 0
	for n := int64(2000); granted == 0 && n < claimTalk; n += max(100, min(1500, 4500-n)) {
		call := r.cutOff(t, n, func() { must(t, r.xs.Kill()) }, "Claim", r.Options.Serial, "")
		if call.Err != nil {
			refused(t, call.Err, "ServerUnavailable")
		}
		must(t, r.xs.Start(t.Context()))
		if r.letIn(t) {
			granted++
			r.awaitAccount(t)
			r.offered(t, 30)
			r.reflash(t)
		}
	}
	if granted == 0 {
		t.Error("it never granted a claim just before it was killed")
	}
	r.claimed(t)
	r.draw(t, "drawn before")
	reached := r.line.StandStill(1 << 20)
	path := start(t, r.XO, "Restore", "")
	await(t, reached)
	must(t, r.xs.Kill())
	r.line.GoOn()
	r.failsUnavailable(t, path)
	r.draw(t, "drawn while the server was away")
	must(t, r.xs.Start(t.Context()))
	done(t, r.XO, "Restore", "")
	holds(t, r.XO, r.before)
	r.notOffered(t)
}

func (r *reflashed) failsUnavailable(t *testing.T, job objectPath) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if end, err := r.Wait(ctx, job); err != nil || end.ErrorName != errorName("ServerUnavailable") {
		t.Fatalf("without an XS: %+v, %v", end, err)
	}
}

// The XS falls silent without a word while it is asked what there is, while a laptop
// claims, and while one restores; and speaks again later. Three schools, since each
// laptop waits for long.
func TestRecoveryServerSilent(t *testing.T) {
	if testing.Short() {
		t.Skip("long: make test-all")
	}
	t.Parallel()
	asks, claims, restores := lose(t, 5), lose(t, 5), lose(t, 30)
	all := []*reflashed{asks, claims, restores}
	restores.claimed(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begin := func(r *reflashed, method string, args ...any) *dbus.Call {
		return r.Backup().GoWithContext(ctx, "org.laptop.Backup."+method, 0, make(chan *dbus.Call, 1), args...)
	}

	claimReached, restoreReached := claims.line.StandStill(4000), restores.line.StandStill(1<<20)
	claim := begin(claims, "Claim", claims.Options.Serial, "")
	restore := start(t, restores.XO, "Restore", "")
	await(t, claimReached)
	await(t, restoreReached)
	for _, r := range all {
		must(t, syscall.Kill(r.xs.PID(), syscall.SIGSTOP))
		r.line.GoOn()
	}
	find := begin(asks, "FindBackups")
	refused(t, (<-find.Done).Err, "ServerUnavailable")
	refused(t, (<-claim.Done).Err, "ServerUnavailable")
	restores.failsUnavailable(t, restore)
	restores.draw(t, "drawn while the server was silent")
	for _, r := range all {
		must(t, syscall.Kill(r.xs.PID(), syscall.SIGCONT))
	}

	asks.offered(t, 5)
	claims.offered(t, 5)
	claims.claimed(t)
	claims.awaitAccount(t)
	eventually(t, restores.XO, "Restore", "")
	holds(t, restores.XO, restores.before)
}
