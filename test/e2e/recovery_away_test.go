package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"
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

// The XS falls silent at those points without a word, and speaks again later.
func TestRecoveryServerSilent(t *testing.T) {
	stop := func(t *testing.T, r *reflashed, signal syscall.Signal) { must(t, syscall.Kill(r.xs.PID(), signal)) }
	t.Run("while it asks", func(t *testing.T) {
		t.Parallel()
		r := lose(t, 5)
		stop(t, r, syscall.SIGSTOP)
		r.withinAMinute(t, "FindBackups")
		stop(t, r, syscall.SIGCONT)
		r.offered(t, 5)
	})
	t.Run("while it claims", func(t *testing.T) {
		t.Parallel()
		r := lose(t, 5)
		reached := r.line.StandStill(4000)
		silent := make(chan struct{})
		go func() {
			defer close(silent)
			<-reached
			stop(t, r, syscall.SIGSTOP)
			r.line.GoOn()
		}()
		r.withinAMinute(t, "Claim", r.Options.Serial, "")
		<-silent
		stop(t, r, syscall.SIGCONT)
		r.offered(t, 5)
		r.claimed(t)
		r.awaitAccount(t)
	})
	t.Run("while it restores", func(t *testing.T) {
		t.Parallel()
		r := lose(t, 30)
		r.claimed(t)
		reached := r.line.StandStill(1 << 20)
		path := start(t, r.XO, "Restore", "")
		await(t, reached)
		stop(t, r, syscall.SIGSTOP)
		r.line.GoOn()
		r.failsUnavailable(t, path)
		r.draw(t, "drawn while the server was silent")
		stop(t, r, syscall.SIGCONT)
		eventually(t, r.XO, "Restore", "")
		holds(t, r.XO, r.before)
	})
}
