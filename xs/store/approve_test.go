package store

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

func TestAlias(t *testing.T) {
	b := newClaimBed(t)
	other := machine("SHC00000002", "u2", 2)
	alias := func(m Machine) error { return b.Alias(t.Context(), b.id, m) }
	for _, m := range []Machine{{}, {Serial: "SHF00000000"}, {Serial: "SHC00000002", UUID: emptyUUID}, {Serial: "SHC00000002", UUID: "u\n"}} {
		if alias(m) == nil {
			t.Errorf("%+v is an alias", m)
		}
	}
	if err := alias(Machine{Serial: "SHC00000002"}); err != nil {
		t.Fatal(err)
	}
	// It is let in whatever the policy, and offered.
	if list, _ := b.Claimable(t.Context(), other, CodeOnly); len(list) != 1 || list[0].Claim != wire.ClaimAutomatic {
		t.Errorf("%+v", list)
	}
	if out := b.claim(other, b.id, CodeOnly); out.State != Granted {
		t.Errorf("%+v", out)
	}
	b.may(2, "write")
	b.may(1, "read")
	// Once: the next one with that serial is another machine.
	if out := b.claim(machine("SHC00000002", "u3", 3), b.id, Automatic); out.State != Waits {
		t.Errorf("%+v", out)
	}
	if err := b.RemoveAlias(t.Context(), b.id, "SHC00000002"); err != nil {
		t.Fatal(err)
	}
	b.may(2, "nothing")
	b.may(1, "write")
	if err := b.RemoveAlias(t.Context(), b.id, "SHC00000002"); !errors.Is(err, ErrNoClaim) {
		t.Error(err)
	}
	// With a uuid it is that machine and no other, and may be removed before.
	if err := alias(Machine{Serial: "SHC00000004", UUID: "u4"}); err != nil {
		t.Fatal(err)
	}
	if list, _ := b.Claimable(t.Context(), machine("SHC00000004", "u5", 4), Automatic); len(list) > 0 {
		t.Errorf("%+v", list)
	}
	if err := b.RemoveAlias(t.Context(), b.id, "SHC00000004"); err != nil {
		t.Fatal(err)
	}
	if list, _ := b.Claimable(t.Context(), machine("SHC00000004", "u4", 4), Automatic); len(list) > 0 {
		t.Errorf("%+v", list)
	}
	// An alias keeps nobody from registering.
	if err := alias(Machine{Serial: "SHC00000006"}); err != nil {
		t.Fatal(err)
	}
	if id := b.account("SHC00000006", "u6", 6); id != "SHC00000006" {
		t.Error(id)
	}
}

// Sugar registers a machine that is known, with another key: that becomes a claim.
func TestRegistrationClaims(t *testing.T) {
	b := newClaimBed(t)
	r := Registration{Serial: "SHC00000001", UUID: testUUID, Nick: "Eve", Key: testKey(2)}
	var other *OtherKeyError
	for range 2 {
		if _, err := b.Register(t.Context(), r, 100); !errors.As(err, &other) || !errors.Is(err, ErrOtherKey) {
			t.Fatal(err)
		}
	}
	a := mustAccount(t, b.Store, b.id)
	if len(a.Claims) != 1 || a.Claims[0].Sign != other.Sign || a.Claims[0].By != ByRegistration || len(a.Keys) != 1 {
		t.Errorf("%+v", a)
	}
	b.may(2, "nothing")
	must[Claim](t)(b.Approve(t.Context(), b.id, ""))
	b.may(2, "write")
	if id, err := b.Register(t.Context(), r, 100); err != nil || id != b.id {
		t.Error(id, err)
	}
	// One that asks by itself besides is answered, and so is what registration asked.
	r.Key = testKey(7)
	if _, err := b.Register(t.Context(), r, 100); !errors.As(err, &other) {
		t.Error(err)
	}
	if out := b.claim(ana(8), b.id, Automatic); out.State != Granted || out.Account != b.id {
		t.Errorf("%+v", out)
	}
	if a := mustAccount(t, b.Store, b.id); len(a.Claims) != 2 {
		t.Errorf("%+v", a.Claims)
	}
	// A child that is none of the machine's gets an account, and touches no other: what
	// it asked for before, or Sugar did, it asks for no more.
	own := Registration{Serial: "SHC00000001", UUID: testUUID, Nick: "Ben", Key: testKey(3), Own: true}
	before := mustAccount(t, b.Store, b.id)
	r.Key = testKey(9)
	if _, err := b.Register(t.Context(), r, 100); !errors.As(err, &other) {
		t.Error(err)
	}
	b.claim(ana(3), b.id, Approval)
	b.claim(ana(3), "", Approval)
	id, err := b.Register(t.Context(), own, 100)
	if err != nil || id == b.id || !reflect.DeepEqual(before, mustAccount(t, b.Store, b.id)) {
		t.Error(id, err)
	}
	if queue := must[[]Request](t)(b.Requests()); len(queue) > 0 {
		t.Errorf("%+v", queue)
	}
	if list := must[[]wire.Claimable](t)(b.Claimable(t.Context(), ana(4), Automatic)); len(list) != 2 {
		t.Errorf("%+v", list)
	}
}

