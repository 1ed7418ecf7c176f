package xsclient

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// Each row of the three versions.
func TestDecide(t *testing.T) {
	ag := func(v datastore.Version, seq uint64) *agreement { return &agreement{v, seq} }
	for _, c := range []struct {
		name        string
		here, there datastore.Version
		agreed      *agreement
		seq         uint64
		noDeleted   bool
		want        verdict
	}{
		{"equal, never agreed", "a", "a", nil, 1, false, same},
		{"equal, agreed on another", "a", "a", ag("b", 1), 2, false, same},
		{"missing here, never agreed", "", "a", nil, 1, false, comesBack},
		{"deleted here", "", "a", ag("a", 1), 1, false, comesBack},
		{"deleted here, deleted not wanted", "", "a", ag("a", 1), 1, true, leftGone},
		{"never here, deleted not wanted", "", "a", nil, 1, true, comesBack},
		{"only here changed", "b", "a", ag("a", 1), 1, false, stays},
		{"only here changed, later snapshot", "b", "a", ag("a", 1), 7, false, stays},
		{"only there changed", "a", "b", ag("a", 1), 2, false, replaced},
		{"the snapshot is older than the agreed", "b", "a", ag("b", 5), 4, false, stays},
		{"older snapshot, here changed since", "c", "a", ag("b", 5), 4, false, stays},
		{"both changed", "b", "c", ag("a", 1), 2, false, both},
		{"nothing agreed", "b", "c", nil, 2, false, both},
		{"unreadable here", damagedHere, "a", ag("a", 1), 1, false, mended},
		{"unreadable here, older snapshot", damagedHere, "a", ag("b", 5), 4, false, mended},
		{"unreadable here, deleted not wanted", damagedHere, "a", ag("a", 1), 1, true, mended},
		{"being changed here", changingHere, "a", ag("a", 1), 1, false, stays},
		{"being changed here, both changed", changingHere, "b", ag("a", 1), 2, false, both},
	} {
		if got := decide(c.here, c.there, c.agreed, c.seq, !c.noDeleted); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
	}
}

func uidN(n int) datastore.UID {
	return datastore.UID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", n))
}

func versionN(n int) datastore.Version { return datastore.Version(fmt.Sprintf("%064x", n)) }

func TestAgreedSurvivesATornLine(t *testing.T) {
	dir := t.TempDir()
	a, err := openAgreed(dir, "SHC1")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.add(map[datastore.UID]datastore.Version{uidN(1): versionN(1), uidN(2): versionN(2)}, 1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "agreed-SHC1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	third := fmt.Sprintf("%s %s 2\n", uidN(3), versionN(3))
	for cut := 1; cut < len(third); cut++ {
		if err := os.WriteFile(path, append(append([]byte{}, whole...), third[:cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := openAgreed(dir, "SHC1")
		if err != nil {
			t.Fatal(err)
		}
		if b.of(uidN(3)) != nil || b.of(uidN(1)) == nil || b.of(uidN(2)).Version != versionN(2) {
			t.Fatalf("cut at %d: %v", cut, b.entries)
		}
		if err := b.add(map[datastore.UID]datastore.Version{uidN(4): versionN(4)}, 3); err != nil {
			t.Fatal(err)
		}
		c, err := openAgreed(dir, "SHC1")
		if err != nil {
			t.Fatal(err)
		}
		if len(c.entries) != 3 || c.of(uidN(4)) == nil || c.of(uidN(4)).Seq != 3 {
			t.Fatalf("cut at %d, then added: %v", cut, c.entries)
		}
	}
}

func TestAgreedStaysSmall(t *testing.T) {
	dir := t.TempDir()
	a, err := openAgreed(dir, "SHC1")
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 500; seq++ {
		v := map[datastore.UID]datastore.Version{uidN(1): versionN(7), uidN(2): versionN(int(seq))}
		if err := a.backedUp(v, seq); err != nil {
			t.Fatal(err)
		}
	}
	if a, err = openAgreed(dir, "SHC1"); err != nil {
		t.Fatal(err)
	}
	if got := *a.of(uidN(1)); got != (agreement{versionN(7), 500}) {
		t.Errorf("unchanged entry: %v", got)
	}
	if got := *a.of(uidN(2)); got != (agreement{versionN(500), 500}) {
		t.Errorf("changed entry: %v", got)
	}
	b, err := os.ReadFile(filepath.Join(dir, "agreed-SHC1"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n > 80 {
		t.Errorf("%d lines for two entries", n)
	}
}

// A version that comes back from an older snapshot and is backed up again is
// newer than what was backed up in between.
func TestAgreedAgain(t *testing.T) {
	dir := t.TempDir()
	open := func() *agreed {
		a, err := openAgreed(dir, "SHC1")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	versions := func(n int) map[datastore.UID]datastore.Version {
		return map[datastore.UID]datastore.Version{uidN(1): versionN(n), uidN(2): versionN(7)}
	}
	for i, step := range []func(a *agreed) error{
		func(a *agreed) error { return a.backedUp(versions(1), 2) },
		func(a *agreed) error { return a.backedUp(versions(2), 5) },
		func(a *agreed) error { return a.add(versions(1), 2) }, // restored
		func(a *agreed) error { return a.backedUp(versions(1), 6) },
	} {
		if err := step(open()); err != nil {
			t.Fatal(i, err)
		}
	}
	a := open()
	for n, want := range map[int]agreement{1: {versionN(1), 6}, 2: {versionN(7), 6}} {
		if got := *a.of(uidN(n)); got != want {
			t.Errorf("entry %d: %v, want %v", n, got, want)
		}
	}
	if v := decide(versionN(1), versionN(2), a.of(uidN(1)), 5, true); v != stays {
		t.Errorf("an older snapshot's version is put over it: verdict %d", v)
	}
}
