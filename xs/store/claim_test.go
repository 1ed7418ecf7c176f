package store

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

const testUUID = "f9e8d7c6-1111-4222-8333-123456789abc"

// claimBed is a store with Ana's account, of the machine SHC00000001 and key 1.
type claimBed struct {
	*Store
	t   *testing.T
	id  AccountID
	now time.Time
}

func newClaimBed(t *testing.T) *claimBed {
	t.Helper()
	b := &claimBed{Store: testStore(t, t.TempDir()), t: t, now: time.Unix(1_800_000_000, 0)}
	b.Store.now = func() time.Time { return b.now }
	b.id = b.account("SHC00000001", testUUID, 1)
	return b
}

func (b *claimBed) account(serial Serial, uuid string, key int) AccountID {
	b.t.Helper()
	id, err := b.Register(b.t.Context(), Registration{Serial: serial, UUID: uuid, Nick: "Ana", Key: testKey(key)}, 100)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func machine(serial Serial, uuid string, key int) Claimant {
	return Claimant{Machine: Machine{Serial: serial, UUID: uuid}, Key: testKey(key), Nick: "Ana", From: "10.0.0.1"}
}

// ana is her machine, with a key of another day.
func ana(key int) Claimant { return machine("SHC00000001", testUUID, key) }

func (b *claimBed) claim(c Claimant, want AccountID, p Policy) Outcome {
	b.t.Helper()
	out, err := b.Claim(b.t.Context(), c, string(want), "", p)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *claimBed) state(c Claimant, want AccountID) State {
	b.t.Helper()
	out, err := b.ClaimState(b.t.Context(), c, string(want))
	if err != nil {
		b.t.Fatal(err)
	}
	return out.State
}

// may asserts what a key may do: nothing, read, or write.
func (b *claimBed) may(key int, want string) {
	b.t.Helper()
	a := mustAccount(b.t, b.Store, b.id)
	got := "nothing"
	if k, ok := a.FindKey(testKey(key)); ok {
		if got = "read"; a.MayWrite(k) {
			got = "write"
		}
	}
	if got != want {
		b.t.Errorf("key %d may %s, not %s: %+v", key, got, want, a)
	}
}

func (b *claimBed) showUp(key int) {
	b.t.Helper()
	k, ok := mustAccount(b.t, b.Store, b.id).FindKey(testKey(key))
	if !ok {
		b.t.Fatalf("key %d is not let in", key)
	}
	if err := b.CameBack(b.t.Context(), b.id, k); err != nil {
		b.t.Fatal(err)
	}
}

func (b *claimBed) events() (names []string) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.Dir(), string(b.id), historyFile))
	if err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			continue // half a line, of a cut
		}
		if e.Time != b.now.Unix() && e.Time == 0 {
			b.t.Errorf("no time: %s", line)
		}
		names = append(names, e.Event)
	}
	return names
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestSpeaks(t *testing.T) {
	for _, m := range []Machine{{Serial: "", UUID: testUUID}, {Serial: "SHF00000000", UUID: testUUID}, {Serial: "shf00000000", UUID: testUUID},
		{Serial: "SHC00000000", UUID: testUUID}, {Serial: "0000", UUID: testUUID}, {Serial: "Default-string", UUID: testUUID},
		{Serial: "0123456789", UUID: testUUID}, {Serial: "SHC00000001"}, {Serial: "SHC00000001", UUID: emptyUUID}, {Serial: "SHC00000001", UUID: "0"},
		{Serial: "SHC00000001", UUID: "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}, {Serial: "SHC00000001", UUID: "03000200-0400-0500-0006-000700080009"}} {
		if m.Speaks() {
			t.Errorf("%+v speaks", m)
		}
	}
	if m := (Machine{Serial: "SHC00000001", UUID: testUUID}); !m.Speaks() || !m.is(Machine{Serial: "SHC00000001", UUID: strings.ToUpper(testUUID)}) {
		t.Errorf("%+v", m)
	}
}

// Only serial and uuid together recognise a machine, and nobody else is told a word.
func TestRecognised(t *testing.T) {
	b := newClaimBed(t)
	for _, c := range []Claimant{machine("SHC00000001", "another", 2), machine("SHC00000002", testUUID, 2), machine("SHC00000001", "", 2),
		machine("SHC00000001", emptyUUID, 2), machine("", testUUID, 2), machine("SHF00000000", emptyUUID, 2)} {
		if list, err := b.Claimable(t.Context(), c, Automatic); err != nil || len(list) > 0 {
			t.Errorf("%+v is told %+v, %v", c.Machine, list, err)
		}
		if out := b.claim(c, b.id, Automatic); out.State != Waits || out.Account != "" {
			t.Errorf("%+v: %+v", c.Machine, out)
		}
	}
	b.may(2, "nothing")
	list := must[[]wire.Claimable](t)(b.Claimable(t.Context(), ana(2), Automatic))
	if len(list) != 1 || list[0].Account != string(b.id) || list[0].Nick != "Ana" || list[0].Claim != wire.ClaimAutomatic || list[0].LastBackup != 0 {
		t.Errorf("%+v", list)
	}
	// Who is in already has nothing to claim.
	if list, _ := b.Claimable(t.Context(), ana(1), Automatic); len(list) > 0 {
		t.Errorf("%+v", list)
	}
	// A serial that two machines send says nothing.
	b.account("SHC00000001", "another", 3)
	if list, _ := b.Claimable(t.Context(), ana(2), Automatic); len(list) > 0 {
		t.Errorf("%+v", list)
	}
}

func TestPolicies(t *testing.T) {
	for p, want := range map[Policy]State{Automatic: Granted, Approval: Waits, CodeOnly: Waits} {
		b := newClaimBed(t)
		if list, _ := b.Claimable(t.Context(), ana(2), p); len(list) != 1 || list[0].Claim != string(p) {
			t.Errorf("%s: %+v", p, list)
		}
		for range 2 { // asking again is answered the same
			if out := b.claim(ana(2), b.id, p); out.State != want || (out.Account == b.id) != (want == Granted) || len(strings.Fields(out.Sign)) != 3 {
				t.Errorf("%s: %+v", p, out)
			}
		}
		if got := b.state(ana(2), ""); got != want || b.state(ana(2), b.id) != want || b.state(ana(3), b.id) != noClaim {
			t.Errorf("%s: %s", p, got)
		}
		if want == Waits {
			b.may(2, "nothing")
			b.may(1, "write")
			c := must[Claim](t)(b.Approve(t.Context(), b.id, ""))
			if c.State != Granted || c.By != ByPerson || b.state(ana(2), "") != Granted {
				t.Errorf("%+v", c)
			}
		}
		// One machine writes: the new one. The old key is not revoked.
		b.may(2, "write")
		b.may(1, "read")
		if got := b.events(); !slices.Equal(got, []string{"asked", "granted"}) {
			t.Errorf("%v", got)
		}
	}
}

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

// A laptop that waits asks twice a minute: the disk is not written for that.
func TestAskingAgainWritesNothing(t *testing.T) {
	b := newClaimBed(t)
	c := machine("SHC00000009", "u9", 9)
	file := func() os.FileInfo { return must[os.FileInfo](t)(os.Stat(filepath.Join(b.Dir(), ownDir, queueFile))) }
	b.claim(c, b.id, Automatic)
	first := file()
	b.claim(c, b.id, Automatic)
	if !os.SameFile(first, file()) {
		t.Error("it is another file")
	}
	b.claim(c, "", Automatic)
	if os.SameFile(first, file()) {
		t.Error("another request is not kept")
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

func TestStrangers(t *testing.T) {
	b := newClaimBed(t)
	stranger := machine("SHC00000009", "u9", 9)
	for _, want := range []AccountID{b.id, "SHC00000077", ""} {
		if out := b.claim(stranger, want, Automatic); out.State != Waits || out.Sign == "" || b.state(stranger, want) != Waits {
			t.Errorf("%q: %+v", want, out)
		}
	}
	// A sign that names no account is one that a person may give any.
	list, _ := b.Requests()
	if _, err := b.Approve(t.Context(), b.id, list[1].Sign); !errors.Is(err, ErrNoClaim) {
		t.Errorf("another account's: %v", err)
	}
	must[Claim](t)(b.Approve(t.Context(), b.id, list[2].Sign))
	b.may(9, "write")
	// Power went before the request was removed: to approve it again changes nothing.
	before := mustAccount(t, b.Store, b.id)
	if err := b.queue(t.Context(), list[2]); err != nil {
		t.Fatal(err)
	}
	must[Claim](t)(b.Approve(t.Context(), b.id, list[2].Sign))
	if !reflect.DeepEqual(mustAccount(t, b.Store, b.id), before) {
		t.Error("it was granted twice")
	}
	// Nobody fills the queue for the others.
	for n := range 40 {
		b.claim(machine("", "", 100+n), "", Automatic)
	}
	b.claim(Claimant{Key: testKey(99), From: "10.0.0.2"}, "", Automatic)
	if list, _ := b.Requests(); len(list) != maxQueueFrom+1 || b.state(Claimant{Key: testKey(99)}, "") != Waits {
		t.Errorf("%d wait", len(list))
	}
	b.now = b.now.Add(8 * 24 * time.Hour)
	if b.state(Claimant{Key: testKey(99)}, "") != noClaim {
		t.Error("it waits for ever")
	}
	for _, want := range []string{"../x", "claim/", "a\x00", strings.Repeat("A", 4<<10)} {
		if _, err := b.Claim(t.Context(), stranger, want, "", Automatic); err == nil {
			t.Errorf("%.40q was taken", want)
		}
	}
	for _, c := range []Claimant{machine("S", strings.Repeat("u", 5000), 9), machine("S", "u\x1b", 9), {Key: testKey(9), Nick: "\xff"}} {
		if _, err := b.Claim(t.Context(), c, "", "", Automatic); err == nil {
			t.Errorf("%.40q was taken", c.UUID)
		}
	}
}

// A machine that is recognised fills neither its account nor the history.
func TestManyRequests(t *testing.T) {
	b := newClaimBed(t)
	for n := range 3 * maxWaiting {
		b.claim(ana(100+n), b.id, Approval)
	}
	a := mustAccount(t, b.Store, b.id)
	if len(a.Claims) != maxWaiting || a.Claims[0].Key != keyLine(testKey(100+2*maxWaiting)) {
		t.Errorf("%d wait", len(a.Claims))
	}
	for n := range 2 * maxClaims { // each of which takes the place of the one before
		if out := b.claim(ana(1000+n), b.id, Automatic); out.State != Granted {
			t.Fatalf("%d: %+v", n, out)
		}
		k, _ := mustAccount(t, b.Store, b.id).FindKey(testKey(1000 + n))
		if err := b.AddKey(t.Context(), b.id, k, testKey(5000+n), "SHC00000001"); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if a := mustAccount(t, b.Store, b.id); len(a.Claims) > maxGranted || len(a.Keys) != 1+2*maxGranted {
		t.Errorf("%d claims, %d keys", len(a.Claims), len(a.Keys))
	}
	// The very first key is still one of before, and tells when it comes.
	b.may(1, "read")
	b.showUp(1)
	b.may(1, "write")
	b.may(1000+2*maxClaims-1, "nothing")
}
