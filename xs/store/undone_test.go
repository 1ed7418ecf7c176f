package store

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/wire"
)

// The old key shows up after a claim: there are two of one machine.
func TestFrozen(t *testing.T) {
	b := newClaimBed(t)
	b.claim(ana(2), b.id, Automatic)
	// What the new one let in shares its fate.
	k, _ := mustAccount(t, b.Store, b.id).FindKey(testKey(2))
	if err := b.AddKey(t.Context(), b.id, k, testKey(20), "SHC00000001"); err != nil {
		t.Fatal(err)
	}
	b.may(20, "write")
	b.showUp(1)
	for key, want := range map[int]string{1: "write", 2: "nothing", 20: "nothing"} {
		b.may(key, want)
	}
	if b.state(ana(2), "") != Frozen {
		t.Error("not frozen")
	}
	// Sugar's registration with a key that came along is the same question once more.
	frozen := mustAccount(t, b.Store, b.id).claimThat(func(c *Claim) bool { return c.State == Frozen })
	var waits *OtherKeyError
	_, err := b.Register(t.Context(), Registration{Serial: "SHC00000001", UUID: testUUID, Nick: "Ana", Key: testKey(20)}, 100)
	if !errors.As(err, &waits) || waits.Sign != frozen.Sign {
		t.Errorf("%v, sign %s", err, frozen.Sign)
	}
	// No key of any day gets in by itself now.
	if out := b.claim(ana(3), b.id, Automatic); out.State != Waits {
		t.Errorf("%+v", out)
	}
	var many *SignsError
	if _, err := b.Approve(t.Context(), b.id, ""); !errors.As(err, &many) || len(many.Signs) != 2 {
		t.Errorf("%v", err)
	}
	// A person says that it was the child: for good.
	must[Claim](t)(b.Approve(t.Context(), b.id, " "+strings.ToUpper(frozen.Sign)+" "))
	for key, want := range map[int]string{1: "nothing", 2: "write", 20: "write", 3: "nothing"} {
		b.may(key, want)
	}
	if got := b.events(); !slices.Equal(got, []string{"asked", "granted", "frozen", "asked", "granted"}) {
		t.Errorf("%v", got)
	}
}

// What was granted, frozen or not, is taken back, and then things are as before.
func TestTakenBack(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		b := newClaimBed(t)
		before := mustAccount(t, b.Store, b.id)
		b.claim(ana(2), b.id, Automatic)
		if frozen {
			b.showUp(1)
		}
		if c := must[Claim](t)(b.Refuse(t.Context(), b.id, "")); c.State != Refused {
			t.Errorf("%+v", c)
		}
		after := mustAccount(t, b.Store, b.id)
		if !reflect.DeepEqual(after.Keys, before.Keys) || !reflect.DeepEqual(after.Machines, before.Machines) || b.state(ana(2), "") != Refused {
			t.Errorf("%+v became %+v", before, after)
		}
		// Who was turned out does not come in again by another key, nor with that one.
		for key, want := range map[int]State{2: Refused, 3: Waits} {
			if out := b.claim(ana(key), b.id, Automatic); out.State != want {
				t.Errorf("key %d: %+v", key, out)
			}
		}
		if _, err := b.Refuse(t.Context(), b.id, "no such sign"); !errors.Is(err, ErrNoClaim) {
			t.Error(err)
		}
	}
}

// Claims that follow each other are taken back in any order.
func TestClaimsInARow(t *testing.T) {
	b := newClaimBed(t)
	b.claim(ana(2), b.id, Automatic)
	first := mustAccount(t, b.Store, b.id).Claims[0]
	b.claim(ana(3), b.id, Automatic)
	second := mustAccount(t, b.Store, b.id).Claims[1]
	b.may(1, "read")
	b.may(2, "read")
	b.may(3, "write")
	must[Claim](t)(b.Refuse(t.Context(), b.id, first.Sign))
	b.may(1, "read")
	b.may(2, "nothing")
	b.may(3, "write")
	must[Claim](t)(b.Refuse(t.Context(), b.id, second.Sign))
	b.may(1, "write")
	b.may(3, "nothing")
}

// Another machine for the same child, let in by a person: the old one may come
// back to read, and is seen.
func TestReplaced(t *testing.T) {
	b := newClaimBed(t)
	other := machine("SHC00000002", "u2", 2)
	out := b.claim(other, b.id, Automatic)
	if list, err := b.Requests(); out.State != Waits || err != nil || len(list) != 1 || list[0].Sign != out.Sign || list[0].Nick != "Ana" {
		t.Fatalf("%+v %+v %v", out, list, err)
	}
	must[Claim](t)(b.Approve(t.Context(), b.id, out.Sign))
	if list, _ := b.Requests(); len(list) > 0 || b.state(other, b.id) != Granted || b.state(other, "") != Granted {
		t.Errorf("%+v", list)
	}
	b.showUp(1)
	b.may(1, "read")
	b.may(2, "write")
	a := mustAccount(t, b.Store, b.id)
	if w, _ := a.Writer(); w.Serial != "SHC00000002" || len(a.Machines) != 2 || a.Claims[0].Back == 0 {
		t.Errorf("%+v", a)
	}
	// The old machine, set up anew, may be another child's: a person is asked.
	if list, _ := b.Claimable(t.Context(), ana(3), Automatic); len(list) != 1 || list[0].Claim != wire.ClaimApproval {
		t.Errorf("%+v", list)
	}
	must[Claim](t)(b.Refuse(t.Context(), b.id, ""))
	b.may(1, "write")
	b.may(2, "nothing")
	if a := mustAccount(t, b.Store, b.id); len(a.Machines) != 1 {
		t.Errorf("%+v", a.Machines)
	}
}

