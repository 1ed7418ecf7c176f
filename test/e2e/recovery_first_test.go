package e2e

import (
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// firstBoot is a laptop that was set up anew, in a place without a network. The
// child has drawn something and the daemon was started anew: nobody has been asked
// yet whose laptop this is.
func firstBoot(t *testing.T) *reflashed {
	t.Helper()
	r := lose(t, 20)
	must(t, r.xs.Stop())
	still := func() {
		t.Helper()
		if state := property[string](t, r.XO, "State"); state != "first-boot" {
			t.Fatalf("State is %s", state)
		}
		r.withinAMinute(t, "FindBackups")
	}
	still()
	r.draw(t, "drawn first")
	still()
	must(t, r.StopService(t.Context(), bed.BackupName))
	r.draw(t, "drawn before the daemon started again")
	still()
	return r
}

// dismiss answers the offer.
func (r *reflashed) dismiss(t *testing.T, answer string) {
	t.Helper()
	must(t, r.Backup().CallWithContext(t.Context(), "org.laptop.Backup.Dismiss", 0, answer).Err)
}

// comesBack claims the Journal and has it restored, beside what was drawn.
func (r *reflashed) comesBack(t *testing.T) {
	t.Helper()
	r.offered(t, 20)
	r.claimed(t)
	r.draw(t, "drawn before it is back")
	done(t, r.XO, "Restore", "")
	holds(t, r.XO, r.before)
	r.notOffered(t)
	done(t, r.XO, "Backup")
	if state := property[string](t, r.XO, "State"); state != "idle" {
		t.Errorf("in the end it is %s", state)
	}
}

// The network comes later than the first drawing. Whatever was answered meanwhile,
// the child's Journal can be had, and the drawings are in it too.
func TestRecoveryWithoutNetworkFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// Answers before and after the XS is there.
		without, with []string
		state         string // then
	}{
		{"nobody answered", nil, nil, "first-boot"},
		{"later", []string{"later"}, []string{"later"}, "unregistered"},
		{"afresh", []string{"afresh"}, nil, "unregistered"},
		{"later, then afresh", nil, []string{"later", "afresh"}, "unregistered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := firstBoot(t)
			for _, answer := range c.without {
				r.dismiss(t, answer)
			}
			must(t, r.xs.Start(t.Context()))
			for _, answer := range c.with {
				r.offered(t, 20)
				r.dismiss(t, answer)
			}
			for range 2 {
				r.offered(t, 20)
				if state := property[string](t, r.XO, "State"); state != c.state {
					t.Errorf("then it is %s", state)
				}
				must(t, r.StopService(t.Context(), bed.BackupName))
			}
			r.comesBack(t)
		})
	}
}

// Who wanted a new Journal, and has one at school by now, can still have the old one
// back: what was made in the new one comes along.
func TestRecoveryChangesItsMind(t *testing.T) {
	t.Parallel()
	r := lose(t, 20)
	r.offered(t, 20)
	r.dismiss(t, "afresh")
	must(t, r.MakeOwnerKey(t.Context())) // Sugar's wizard
	must(t, r.Register(t.Context()))
	own := property[string](t, r.XO, "Account")
	if own == "" || own == r.Options.Serial {
		t.Fatalf("a new Journal is in the account %q", own)
	}
	r.draw(t, "drawn in the new Journal")
	done(t, r.XO, "Backup")
	r.comesBack(t)
	if now := property[string](t, r.XO, "Account"); now != r.Options.Serial {
		t.Errorf("then it is %s", now)
	}
	must(t, r.Register(t.Context()))
	done(t, r.XO, "Backup")
	if now := property[string](t, r.XO, "Account"); now != r.Options.Serial {
		t.Errorf("registered again, it is %s", now)
	}
	if kept := r.administer(t, "snapshots", own, "--json"); !strings.Contains(kept, `"entries": 1`) {
		t.Errorf("of the new Journal is kept: %s", kept)
	}
}
