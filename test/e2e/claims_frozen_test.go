package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A laptop comes back with the key that it had, although one that says it is the
// same has claimed its Journal: there are two. The claim is frozen, the old key is
// where it was, and nothing is lost on either side, until a person says which of
// them is the child's.
func TestFrozen(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	t.Run("the claim was right", func(t *testing.T) {
		t.Parallel()
		p, x := frozen(t, s, 1)
		err := x.Register(t.Context()) // as its state says
		refused(t, err, "ServerRefused")
		sign := waits(t, x, p.account)
		if !strings.Contains(err.Error(), sign) {
			t.Errorf("no sign %q in: %v", sign, err)
		}
		claims := listen(t, x)
		admin(t, s, "approve", p.account)
		told(t, claims, p.account, "granted")
		if r := accountLine(t, s, p.account).by(t, sign); r.State != "granted" || r.By != "approval" {
			t.Errorf("%+v", r)
		}
		done(t, x, "Backup")
		must(t, x.Register(t.Context()))
		failed(t, p.XO, "NotRegistered", "Backup")
		failed(t, p.XO, "NotRegistered", "Restore", "")
		allThere(t, s, x, p)
	})
	t.Run("the old one was right", func(t *testing.T) {
		t.Parallel()
		p, x := frozen(t, s, 2)
		sign := waits(t, x, p.account)
		admin(t, s, "approve", p.account, "--refuse", "--sign", sign)
		failed(t, x, "NotRegistered", "Backup")
		deniedClaim(t, x, "ClaimRefused", p.account, "")
		done(t, p.XO, "Backup")
		allThere(t, s, p.XO, p)
		// With another key it is not let in by itself.
		reflash(t, x, s)
		offersOnly(t, x, p.offered("approval"))
	})
}

// frozen is a child's laptop, and another that says it is the same one: it has
// claimed the Journal, brought it back and backed up, and then the first came again.
func frozen(t *testing.T, s *bed.XS, n int) (pupil, *bed.XO) {
	t.Helper()
	p := pupilAt(t, s, laptopNo(n), 3)
	x := bareAt(t, s, laptopNo(n))
	letIn(t, x, p.account, "")
	must(t, x.MakeOwnerKey(t.Context())) // it comes in with ours
	p.isBack(t, x)

	done(t, p.XO, "Backup")
	r := accountLine(t, s, p.account).Requests[0]
	if r.State != "frozen" || len(r.Beside) == 0 || slices.Contains(r.Beside, r.Key) || r.Key == "" {
		t.Errorf("both keys are to be seen: %+v", r)
	}
	failed(t, x, "NotRegistered", "Backup")
	failed(t, x, "NotRegistered", "Restore", "")
	holds(t, p.XO, p.journal)
	done(t, p.XO, "Backup")
	return p, x
}

// allThere checks that an XO sees the snapshots of both.
func allThere(t *testing.T, s *bed.XS, x *bed.XO, p pupil) {
	t.Helper()
	var sizes []uint32
	for _, snapshot := range snapshots(t, x) {
		n, _ := snapshot["entries"].Value().(uint32)
		sizes = append(sizes, n)
	}
	n := uint32(len(p.journal))
	if !slices.Contains(sizes, n) || !slices.Contains(sizes, n+1) {
		t.Errorf("snapshots of %v entries", sizes)
	}
	admin(t, s, "verify", p.account)
}
