package e2e

import (
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A laptop that was set up anew finds its child's Journal at school, is let in at
// once, and has everything again.
func TestReflashAutomatic(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p, q := pupilAt(t, s, laptopNo(1), 6), pupilAt(t, s, laptopNo(2), 3)
	other := atSchool(t, s, q.account)
	reflash(t, p.XO, s)

	stateIs(t, p.XO, "first-boot")
	offersOnly(t, p.XO, p.offered("automatic"))
	stateIs(t, p.XO, "first-boot")
	claims := listen(t, p.XO)
	letIn(t, p.XO, p.account, "")
	told(t, claims, p.account, "granted")
	offersOnly(t, p.XO, p.offered("automatic")) // nobody has answered what becomes of it
	p.isBack(t, p.XO)
	offersOnly(t, p.XO)
	l := accountLine(t, s, p.account)
	if l.Snapshots != 2 || l.writer() != p.Options.Serial || len(l.Pinned) != 0 || len(l.Requests) != 1 || l.Requests[0].By != "automatic" {
		t.Errorf("%+v", l)
	}
	if atSchool(t, s, q.account) != other {
		t.Errorf("the other child's account is not what it was: %s", atSchool(t, s, q.account))
	}
}

// Where a person has to approve it, both sides show the same sign, and the laptop
// tells by itself what was said.
func TestReflashApproval(t *testing.T) {
	t.Parallel()
	s := school(t, "approval")
	t.Run("yes", func(t *testing.T) {
		t.Parallel()
		p := pupilAt(t, s, laptopNo(1), 4)
		reflash(t, p.XO, s)
		offersOnly(t, p.XO, p.offered("approval"))
		claims := listen(t, p.XO)
		sign := waits(t, p.XO, p.account)
		if again := waits(t, p.XO, p.account); again != sign {
			t.Errorf("the sign was %q, and is %q", sign, again)
		}
		stateIs(t, p.XO, "first-boot")
		failed(t, p.XO, "NotRegistered", "Restore", "")
		must(t, p.StopService(t.Context(), bed.BackupName)) // the next one goes on asking
		stateIs(t, p.XO, "first-boot")
		if r := accountLine(t, s, p.account).by(t, sign); r.State != "pending" || r.Serial != p.Options.Serial {
			t.Errorf("%+v", r)
		}
		if said := admin(t, s, "approve", p.account); !strings.Contains(said, sign) {
			t.Errorf("no sign %q: %s", sign, said)
		}
		told(t, claims, p.account, "granted")
		_, err := p.Find(t.Context()) // Sugar's datastore runs meanwhile
		must(t, err)
		p.isBack(t, p.XO)
	})
	t.Run("no", func(t *testing.T) {
		t.Parallel()
		p := pupilAt(t, s, laptopNo(2), 4)
		reflash(t, p.XO, s)
		claims := listen(t, p.XO)
		sign := waits(t, p.XO, p.account)
		admin(t, s, "approve", p.account, "--refuse", "--sign", strings.ToUpper(sign))
		told(t, claims, p.account, "refused")
		deniedClaim(t, p.XO, "ClaimRefused", p.account, "")
		if why := property[string](t, p.XO, "StateReason"); strings.Contains(why, sign) {
			t.Errorf("it still waits: %s", why)
		}
		failed(t, p.XO, "NotRegistered", "Restore", "")
		// What the refusal says helps: a code.
		letIn(t, p.XO, "", admin(t, s, "code", p.account))
		p.isBack(t, p.XO)
	})
}

// For the day that a class is set up anew: who waits is let in, and who asks within
// the hour; but no stranger.
func TestReflashedClass(t *testing.T) {
	t.Parallel()
	s := school(t, "approval")
	p, q := pupilAt(t, s, laptopNo(1), 3), pupilAt(t, s, laptopNo(2), 2)
	stranger := bareAt(t, s, laptopNo(3))
	reflash(t, p.XO, s)
	sign := waits(t, p.XO, p.account)
	waits(t, stranger, q.account)

	if said := admin(t, s, "approve", "--all", "--for", "1h"); !strings.Contains(said, sign) || strings.Contains(said, q.account) {
		t.Errorf("let in: %s", said)
	}
	letIn(t, p.XO, p.account, "") // asked again
	p.isBack(t, p.XO)
	reflash(t, q.XO, s)
	offersOnly(t, q.XO, q.offered("automatic"))
	letIn(t, q.XO, q.account, "")
	stateIs(t, q.XO, "idle")
	waits(t, stranger, q.account)
}

// Sugar's own key is made after the claim, at the end of its first-boot wizard: it
// comes in with ours, and Sugar's registration answers the same account.
func TestWizardAfterClaim(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 3)
	reflash(t, p.XO, s)
	letIn(t, p.XO, p.account, "")
	done(t, p.XO, "Restore", "")
	holds(t, p.XO, p.journal)
	must(t, p.MakeOwnerKey(t.Context()))
	done(t, p.XO, "Backup")
	if url := setting(t, p.XO, "org.sugarlabs", "backup-url"); !strings.HasPrefix(url, p.account+"@") {
		t.Errorf("Sugar is registered as %q", url)
	}
	url, err := p.SugarRegister(t.Context(), s)
	must(t, err)
	if !strings.HasPrefix(url, p.account+"@") {
		t.Errorf("Sugar registers as %q", url)
	}
	must(t, p.Register(t.Context()))
	done(t, p.XO, "Backup")
	if l := accounts(t, s); len(l) != 1 || l[0].Snapshots != 1 || len(l[0].Requests) != 1 {
		t.Errorf("%+v", l)
	}
}
