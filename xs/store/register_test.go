package store

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("A", 4<<10)
	for _, name := range []string{"", "..", ".", "../", "../other", "a/b", "/etc", "a\x00b", "\x00", long, ".xs", "-rf", "_x",
		"claim", "Ñ", "a b", "a\nb", "a.b", "SHC00000001/../x", strings.Repeat("A", 65)} {
		if id, err := ParseAccountID(name); err == nil {
			t.Errorf("account %.40q accepted as %q", name, id)
		} else if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\x00\n") {
			t.Errorf("not fit to be shown: %q", err)
		}
		if _, err := ParseSnapshotID(name); err == nil {
			t.Errorf("snapshot %.40q accepted", name)
		}
		if _, err := ParseSerial(name); err == nil && name != "" && name != "claim" {
			t.Errorf("serial %.40q accepted", name)
		}
	}
	for _, name := range []string{"SHC02500FAB", "a", "account-0123456789abcdef", strings.Repeat("A", 64)} {
		if _, err := ParseAccountID(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := ParseSnapshotID("2026-11-23T21-30-05Z"); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"2026-13-23T21-30-05Z", "2026-11-23T21:30:05Z", "2026-11-23T21-30-05Z/", " 2026-11-23T21-30-05Z", "2026-11-23T21-30-05.5Z"} {
		if _, err := ParseSnapshotID(id); err == nil {
			t.Errorf("snapshot %q accepted", id)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("SHC02500FAB")
	f.Add("2026-11-23T21-30-05Z")
	f.Add("../../etc/passwd\x00")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseAccountID(s); err == nil && (string(id) != s || strings.ContainsAny(s, "/\x00.")) {
			t.Errorf("account %q", s)
		}
		if id, err := ParseSnapshotID(s); err == nil && (string(id) != s || len(s) != 20 || strings.ContainsAny(s, "/\x00.")) {
			t.Errorf("snapshot %q", s)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add(testTree(3).manifest().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		again, err := decodeManifest(strings.NewReader(string(m.Encode())))
		if err != nil || len(again) != len(m) || again.Digest() != m.Digest() {
			t.Errorf("%q became %q, %v", b, m.Encode(), err)
		}
	})
}

func TestRegister(t *testing.T) {
	const zero = "00000000-0000-0000-0000-000000000000"
	type call struct {
		serial, uuid string
		key          int
		want         string // an account, "opaque", "same" as the last, or the error's beginning
	}
	for name, calls := range map[string][]call{
		"again":                {{"SHC1", "u1", 1, "SHC1"}, {"SHC1", "u1", 1, "SHC1"}},
		"two laptops":          {{"SHC1", "u1", 1, "SHC1"}, {"SHC2", "u2", 2, "SHC2"}},
		"another key":          {{"SHC1", "u1", 1, "SHC1"}, {"SHC1", "u1", 2, "this laptop is already known"}, {"SHC1", "u1", 1, "SHC1"}},
		"says nothing":         {{"SHF00000000", zero, 1, "opaque"}, {"SHF00000000", zero, 1, "same"}, {"SHF00000000", zero, 2, "opaque"}},
		"no serial":            {{"", "u1", 1, "opaque"}, {"", "u1", 2, "opaque"}},
		"zero uuid":            {{"SHC1", zero, 1, "opaque"}, {"SHC1", zero, 2, "opaque"}},
		"two uuids":            {{"SHC1", "u1", 1, "SHC1"}, {"SHC1", "u2", 2, "opaque"}, {"SHC1", "u1", 3, "opaque"}, {"SHC1", "u1", 1, "SHC1"}},
		"new serial, same key": {{"ABC1", "u1", 1, "ABC1"}, {"XYZ2", "u9", 1, "ABC1"}},
		"called claim":         {{"claim", "u1", 1, "opaque"}},
		"too many":             {{"A", "u", 1, "A"}, {"B", "v", 2, "B"}, {"C", "w", 3, "C"}, {"D", "x", 4, "D"}, {"E", "y", 5, "this school server takes no more"}},
		"bad uuid":             {{"SHC1", "u\x00", 1, "uuid"}, {"SHC1", strings.Repeat("u", 5000), 1, "uuid"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := testStore(t, t.TempDir())
			last := AccountID("")
			for _, c := range calls {
				id, err := s.Register(t.Context(), Registration{Serial: Serial(c.serial), UUID: c.uuid, Nick: "Amara", Key: testKey(c.key)}, 4)
				opaque := strings.HasPrefix(string(id), "account-")
				switch {
				case err != nil:
					if !strings.HasPrefix(err.Error(), c.want) {
						t.Errorf("%+v: %v", c, err)
					}
					continue
				case c.want == "opaque" && opaque && id != last, c.want == "same" && id == last, string(id) == c.want:
				default:
					t.Errorf("%+v: %s", c, id)
				}
				last = id
				if a, err := s.Account(id); err != nil {
					t.Error(err)
				} else if _, ok := a.FindKey(testKey(c.key)); !ok {
					t.Errorf("%+v: the key is not in %+v", c, a)
				}
			}
		})
	}
}

// Who says what is never recognised by itself is not available by its serial.
func TestFind(t *testing.T) {
	s := testStore(t, t.TempDir())
	register := func(serial, uuid string, key int) AccountID {
		t.Helper()
		id, err := s.Register(t.Context(), Registration{Serial: Serial(serial), UUID: uuid, Key: testKey(key)}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	register("SHC1", "u1", 1)
	opaque := register("SHF00000000", emptyUUID, 2)
	for name, want := range map[string]bool{"SHC1": true, string(opaque): true, "SHF00000000": false, "SHC9": false, "../SHC1": false} {
		if _, err := s.Find(t.Context(), name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddKey(t *testing.T) {
	s := testStore(t, t.TempDir())
	f := testFolder(t, s)
	owner, _ := mustAccount(t, s, f.ID).FindKey(testKey(1))
	if err := s.AddKey(t.Context(), f.ID, owner, testKey(2), "SHC00000001"); err != nil {
		t.Fatal(err)
	}
	a := mustAccount(t, s, f.ID)
	backup, ok := a.FindKey(testKey(2))
	if !ok || backup.Kind != Backup || !a.MayWrite(backup) || len(a.Machines) != 1 {
		t.Errorf("%+v", a)
	}
	// The same profile with a serial of another day writes from then on.
	if err := s.AddKey(t.Context(), f.ID, owner, testKey(3), "XYZ00000002"); err != nil {
		t.Fatal(err)
	}
	a = mustAccount(t, s, f.ID)
	moved, _ := a.FindKey(testKey(3))
	if !a.MayWrite(moved) || a.MayWrite(backup) || !a.MayWrite(owner) {
		t.Errorf("%+v", a)
	}
	// A machine that only reads lets in keys of its own, which only read too.
	if err := s.AddKey(t.Context(), f.ID, backup, testKey(4), "SHC00000001"); err != nil {
		t.Fatal(err)
	}
	a = mustAccount(t, s, f.ID)
	if k, ok := a.FindKey(testKey(4)); !ok || a.MayWrite(k) || !a.MayWrite(moved) {
		t.Errorf("%+v", a)
	}
}

// The bug: a machine that only reads named the one that writes as its own, and
// so got a key that writes.
func TestReaderMakesNoWriter(t *testing.T) {
	s := testStore(t, t.TempDir())
	f := testFolder(t, s)
	owner, _ := mustAccount(t, s, f.ID).FindKey(testKey(1))
	if err := errors.Join(s.AddKey(t.Context(), f.ID, owner, testKey(2), "READER"), s.AddKey(t.Context(), f.ID, owner, testKey(3), "WRITER")); err != nil {
		t.Fatal(err)
	}
	before := mustAccount(t, s, f.ID)
	reader, _ := before.FindKey(testKey(2))
	for _, test := range []struct {
		key    int
		serial Serial
	}{{4, "WRITER"}, {4, "OTHER"}, {2, "WRITER"}, {3, "READER"}, {3, "WRITER"}, {1, "READER"}} {
		if err := s.AddKey(t.Context(), f.ID, reader, testKey(test.key), test.serial); !errors.Is(err, ErrReadsOnly) {
			t.Errorf("%+v: %v", test, err)
		}
	}
	if err := s.AddKey(t.Context(), f.ID, reader, testKey(2), "READER"); err != nil {
		t.Error(err) // which is so already
	}
	if a := mustAccount(t, s, f.ID); !reflect.DeepEqual(a, before) {
		t.Errorf("%+v became %+v", before, a)
	}
}

// The bug: the laptop that wrote before stayed one that reads, whatever was done
// with the profile's own key, as long as it came with the key that it had.
func TestFormerWriterReturns(t *testing.T) {
	s := testStore(t, t.TempDir())
	f := testFolder(t, s)
	owner, _ := mustAccount(t, s, f.ID).FindKey(testKey(1))
	for _, test := range []struct {
		key    int
		serial Serial
	}{{2, "FIRST"}, {3, "SECOND"}, {2, "FIRST"}, {2, "THIRD"}} {
		if err := s.AddKey(t.Context(), f.ID, owner, testKey(test.key), test.serial); err != nil {
			t.Fatal(err)
		}
		a := mustAccount(t, s, f.ID)
		m, _ := a.Writer()
		for n := 2; n <= 3; n++ {
			if k, ok := a.FindKey(testKey(n)); ok && a.MayWrite(k) != (n == test.key) {
				t.Errorf("%+v: may key %d write? %v", test, n, a.MayWrite(k))
			}
		}
		if m.Serial != test.serial || len(a.Keys) > 3 {
			t.Errorf("%+v: %+v", test, a)
		}
	}
}

// A key belongs where it came last, also when that was within a second, or before,
// by the server's clock.
func TestKeyMovesOn(t *testing.T) {
	b := newClaimBed(t)
	ben := b.account("SHC00000005", "u5", 5)
	for _, to := range []struct {
		id    AccountID
		owner int
	}{{b.id, 1}, {ben, 5}, {b.id, 1}, {ben, 5}} {
		owner, _ := mustAccount(t, b.Store, to.id).FindKey(testKey(to.owner))
		for range 2 {
			if err := b.AddKey(t.Context(), to.id, owner, testKey(9), owner.Serial); err != nil {
				t.Fatal(err)
			}
		}
		if id, err := b.Register(t.Context(), Registration{Serial: "SHC00000005", UUID: "u5", Key: testKey(9)}, 100); id != to.id || err != nil {
			t.Errorf("it is registered as %s, not %s: %v", id, to.id, err)
		}
		b.now = b.now.Add(-time.Hour)
	}
}

func mustAccount(t *testing.T, s *Store, id AccountID) *Account {
	t.Helper()
	a, err := s.Account(id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Two processes that register and edit at once lose nothing.
func TestConcurrentEdits(t *testing.T) {
	dir := t.TempDir()
	f := testFolder(t, testStore(t, dir))
	owner := Key{Kind: Owner}
	var wg sync.WaitGroup
	for i := range 4 {
		s := testStore(t, dir)
		wg.Go(func() {
			for n := range 5 {
				if err := s.AddKey(t.Context(), f.ID, owner, testKey(100+10*i+n), "SHC00000001"); err != nil {
					t.Error(err)
				}
				// All four say the same.
				if id, err := s.Register(t.Context(), Registration{Serial: "SHC2", UUID: "u2", Key: testKey(2)}, 10); err != nil || id != "SHC2" {
					t.Error(id, err)
				}
			}
		})
	}
	wg.Wait()
	s := testStore(t, dir)
	if a := mustAccount(t, s, f.ID); len(a.Keys) != 21 {
		t.Errorf("%d keys", len(a.Keys))
	}
	if ids, err := s.Accounts(); err != nil || len(ids) != 2 {
		t.Errorf("%v %v", ids, err)
	}
}

func TestParseKey(t *testing.T) {
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(testKey(1))))
	base := strings.Fields(line)[1]
	for _, s := range []string{line, base, base + " amara@xo", " " + base + "\n", line + " amara@xo"} {
		if key, err := ParseKey(s); err != nil || string(key.Marshal()) != string(testKey(1).Marshal()) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "ssh-dss", "AAAA", base[:20], "AAAAB3NzaC1kc3MAAA==", strings.Repeat("A", 1<<20)} {
		if _, err := ParseKey(s); err == nil {
			t.Errorf("%.40q accepted", s)
		}
	}
}

// An account's folder that leads out of the root is no account.
func TestLinkedAccount(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	s := testStore(t, dir)
	other := testStore(t, outside)
	testFolder(t, other)
	if err := os.Symlink(outside+"/SHC00000001", dir+"/SHC00000001"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Folder("SHC00000001"); err == nil {
		t.Error("a link out of the root was followed")
	} else if errors.Is(err, ErrNoAccount) {
		t.Log(err)
	}
}
