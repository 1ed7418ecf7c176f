package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
)

// school makes a root of n accounts, account-000… of which the machine
// XYZ000… writes: none is named by its serial.
func school(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	testStore(t, dir)
	for i := range n {
		id := AccountID(fmt.Sprintf("account-%05d", i))
		a := &Account{Format: accountFormat, ID: id, Machines: []Machine{{Serial: Serial(fmt.Sprintf("XYZ%05d", i)), UUID: "u", Writes: true}},
			Keys: []Key{{Key: keyLine(testKey(i)), Kind: Owner, Serial: Serial(fmt.Sprintf("XYZ%05d", i))}}}
		writeAccount(t, dir, a)
	}
	return dir
}

// writeAccount is an administrator's copying, not ours.
func writeAccount(t testing.TB, dir string, a *Account) {
	t.Helper()
	b, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	folder := dir + "/" + string(a.ID)
	if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(folder+"/account.json", b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// Whoever asks for a serial, or registers, does not make the server look at all
// accounts: once they are known, one that is asked for is read, and no other.
func TestFindReadsOneAccount(t *testing.T) {
	const n = 50
	dir := school(t, n)
	var log bytes.Buffer
	s, err := Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Find(t.Context(), "XYZ00007"); err != nil {
		t.Fatal(err)
	}
	// Any further look at them would be logged.
	for i := range n {
		if i != 7 {
			if err := os.WriteFile(fmt.Sprintf("%s/account-%05d/account.json", dir, i), []byte("{damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a, err := s.Find(t.Context(), "XYZ00007"); err != nil || a.ID != "account-00007" {
		t.Errorf("%v %v", a, err)
	}
	if _, err := s.Find(t.Context(), "XYZ99999"); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
	if id, err := s.Register(t.Context(), Registration{Serial: "NEW", UUID: "u", Key: testKey(n)}, 100); err != nil || id != "NEW" {
		t.Error(id, err)
	}
	if _, err := s.Find(t.Context(), "XYZ99999"); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
	if id, err := s.Register(t.Context(), Registration{Serial: "XYZ00007", UUID: "u", Key: testKey(7)}, 100); err != nil || id != "account-00007" {
		t.Error(id, err)
	}
	if log.Len() > 0 {
		t.Errorf("read besides:\n%s", &log)
	}
}

// What another process changes counts at once, and so do folders that an
// administrator copies or removes.
func TestFindAfterOthersChanges(t *testing.T) {
	dir := school(t, 5)
	s, other := testStore(t, dir), testStore(t, dir)
	finds := func(name string, want AccountID) {
		t.Helper()
		a, err := s.Find(t.Context(), name)
		if want == "" {
			if !errors.Is(err, ErrNoAccount) {
				t.Errorf("%s: %v %v", name, a, err)
			}
		} else if err != nil || a.ID != want {
			t.Errorf("%s: %v %v", name, a, err)
		}
	}
	finds("XYZ00001", "account-00001")
	finds("NEW1", "")
	moves := func(to Serial) {
		t.Helper()
		err := other.edit(t.Context(), "account-00001", func(a *Account) error { a.Machines[0].Serial = to; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	moves("NEW1")
	finds("NEW1", "account-00001")
	finds("XYZ00001", "")
	moves("NEW2")
	finds("NEW2", "account-00001")
	finds("NEW1", "")
	if id, err := other.Register(t.Context(), Registration{Serial: "NEW3", UUID: "u", Key: testKey(102)}, 10); err != nil || id != "NEW3" {
		t.Fatal(id, err)
	}
	if id, err := s.Register(t.Context(), Registration{Serial: "NEW9", UUID: "u", Key: testKey(102)}, 10); err != nil || id != "NEW3" {
		t.Errorf("a key that another process took in: %s %v", id, err)
	}
	if err := os.RemoveAll(dir + "/account-00002"); err != nil {
		t.Fatal(err)
	}
	finds("XYZ00002", "")
	writeAccount(t, dir, &Account{Format: accountFormat, ID: "copied", Machines: []Machine{{Serial: "OLD1", UUID: "u", Writes: true}}})
	finds("OLD1", "copied")
	if _, err := other.Register(t.Context(), Registration{Serial: "NEW4", UUID: "u", Key: testKey(103)}, 6); !errors.Is(err, ErrFull) {
		t.Errorf("a seventh account: %v", err)
	}
	// The next server begins without the log.
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s = range []*Store{s, other, testStore(t, dir)} {
		finds("OLD1", "copied")
		finds("NEW2", "account-00001")
		finds("XYZ00002", "")
	}
}

// A serial that everybody has is nobody's.
func TestSerialOfMany(t *testing.T) {
	s := testStore(t, t.TempDir())
	for i := range 2 * tooMany {
		id, err := s.Register(t.Context(), Registration{Serial: "SAME", UUID: fmt.Sprint("u", i), Key: testKey(i)}, 100)
		if err != nil || (id == "SAME") != (i == 0) {
			t.Fatal(i, id, err)
		}
	}
	if err := os.RemoveAll(s.Dir() + "/SAME"); err != nil {
		t.Fatal(err)
	}
	if a, err := s.Find(t.Context(), "SAME"); !errors.Is(err, ErrNoAccount) {
		t.Error(a, err)
	}
}

// A serial that nobody has, asked for in a large school.
func BenchmarkFind(b *testing.B) {
	dir := school(b, 20_000)
	b.Run("unknown", func(b *testing.B) {
		s := testStore(b, dir)
		s.Find(b.Context(), "NOBODY")
		for b.Loop() {
			s.Find(b.Context(), "NOBODY")
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			testStore(b, dir).Find(b.Context(), "NOBODY")
		}
	})
}
