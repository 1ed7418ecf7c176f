package e2e

import (
	"testing"
)

// A laptop that was set up anew finds its child's Journal at school, is let in at
// once, and has everything again.
func TestReflashAutomatic(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 6)
	reflash(t, p.XO, s)

	stateIs(t, p.XO, "first-boot")
	offersOnly(t, p.XO, p.offered("automatic"))
	stateIs(t, p.XO, "first-boot")
	claims := listen(t, p.XO)
	letIn(t, p.XO, p.account, "")
	told(t, claims, p.account, "granted")
	p.isBack(t, p.XO)
	if l := accountLine(t, s, p.account); l.Snapshots != 2 || l.writer() != p.Options.Serial || len(l.Pinned) != 0 || len(l.Requests) != 1 {
		t.Errorf("%+v", l)
	}
	offersOnly(t, p.XO) // it was answered
}
