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