func TestOpen(t *testing.T) {
	b := newClaimBed(t)
	ben := b.account("SHC00000005", "u5", 5)
	b.claim(ana(2), b.id, Approval)
	stranger := machine("SHC00000009", "u9", 9)
	b.claim(stranger, ben, Approval)
	granted, err := b.ApproveAll(t.Context())
	if err != nil || len(granted) != 1 || granted[0].Account != b.id || granted[0].Claim.State != Granted {
		t.Errorf("%+v %v", granted, err)
	}
	if err := b.OpenFor(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if out := b.claim(machine("SHC00000005", "u5", 6), ben, CodeOnly); out.State != Granted {
		t.Errorf("%+v", out)
	}
	if b.state(stranger, ben) != Waits {
		t.Error("a stranger was let in")
	}
	b.now = b.now.Add(time.Hour + time.Second)
	if out := b.claim(machine("SHC00000005", "u5", 7), ben, CodeOnly); out.State != Waits {
		t.Errorf("%+v", out)
	}
}

// A laptop claims, and then Sugar registers with its own key: what waits for an answer
// is what is answered.
func TestAllAnswersWhoWaits(t *testing.T) {
	b := newClaimBed(t)
	b.claim(ana(2), b.id, Approval)
	b.now = b.now.Add(time.Second)
	if _, err := b.Register(t.Context(), Registration{Serial: "SHC00000001", UUID: testUUID, Key: testKey(3)}, 100); !errors.Is(err, ErrOtherKey) {
		t.Fatal(err)
	}
	if granted := must[[]Grant](t)(b.ApproveAll(t.Context())); len(granted) != 1 {
		t.Errorf("%+v", granted)
	}
	if s := b.state(ana(2), b.id); s != Granted {
		t.Error(s)
	}
	b.may(2, "write")
	b.may(3, "nothing")
}

// Whatever lets somebody in, or takes that back, leaves a line, and so does what a
// person prepares for it.
func TestHistory(t *testing.T) {
	b := newClaimBed(t)
	ok := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(events ...string) {
		t.Helper()
		got := b.events()
		if !slices.Equal(got[max(len(got)-len(events), 0):], events) {
			t.Errorf("%v, not %v", got, events)
		}
	}
	code := must[wire.Code](t)(b.NewCode(t.Context(), b.id))
	want("code made")
	ok(b.Claim(t.Context(), machine("SHC00000002", "u2", 2), "", code, Automatic))
	want("code made", "asked", "granted")
	ok(b.Refuse(t.Context(), b.id, ""))
	want("granted", "taken back")
	ok(nil, b.Alias(t.Context(), b.id, Machine{Serial: "SHC00000003", UUID: "u3"}))
	want("taken back", "alias")
	b.claim(machine("SHC00000003", "u3", 3), b.id, Approval)
	want("alias", "asked", "granted")
	ok(nil, b.RemoveAlias(t.Context(), b.id, "SHC00000003"))
	want("granted", "taken back", "alias removed")
	b.claim(ana(6), b.id, Approval)
	ok(b.ApproveAll(t.Context()))
	want("alias removed", "asked", "granted")
	sign := b.claim(ana(4), b.id, Approval).Sign
	ok(b.Refuse(t.Context(), b.id, sign))
	want("granted", "asked", "refused")
	b.claim(ana(5), b.id, Approval)
	ok(b.Approve(t.Context(), b.id, ""))
	want("refused", "asked", "granted")
	ok(b.Leave(t.Context(), ana(5), string(b.id)))
	want("granted", "left")
}

// A cut may leave the request of a machine that was let in behind. Who refuses it then
// takes that back, and who approves it changes nothing.
func TestRequestLeftBehind(t *testing.T) {
	for _, yes := range []bool{true, false} {
		b := newClaimBed(t)
		c := machine("SHC00000009", "u9", 9)
		sign := b.claim(c, b.id, Automatic).Sign
		left := must[[]Request](t)(b.Requests())
		first := must[Claim](t)(b.Approve(t.Context(), b.id, sign))
		if err := b.editQueue(t.Context(), func([]Request) []Request { return left }); err != nil {
			t.Fatal(err)
		}
		decide, state, may := b.Refuse, Refused, "nothing"
		if yes {
			decide, state, may = b.Approve, Granted, "write"
		}
		if again := must[Claim](t)(decide(t.Context(), b.id, sign)); again.State != state || yes && again != first {
			t.Errorf("%+v", again)
		}
		b.may(9, may)
		if queue := must[[]Request](t)(b.Requests()); len(queue) > 0 {
			t.Errorf("%+v", queue)
		}
	}
}

// A cut between the line of the history and the account leaves the account as it
// was; half a line spoils no other.
func TestHistoryCut(t *testing.T) {
	b := newClaimBed(t)
	b.step = func(name string) {
		if name == "history written" {
			panic("cut")
		}
	}
	func() {
		defer func() { recover() }()
		b.claim(ana(2), b.id, Automatic)
	}()
	b.may(2, "nothing")
	b.step = func(string) {}
	name := filepath.Join(b.Dir(), string(b.id), historyFile)
	text, err := os.ReadFile(name)
	if err != nil || os.WriteFile(name, text[:len(text)-5], 0o600) != nil {
		t.Fatal(err)
	}
	b.claim(ana(2), b.id, Automatic)
	b.may(2, "write")
	if got := b.events(); !slices.Equal(got, []string{"asked", "asked", "granted"}) {
		t.Errorf("%v", got)
	}
}
