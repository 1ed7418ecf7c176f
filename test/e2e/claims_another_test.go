package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// replaces checks that a laptop has taken the place of the pupil's: it has all and
// backs up; the old one reads, and that is all.
func (p pupil) replaces(t *testing.T, s *bed.XS, x *bed.XO, by string) {
	t.Helper()
	p.isBack(t, x)
	l := accountLine(t, s, p.account)
	if l.writer() != x.Options.Serial || len(l.Machines) != 2 || l.Requests[len(l.Requests)-1].By != by {
		t.Errorf("%+v", l)
	}
	failed(t, p.XO, "ServerRefused", "Backup")
	if len(snapshots(t, p.XO)) != l.Snapshots {
		t.Errorf("the old laptop sees %d snapshots of %d", len(snapshots(t, p.XO)), l.Snapshots)
	}
	must(t, p.WipeJournal(t.Context()))
	done(t, p.XO, "Restore", snapshotID(t, p.XO, l.Snapshots-1))
	holds(t, p.XO, p.journal)
	if r := accountLine(t, s, p.account).Requests; r[len(r)-1].State != "granted" {
		t.Errorf("because the old one reads: %+v", r)
	}
}

// A laptop that an administrator has named as another one of the child's is let in
// when it asks, and out when that is undone.
func TestAlias(t *testing.T) {
	t.Parallel()
	s := school(t, "approval")
	p := pupilAt(t, s, laptopNo(1), 4)
	x := bareAt(t, s, laptopNo(2))
	offersOnly(t, x)
	admin(t, s, "alias", p.account, x.Options.Serial)
	offersOnly(t, x, p.offered("automatic"))
	admin(t, s, "alias", p.account, x.Options.Serial, "--remove")
	offersOnly(t, x)

	admin(t, s, "alias", p.account, x.Options.Serial+"/"+x.Options.UUID)
	letIn(t, x, p.account, "")
	p.replaces(t, s, x, "alias")

	admin(t, s, "alias", p.account, x.Options.Serial, "--remove")
	failed(t, x, "NotRegistered", "Backup")
	offersOnly(t, x)
	done(t, p.XO, "Backup")
	if l := accountLine(t, s, p.account); l.writer() != p.Options.Serial || len(l.Machines) != 1 || l.Snapshots != 3 {
		t.Errorf("%+v", l)
	}
}

// A laptop that nobody recognises waits, whatever it asks for, and hears no more
// than its sign; by that a person lets it in.
func TestStrangerWaits(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p, q := pupilAt(t, s, laptopNo(1), 3), pupilAt(t, s, laptopNo(2), 3)
	others := atSchool(t, s, q.account)
	const nobodys = "SHC00699999"
	ask := func(n int, account, shown string) (*bed.XO, string) {
		t.Helper()
		x := bareAt(t, s, laptopNo(n))
		offersOnly(t, x)
		claims := listen(t, x)
		sign := waits(t, x, account)
		told(t, claims, account, "pending")
		offersOnly(t, x)
		stateIs(t, x, "first-boot")
		if r := accountLine(t, s, shown).by(t, sign); r.State != "pending" || r.Serial != x.Options.Serial || r.Account != account {
			t.Errorf("asks for %q: %+v", account, r)
		}
		return x, sign
	}
	named, _ := ask(10, p.account, p.account)
	silent, sign := ask(11, "", "")
	wrong, signOfWrong := ask(12, nobodys, "")

	admin(t, s, "approve", p.account)
	letIn(t, named, p.account, "") // asked again
	p.replaces(t, s, named, "approval")

	if _, err := s.Run(t.Context(), "approve", p.account); err == nil {
		t.Error("one that named no account is let in without its sign")
	}
	if _, err := s.Run(t.Context(), "approve", p.account, "--sign", signOfWrong); err == nil {
		t.Error("one is let into another account than it asks for")
	}
	admin(t, s, "approve", p.account, "--sign", sign)
	letIn(t, silent, "", "")
	if got := len(snapshots(t, silent)); got != 2 {
		t.Errorf("it sees %d snapshots", got)
	}
	if got := accountLine(t, s, p.account).writer(); got != silent.Options.Serial {
		t.Errorf("%s writes", got)
	}
	if again := waits(t, wrong, nobodys); again != signOfWrong {
		t.Errorf("the sign was %q, and is %q", signOfWrong, again)
	}
	if atSchool(t, s, q.account) != others {
		t.Errorf("the other child's account is not what it was")
	}
}

// Two that wait for one account are told apart by their signs.
func TestTwoWait(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 2)
	x, y := bareAt(t, s, laptopNo(2)), bareAt(t, s, laptopNo(3))
	ofX, ofY := waits(t, x, p.account), waits(t, y, p.account)
	_, err := s.Run(t.Context(), "approve", p.account)
	if err == nil || !strings.Contains(err.Error(), ofX) || !strings.Contains(err.Error(), ofY) {
		t.Errorf("which is meant: %v", err)
	}
	admin(t, s, "approve", p.account, "--sign", ofY)
	admin(t, s, "approve", p.account, "--sign", ofX, "--refuse")
	deniedClaim(t, x, "ClaimRefused", p.account, "")
	letIn(t, y, p.account, "")
	stateIs(t, y, "idle")
}

// A child that has begun anew on another laptop gets its old Journal by a code, and
// goes on in that one: what is at school of the new one stays there.
func TestClaimFromAnAccount(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p, fresh := pupilAt(t, s, laptopNo(1), 4), pupilAt(t, s, laptopNo(2), 3)
	x := fresh.XO
	letIn(t, x, "", admin(t, s, "code", p.account))
	stateIs(t, x, "idle")
	left := atSchool(t, s, fresh.account)
	if got := property[string](t, x, "Account"); got != p.account {
		t.Errorf("account %s", got)
	}
	if last := property[int64](t, x, "LastBackup"); last != 0 {
		t.Errorf("the last backup into another account was at %d", last)
	}
	offersOnly(t, x, p.offered("automatic"))
	done(t, x, "Restore", "")
	both := maps.Clone(p.journal)
	maps.Copy(both, fresh.journal)
	holds(t, x, both)
	done(t, x, "Backup")
	if l := accountLine(t, s, p.account); l.Entries != 7 || l.Snapshots != 2 || l.writer() != x.Options.Serial {
		t.Errorf("%+v", l)
	}
	offersOnly(t, x)
	must(t, x.Register(t.Context()))
	if url, err := x.SugarRegister(t.Context(), s); err != nil || !strings.HasPrefix(url, p.account+"@") {
		t.Errorf("Sugar registers as %q: %v", url, err)
	}
	if atSchool(t, s, fresh.account) != left {
		t.Errorf("what it had begun is not what it was: %s", atSchool(t, s, fresh.account))
	}
}

// A laptop that came by a code takes the place of the one before, until that is
// taken back.
func TestCodeMovesTheJournal(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 4)
	x := bareAt(t, s, laptopNo(2))
	letIn(t, x, "", admin(t, s, "code", p.account))
	p.replaces(t, s, x, "code")
	if l := accountLine(t, s, p.account); !slices.ContainsFunc(l.Requests, func(r request) bool { return r.Back != 0 }) {
		t.Errorf("nobody sees that the old one came back: %+v", l.Requests)
	}
	admin(t, s, "approve", p.account, "--refuse")
	failed(t, x, "NotRegistered", "Backup")
	done(t, p.XO, "Backup")
	if got := accountLine(t, s, p.account).writer(); got != p.Options.Serial {
		t.Errorf("%s writes", got)
	}
}
