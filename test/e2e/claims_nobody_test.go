package e2e

import (
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// The serial number is printed on the case: who knows no more is told nothing, and
// not let in.
func TestSerialAlone(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 2)
	before := atSchool(t, s, p.account)
	for _, uuid := range []string{laptopNo(2).UUID, "", "00000000-0000-0000-0000-000000000000"} {
		x := bareAt(t, s, bed.Options{Serial: p.Options.Serial, UUID: uuid})
		offersOnly(t, x)
		waits(t, x, p.account)
		offersOnly(t, x)
		failed(t, x, "NotRegistered", "Restore", "")
	}
	if atSchool(t, s, p.account) != before {
		t.Errorf("the account is not what it was")
	}
	// It itself is recognised all the same.
	reflash(t, p.XO, s)
	offersOnly(t, p.XO, p.offered("automatic"))
	letIn(t, p.XO, p.account, "")
	p.isBack(t, p.XO)
}

// Laptops whose firmware says nothing of which they are never see each other's. A
// person or a code lets them in.
func TestNobodysIdentity(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	for name, machine := range map[string]bed.Options{
		"nothing": {},
		"Sugar":   {Serial: "SHF00000000", UUID: "00000000-0000-0000-0000-000000000000"},
		"BIOS":    {Serial: "0", UUID: "ffffffff-ffff-ffff-ffff-ffffffffffff"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := bareAt(t, s, machine)
			x.Options.Nick = "Child of " + name
			must(t, x.Wizard(t.Context()))
			must(t, x.Register(t.Context()))
			p := backsUp(t, x, 3)
			before := atSchool(t, s, p.account)

			twin := bareAt(t, s, machine)
			offersOnly(t, twin)
			sign := waits(t, twin, p.account)
			if atSchool(t, s, p.account) != before {
				t.Errorf("the account is not what it was")
			}
			reflash(t, p.XO, s)
			offersOnly(t, p.XO)
			admin(t, s, "approve", p.account, "--sign", sign)
			letIn(t, twin, p.account, "") // asked again
			p.isBack(t, twin)

			letIn(t, p.XO, "", admin(t, s, "code", p.account))
			stateIs(t, p.XO, "idle")
			done(t, p.XO, "Restore", snapshotID(t, p.XO, 1))
			holds(t, p.XO, p.journal)
			done(t, p.XO, "Backup")
		})
	}
}
