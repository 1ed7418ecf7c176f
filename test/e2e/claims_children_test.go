package e2e

import (
	"strings"
	"testing"
)

// A laptop that two children have had, one after the other, is offered both their
// Journals; each child brings back its own, and the other's is untouched.
func TestSeveralChildren(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	amara := pupilAt(t, s, laptopNo(1), 4)
	x := amara.XO
	afresh(t, amara, s, "Beto")
	dismiss(t, x, "not-me")
	beto := backsUp(t, x, 3)
	if amara.account == beto.account {
		t.Fatalf("both have %s", beto.account)
	}

	reflash(t, x, s)
	offersOnly(t, x, amara.offered("automatic"), beto.offered("automatic"))
	before := atSchool(t, s, amara.account)
	letIn(t, x, beto.account, "")
	offersOnly(t, x, amara.offered("automatic"), beto.offered("automatic"))
	beto.isBack(t, x)
	if atSchool(t, s, amara.account) != before {
		t.Errorf("Amara's account is not what it was")
	}
	offersOnly(t, x, amara.offered("automatic"))

	reflash(t, x, s)
	before = atSchool(t, s, beto.account)
	letIn(t, x, amara.account, "")
	amara.isBack(t, x)
	if atSchool(t, s, beto.account) != before {
		t.Errorf("Beto's account is not what it was")
	}
}

// A Journal that was claimed by mistake: the child says so, and has an account of
// its own from then on, whether Sugar's key was there by then or not. The other
// child's has lost nothing, and can be claimed again.
func TestNotMeAfterAll(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	for i, keyFirst := range []bool{true, false} {
		t.Run(map[bool]string{true: "after the wizard", false: "before the wizard"}[keyFirst], func(t *testing.T) {
			t.Parallel()
			amara := pupilAt(t, s, laptopNo(i+1), 4)
			x := amara.XO
			reflash(t, x, s)
			x.Options.Nick = "Beto"
			if keyFirst {
				must(t, x.Wizard(t.Context()))
			}
			letIn(t, x, amara.account, "")
			dismiss(t, x, "not-me")
			stateIs(t, x, "idle")
			if l := accountLine(t, s, amara.account); len(l.Requests) > 0 {
				t.Errorf("Amara's account is not as it was: %+v", l)
			}
			if !keyFirst {
				must(t, x.Wizard(t.Context()))
			}
			beto := backsUp(t, x, 2)
			if beto.account == amara.account {
				t.Fatal("it is still in Amara's account")
			}
			url, err := x.SugarRegister(t.Context(), s)
			if err != nil || !strings.HasPrefix(url, beto.account+"@") {
				t.Errorf("Sugar registers as %q, not %s: %v", url, beto.account, err)
			}
			must(t, x.Register(t.Context()))
			done(t, x, "Backup")
			if l := accountLine(t, s, beto.account); l.Nick != "Beto" || l.Snapshots != 1 {
				t.Errorf("%+v", l)
			}
			if l := accountLine(t, s, amara.account); l.Snapshots != 1 || l.Nick != "Amara" {
				t.Errorf("%+v", l)
			}
			reflash(t, x, s)
			letIn(t, x, amara.account, "")
			amara.isBack(t, x)
		})
	}
}

// The same where the school is out of reach when the child says so: the next backup
// makes the account, and the other child's own laptop writes again.
func TestNotMeAway(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	amara := pupilAt(t, s, laptopNo(1), 3)
	x := bareAt(t, s, laptopNo(2))
	x.Options.Nick = "Beto"
	letIn(t, x, "", admin(t, s, "code", amara.account))
	must(t, x.Wizard(t.Context()))
	must(t, x.Register(t.Context())) // Sugar's key is in Amara's account, too
	failed(t, amara.XO, "ServerRefused", "Backup")
	must(t, s.Stop())
	dismiss(t, x, "not-me")
	must(t, s.Start(t.Context()))
	beto := backsUp(t, x, 2)
	if beto.account == amara.account {
		t.Fatal("it is still in Amara's account")
	}
	url, err := x.SugarRegister(t.Context(), s)
	if err != nil || !strings.HasPrefix(url, beto.account+"@") {
		t.Errorf("Sugar registers as %q, not %s: %v", url, beto.account, err)
	}
	done(t, amara.XO, "Backup")
	if l := accountLine(t, s, amara.account); len(l.Requests) > 0 || len(l.Machines) != 1 || l.Snapshots != 1 {
		t.Errorf("Amara's account is not as it was: %+v", l)
	}
}

// A person lets a laptop in that has wanted to be another child's meanwhile: it gets an
// account of its own all the same.
func TestNotMeBeforeTheYes(t *testing.T) {
	t.Parallel()
	s := school(t, "approval")
	amara := pupilAt(t, s, laptopNo(1), 3)
	x := bareAt(t, s, laptopNo(2))
	waits(t, x, amara.account)
	must(t, s.Stop())
	dismiss(t, x, "not-me")
	must(t, s.Start(t.Context()))
	admin(t, s, "approve", amara.account)
	if beto := backsUp(t, x, 2); beto.account == amara.account {
		t.Error("it writes into Amara's account")
	}
	done(t, amara.XO, "Backup")
}
