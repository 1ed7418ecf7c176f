package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// cutOff lets n bytes pass of what a call has to say to the XS; then it does what
// comes then, and the line breaks. It answers the call, which is over.
func (r *reflashed) cutOff(t *testing.T, n int64, then func(), method string, args ...any) *dbus.Call {
	t.Helper()
	reached := r.line.StandStill(n)
	call := r.Backup().GoWithContext(t.Context(), "org.laptop.Backup."+method, 0, make(chan *dbus.Call, 1), args...)
	select {
	case <-reached:
	case <-call.Done:
		call.Done <- call
	}
	then()
	r.line.HangUp() // what stood still never arrives
	r.line.GoOn()
	return <-call.Done
}

// kill kills the daemon.
func (r *reflashed) kill(t *testing.T) {
	t.Helper()
	must(t, r.KillService(t.Context(), bed.BackupName))
}

// claimTalk is more than one question about claims and its answer are, in bytes on
// the line. The answer is in the last third of it.
const claimTalk = 7000

// The daemon is killed wherever it may be while it asks what there is, and while
// it claims. The next one offers the same; and where the XS has let it in already,
// it knows that by itself.
func TestRecoveryKilledWhileItAsks(t *testing.T) {
	t.Parallel()
	r := lose(t, 5)
	for n := int64(0); n < claimTalk; n += 1000 {
		r.cutOff(t, n, func() { r.kill(t) }, "FindBackups")
		r.offered(t, 5)
	}
	outcomes := map[string]int{}
	for n := int64(0); n <= claimTalk; n += 1000 {
		r.claimKilled(t, n, outcomes)
	}
	// Around the XS's answer.
	for n := int64(claimTalk - 2000); n < claimTalk; n += 100 {
		r.claimKilled(t, n, outcomes)
	}
	t.Log(outcomes)
	if len(outcomes) != 3 {
		t.Errorf("not each of the three cases came about")
	}
}

func (r *reflashed) claimKilled(t *testing.T, n int64, outcomes map[string]int) {
	t.Helper()
	r.reflash(t)
	call := r.cutOff(t, n, func() { r.kill(t) }, "Claim", r.Options.Serial, "")
	switch in := r.letIn(t); {
	case call.Err == nil:
		outcomes["granted, and heard of"]++
		r.awaitAccount(t)
	case in:
		outcomes["granted, and not heard of"]++
		r.awaitAccount(t)
	default:
		outcomes["not asked for"]++
		if account := property[string](t, r.XO, "Account"); account != "" {
			t.Errorf("after %d bytes it takes itself for %s", n, account)
		}
		r.offered(t, 5)
		r.claimed(t)
	}
	if !r.letIn(t) {
		t.Errorf("after %d bytes: the XS knows nothing of a claim", n)
	}
	r.offered(t, 5) // nobody has answered yet
}

// The line breaks wherever it may while the laptop claims. Whoever asked is told
// that the XS is not there; if that has let the laptop in all the same, the daemon
// finds out without being asked again.
func TestRecoveryClaimUnheard(t *testing.T) {
	t.Parallel()
	r := lose(t, 5)
	heard, unheard := 0, 0
	for n := int64(0); heard == 0; n += max(100, min(1500, 4500-n)) {
		r.reflash(t)
		call := r.cutOff(t, n, func() {}, "Claim", r.Options.Serial, "")
		if call.Err == nil {
			heard++
			continue
		}
		refused(t, call.Err, "ServerUnavailable")
		if r.letIn(t) {
			unheard++
			r.awaitAccount(t)
		} else {
			r.claimed(t)
		}
	}
	if unheard == 0 {
		t.Error("no answer was lost")
	}
}

// The daemon is killed again and again while it brings the Journal back, to a
// laptop without a profile. It goes on by itself, and what is drawn meanwhile stays.
func TestRecoveryKilledWhileItRestores(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		draws int // after how many kills something is drawn, and Sugar runs
	}{{"Sugar runs", 1}, {"Sugar starts meanwhile", 14}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := lose(t, 60)
			kills := map[string]int{}
			draw := func(phase string) {
				kills[phase]++
				if n := kills["fetching"] + kills["later"]; n >= c.draws {
					r.draw(t, fmt.Sprint("drawn after kill ", n))
				}
			}
			r.claimed(t)
			reached := r.line.StandStill(fetchKills[0])
			start(t, r.XO, "Restore", "")
			for _, n := range fetchKills[1:] {
				await(t, reached)
				r.kill(t)
				r.line.HangUp()
				draw("fetching")
				reached = r.line.StandStill(n)
				if state := property[string](t, r.XO, "State"); state != "restoring" { // starts it again
					t.Fatalf("killed while it restored, the daemon is %s", state)
				}
			}
			r.line.GoOn()
			for i := 0; property[string](t, r.XO, "State") == "restoring"; i++ {
				r.awaitPublished(t, i, kills["fetching"]+i >= c.draws)
				r.kill(t)
				draw("later")
			}
			t.Logf("kills: %v", kills)
			if kills["later"] == 0 {
				t.Error("no kill fell into the publishing")
			}
			holds(t, r.XO, r.before)
			r.notOffered(t)
			done(t, r.XO, "Backup")
		})
	}
}

// awaitPublished waits until the restore has put some entries more into the Journal:
// a few by Sugar's datastore, or what takes ever longer without it.
func (r *reflashed) awaitPublished(t *testing.T, i int, bySugar bool) {
	t.Helper()
	if !bySugar {
		time.Sleep(time.Duration(i) * 40 * time.Millisecond)
	} else if jobs := property[[]objectPath](t, r.XO, "Jobs"); len(jobs) > 0 {
		awaitEntries(t, r.XO, jobs[0], 4)
	}
}

// fetchKills are how many bytes come between two kills.
var fetchKills = []int64{2 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10, 128 << 10, 512 << 10, 1 << 20, 1 << 20, 2 << 20}
