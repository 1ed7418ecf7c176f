package store

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Entries, Saved and File are what the api shows of a snapshot.
func TestEntries(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	tree := testTree(10)
	mustBackup(t, f, tree)
	snap, err := f.Snapshot(Latest)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	versions := map[string]string{}
	for round := range 2 { // made, then from the cache
		r, err := snap.Entries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(r)
		for dec.More() {
			var e wire.Entry
			if err := dec.Decode(&e); err != nil {
				t.Fatal(err)
			}
			versions[e.UID] = e.Version
			if _, ok := e.Metadata["preview"]; ok || e.Metadata["title"] != "title" {
				t.Errorf("round %d: %+v", round, e)
			}
		}
		r.Close()
	}
	if len(versions) != 10 {
		t.Errorf("%d entries", len(versions))
	}
	versions[string(testUID(3))] = "another"
	versions[string(testUID(77))] = "never was"
	uids, err := snap.Saved(t.Context(), versions)
	if err != nil || len(uids) != 9 || slices.Contains(uids, string(testUID(3))) {
		t.Errorf("saved: %v %v", uids, err)
	}
	r, size, err := snap.File(string(testUID(9)) + ".data")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size || sha256.Sum256(b) != sha256.Sum256(tree.join(9)) {
		t.Errorf("data in parts: %d of %d bytes, %v", len(b), size, err)
	}
	for _, name := range []string{"../account.json", string(testUID(1)) + ".json", string(testUID(0)) + ".data", "x.data"} {
		if r, _, err := snap.File(name); err == nil {
			r.Close()
			t.Errorf("%s can be read", name)
		}
	}
}

// Only the newest snapshot's list is kept: of a year of snapshots they would take
// as much room as the snapshots.
func TestListsOfOlderSnapshots(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	tree := testTree(5)
	lists := func() int {
		t.Helper()
		snap, err := f.Snapshot(Latest)
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		r, err := snap.Entries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		found, err := filepath.Glob(f.path("snapshots/*.entries"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	for i := range 5 {
		tree.entry(1, strings.Repeat("x", i), nil)
		mustBackup(t, f, tree)
		if n := lists(); n > 2 { // the newest's, and the one that was the newest
			t.Errorf("%d lists are kept", n)
		}
	}
	mustBackup(t, f, tree)
	if n := lists(); n != 1 {
		t.Errorf("%d lists are kept", n)
	}
}

// Metadata that was damaged at school is listed as such, never left out, and no
// such list is kept: an administrator may bring back what was there.
func TestDamagedEntries(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	tree := testTree(5)
	mustBackup(t, f, tree)
	snap, err := f.Snapshot(Latest)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	damaged := func() map[datastore.UID]string {
		t.Helper()
		r, err := snap.Entries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		m, n := map[datastore.UID]string{}, 0
		for dec := json.NewDecoder(r); dec.More(); n++ {
			var e wire.Entry
			if err := dec.Decode(&e); err != nil {
				t.Fatal(err)
			}
			if (e.Damaged == "") != (len(e.Version) == 64) {
				t.Errorf("%+v", e)
			}
			if e.Damaged != "" {
				m[datastore.UID(e.UID)] = e.Damaged
			}
		}
		if n != 5 {
			t.Errorf("%d entries are listed", n)
		}
		return m
	}
	path := func(n int) string { return filepath.Join(snap.Path(), testUID(n).Path()) }
	other := testTree(0)
	other.entry(3, "TITLE", nil)
	if err := errors.Join(os.WriteFile(path(1), []byte("{torn"), 0o644), os.Remove(path(2)),
		os.WriteFile(path(3), other[testUID(3).Path()], 0o644)); err != nil {
		t.Fatal(err)
	}
	m := damaged()
	if len(m) != 3 || m[testUID(1)] == "" || m[testUID(2)] == "" || m[testUID(3)] == "" {
		t.Errorf("damaged: %v", m)
	}
	t.Log(m)
	asked := map[string]string{string(testUID(0)): "another", string(testUID(1)): ""}
	if uids, err := snap.Saved(t.Context(), asked); err != nil || len(uids) != 0 {
		t.Errorf("saved: %v %v", uids, err)
	}
	for n := 1; n <= 3; n++ {
		if err := os.WriteFile(path(n), tree[testUID(n).Path()], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if m := damaged(); len(m) != 0 {
		t.Errorf("still damaged: %v", m)
	}
}

// What has changed at school is named, and the rest can be had.
func TestWanted(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	mustBackup(t, f, testTree(10))
	snap, err := f.Snapshot(Latest)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	data := strings.TrimSuffix(testUID(1).Path(), "cjson") + "data"
	if err := errors.Join(os.WriteFile(snap.Path()+"/"+data, []byte("rotten"), 0o644), os.Remove(snap.Path()+"/"+testUID(2).Path())); err != nil {
		t.Fatal(err)
	}
	whole, damaged, err := snap.Wanted(nil)
	if err != nil || len(whole) != 8 || len(damaged) != 2 {
		t.Errorf("%v %v %v", whole, damaged, err)
	}
	whole, damaged, err = snap.Wanted([]datastore.UID{testUID(1), testUID(3), testUID(99)})
	if err != nil || len(whole) != 1 || len(damaged) != 2 {
		t.Errorf("%v %v %v", whole, damaged, err)
	}
	var v Verifier
	problems, _, err := v.Verify(t.Context(), snap)
	if err != nil || len(problems) != 2 {
		t.Errorf("verify: %q %v", problems, err)
	}
}