// Whether an account exists, nobody learns from what a stranger is told.
// A laptop that was replaced, and is its child's again, asks to write as any other
// does; what it had read all the time it reads on.
func TestReplacedComesAgain(t *testing.T) {
	b := newClaimBed(t)
	offers := func(c Claimant) (how []string) {
		for _, o := range must[[]wire.Claimable](t)(b.Claimable(t.Context(), c, Automatic)) {
			how = append(how, o.Claim)
		}
		return how
	}
	if how := offers(ana(1)); len(how) > 0 {
		t.Errorf("who writes is offered %v", how)
	}
	other := machine("SHC00000002", "u2", 2)
	code := must[wire.Code](t)(b.NewCode(t.Context(), b.id))
	if out := must[Outcome](t)(b.Claim(t.Context(), other, "", code, Automatic)); out.State != Granted {
		t.Fatalf("%+v", out)
	}
	if how := offers(ana(1)); !slices.Equal(how, []string{wire.ClaimApproval}) {
		t.Errorf("who was replaced is offered %v", how)
	}
	out := b.claim(ana(1), b.id, Automatic)
	if out.State != Waits {
		t.Fatalf("%+v", out)
	}
	b.may(1, "read")
	must[Claim](t)(b.Approve(t.Context(), b.id, out.Sign))
	b.may(1, "write")
	b.may(2, "read")
	if s := b.state(ana(1), b.id); s != Granted {
		t.Error(s)
	}
}

// Who claimed by mistake leaves: all is as it was, and may be claimed again.
func TestLeave(t *testing.T) {
	b := newClaimBed(t)
	leave := func(c Claimant, want string) {
		t.Helper()
		if out := must[Outcome](t)(b.Leave(t.Context(), c, want)); out.State != noClaim || out.Account != "" {
			t.Errorf("%+v", out)
		}
	}
	other := machine("SHC00000002", "u2", 2)
	code := must[wire.Code](t)(b.NewCode(t.Context(), b.id))
	must[Outcome](t)(b.Claim(t.Context(), other, "", code, Automatic))
	leave(machine("SHC00000002", "u2", 3), string(b.id)) // another key has no say
	leave(ana(1), string(b.id))                          // nor has one without a claim
	leave(other, "no-such-account")
	b.may(2, "write")
	b.may(1, "read")
	leave(other, string(b.id))
	b.may(2, "nothing")
	b.may(1, "write")
	leave(other, string(b.id)) // again
	if a := mustAccount(t, b.Store, b.id); len(a.Claims) > 0 || a.has("SHC00000002") {
		t.Errorf("%+v", a)
	}
	if out := b.claim(ana(4), b.id, Automatic); out.State != Granted {
		t.Fatalf("%+v", out)
	}
	leave(ana(4), string(b.id))
	if out := b.claim(ana(5), b.id, Automatic); out.State != Granted {
		t.Errorf("after a mistake: %+v", out)
	}
	// One that waits goes, too.
	if out := b.claim(ana(6), b.id, Approval); out.State != Waits {
		t.Fatalf("%+v", out)
	}
	leave(ana(6), string(b.id))
	if s := b.state(ana(6), b.id); s != noClaim {
		t.Error(s)
	}
}

// One whose request waits outside of the account asks for it no more either.
func TestLeaveTheQueue(t *testing.T) {
	b := newClaimBed(t)
	c := machine("SHC00000009", "u9", 9)
	if out := b.claim(c, b.id, Automatic); out.State != Waits {
		t.Fatalf("%+v", out)
	}
	must[Outcome](t)(b.Leave(t.Context(), c, string(b.id)))
	if s := b.state(c, b.id); s != noClaim {
		t.Error(s)
	}
}

// A person may let a machine in while its child decides to be somebody else: it gets
// an account of its own all the same, and who was there before writes again.
func TestOwnAfterGranted(t *testing.T) {
	b := newClaimBed(t)
	c := machine("SHC00000002", "u2", 2)
	b.claim(c, b.id, Automatic)
	must[Claim](t)(b.Approve(t.Context(), b.id, ""))
	k, _ := mustAccount(t, b.Store, b.id).FindKey(c.Key)
	if err := b.AddKey(t.Context(), b.id, k, testKey(3), c.Serial); err != nil { // Sugar's
		t.Fatal(err)
	}
	b.may(1, "read")
	own := Registration{Serial: c.Serial, UUID: c.UUID, Nick: "Ben", Key: c.Key, Own: true}
	id := must[AccountID](t)(b.Register(t.Context(), own, 100))
	if id == b.id {
		t.Error("it is in the other child's")
	}
	b.may(1, "write")
	b.may(2, "nothing")
	b.may(3, "nothing")
	if again := must[AccountID](t)(b.Register(t.Context(), own, 100)); again != id {
		t.Errorf("asked again: %s, not %s", again, id)
	}
}
