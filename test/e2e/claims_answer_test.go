package e2e

import (
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// claimedAndBackedUp is a pupil's laptop that was set up anew, let in, and has backed
// up the first thing that was drawn on it, before anybody said what becomes of what
// there was.
func claimedAndBackedUp(t *testing.T, s *bed.XS, n int) pupil {
	t.Helper()
	p := pupilAt(t, s, laptopNo(n), 5)
	reflash(t, p.XO, s)
	letIn(t, p.XO, p.account, "")
	_, err := p.Create(t.Context(), bed.Samples(1, 9)[0])
	must(t, err)
	must(t, p.Settle(t.Context()))
	done(t, p.XO, "Backup")
	if l := accountLine(t, s, p.account); l.Snapshots != 2 || len(l.Pinned) != 1 || l.Entries != 1 {
		t.Fatalf("%+v", l)
	}
	offersOnly(t, p.XO, p.offered("automatic"))
	return p
}

// What was there before a claim is kept, and offered, until somebody has brought it
// back or does not want it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	answered := func(t *testing.T, p pupil) {
		t.Helper()
		if l := accountLine(t, s, p.account); len(l.Pinned) > 0 {
			t.Errorf("still kept: %+v", l)
		}
		offersOnly(t, p.XO)
	}
	t.Run("restored", func(t *testing.T) {
		t.Parallel()
		p := claimedAndBackedUp(t, s, 1)
		done(t, p.XO, "Restore", "")
		if got := onDisk(t, p.XO); len(got) != len(p.journal)+1 {
			t.Errorf("%d entries", len(got))
		}
		answered(t, p)
	})
	t.Run("afresh", func(t *testing.T) {
		t.Parallel()
		p := claimedAndBackedUp(t, s, 2)
		dismiss(t, p.XO, "afresh")
		answered(t, p)
		stateIs(t, p.XO, "idle")
		done(t, p.XO, "Backup")
		done(t, p.XO, "Restore", snapshotID(t, p.XO, 1)) // and nothing is gone
		if got := onDisk(t, p.XO); len(got) != len(p.journal)+1 {
			t.Errorf("%d entries", len(got))
		}
	})
	t.Run("later", func(t *testing.T) {
		t.Parallel()
		p := pupilAt(t, s, laptopNo(3), 2)
		reflash(t, p.XO, s)
		dismiss(t, p.XO, "later")
		stateIs(t, p.XO, "unregistered")
		offersOnly(t, p.XO, p.offered("automatic"))
		stateIs(t, p.XO, "unregistered")
		letIn(t, p.XO, p.account, "")
		dismiss(t, p.XO, "later")
		offersOnly(t, p.XO, p.offered("automatic"))
		p.isBack(t, p.XO)
		answered(t, p)
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		x := bareAt(t, s, laptopNo(4))
		refused(t, x.Backup().Call("org.laptop.Backup.Dismiss", 0, "perhaps").Err, "InvalidArgument")
		deniedClaim(t, x, "InvalidArgument", "../x", "")
		stateIs(t, x, "first-boot")
	})
}

// An answer that is given where the school is out of reach is kept, and told there.
func TestAnswersAway(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p, q := claimedAndBackedUp(t, s, 1), claimedAndBackedUp(t, s, 2)
	r := pupilAt(t, s, laptopNo(3), 2)
	reflash(t, r.XO, s)
	must(t, s.Stop())

	dismiss(t, p.XO, "afresh")
	dismiss(t, q.XO, "not-me")
	stateIs(t, q.XO, "unregistered")
	stateIs(t, r.XO, "first-boot")
	refused(t, r.Backup().Call("org.laptop.Backup.FindBackups", 0).Err, "ServerUnavailable")
	deniedClaim(t, r.XO, "ServerUnavailable", r.account, "")
	for _, x := range []*bed.XO{p.XO, q.XO, r.XO} {
		must(t, x.StopService(t.Context(), bed.BackupName))
	}

	must(t, s.Start(t.Context()))
	done(t, p.XO, "Backup")
	if l := accountLine(t, s, p.account); len(l.Pinned) > 0 {
		t.Errorf("still kept: %+v", l)
	}
	done(t, q.XO, "Backup")
	if own := property[string](t, q.XO, "Account"); own == q.account {
		t.Errorf("it is still in %s", own)
	}
	if l := accountLine(t, s, q.account); len(l.Requests) > 0 {
		t.Errorf("the claim is not undone: %+v", l)
	}
	must(t, q.Wizard(t.Context()))
	must(t, q.Register(t.Context()))
	done(t, q.XO, "Backup")
	letIn(t, r.XO, r.account, "")
	r.isBack(t, r.XO)
}
