package store

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// rot changes a byte of a file, in place, which keeps its size.
func rot(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(name, b, 0o644)
}

// secretly does something to a file that leaves its time as it was.
func secretly(name string, do func(string) error) error {
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	return errors.Join(do(name), os.Chtimes(name, time.Time{}, fi.ModTime()))
}

func shorten(name string) error { return os.Truncate(name, 3) }

// verify is `xs-backupd verify`: how many problems are there?
func verify(t testing.TB, f *Folder, id string) int {
	t.Helper()
	snap, err := f.Snapshot(id)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	var v Verifier
	problems, _, err := v.Verify(t.Context(), snap)
	if err != nil {
		t.Fatal(err)
	}
	return len(problems)
}

// locked asks under the account's lock.
func locked(t testing.TB, f *Folder, ask func(*Locked) bool) bool {
	t.Helper()
	l, err := f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	return ask(l)
}

// The bug: damage to a file that snapshots share was inherited by all that
// followed and called safe, and a snapshot of which files were missing was
// confirmed for ever, while the laptop had all of it.
func TestDamageAtSchool(t *testing.T) {
	cjson := testUID(1).Path()
	data := strings.TrimSuffix(cjson, "cjson") + "data"
	for name, test := range map[string]struct {
		spoil func(dir string) error
		found bool // only by verifying
	}{
		"changed data":          {func(dir string) error { return rot(dir + "/" + data) }, false},
		"changed metadata":      {func(dir string) error { return rot(dir + "/" + cjson) }, false},
		"changed journal":       {func(dir string) error { return rot(dir + "/" + journalName) }, false},
		"missing data":          {func(dir string) error { return os.Remove(dir + "/" + data) }, false},
		"missing metadata":      {func(dir string) error { return os.Remove(dir + "/" + cjson) }, false},
		"missing journal":       {func(dir string) error { return os.Remove(dir + "/" + journalName) }, false},
		"missing folder":        {func(dir string) error { return os.RemoveAll(dir + "/" + cjson[:1]) }, false},
		"another mode":          {func(dir string) error { return os.Chmod(dir+"/"+data, 0o600) }, false},
		"short data":            {func(dir string) error { return secretly(dir+"/"+data, shorten) }, false},
		"short metadata":        {func(dir string) error { return secretly(dir+"/"+cjson, shorten) }, false},
		"rotten data":           {func(dir string) error { return secretly(dir+"/"+data, rot) }, true},
		"rotten metadata":       {func(dir string) error { return secretly(dir+"/"+cjson, rot) }, true},
		"rotten journal":        {func(dir string) error { return secretly(dir+"/"+journalName, rot) }, true},
		"rotten and then short": {func(dir string) error { return errors.Join(secretly(dir+"/"+data, rot), os.Truncate(dir+"/"+cjson, 9)) }, true},
	} {
		for then, next := range map[string]func() journalTree{
			"nothing changed": func() journalTree { return testTree(8) },
			"another entry":   func() journalTree { n := testTree(8); n.entry(4, "new", []byte("new")); return n },
			"its title":       func() journalTree { n := testTree(8); n.entry(1, "new", []byte("data of 1")); return n },
		} {
			t.Run(name+", "+then, func(t *testing.T) {
				f := testFolder(t, testStore(t, t.TempDir()))
				first := mustBackup(t, f, testTree(8)).Snapshot
				if !locked(t, f, func(l *Locked) bool { return l.Holds(first.Digest) }) {
					t.Fatal("the snapshot is whole, and not confirmed")
				}
				if err := test.spoil(f.path("snapshots/" + first.ID)); err != nil {
					t.Fatal(err)
				}
				if test.found && verify(t, f, first.ID) == 0 {
					t.Error("verify finds nothing")
				}
				if locked(t, f, func(l *Locked) bool { return l.Holds(first.Digest) }) {
					t.Error("a damaged snapshot is confirmed")
				}
				tree := next()
				taken := mustBackup(t, f, tree)
				if taken.Confirmed || len(taken.Kept) > 0 || taken.Snapshot.Seq != 2 || taken.Snapshot.Digest != tree.digest() {
					t.Errorf("%+v", taken)
				}
				holds(t, f, Latest, tree)
				if !locked(t, f, func(l *Locked) bool { return l.Holds(tree.digest()) }) {
					t.Error("what was fetched anew is not confirmed")
				}
				if verify(t, f, first.ID) == 0 {
					t.Error("the damaged snapshot is no longer called so")
				}
			})
		}
	}
}

// What the laptop cannot read, and the school has only damaged, is nowhere: that
// is told, and nothing of it is in the snapshot.
func TestDamagedIsNotKept(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	first := mustBackup(t, f, testTree(8)).Snapshot
	data := strings.TrimSuffix(testUID(1).Path(), "cjson") + "data"
	if err := rot(f.path("snapshots/" + first.ID + "/" + data)); err != nil {
		t.Fatal(err)
	}
	tree := testTree(8)
	tree.journal(testUID(1), testUID(2))
	tree.remove(1)
	tree.remove(2)
	taken := mustBackup(t, f, tree)
	if len(taken.Kept) != 2 {
		t.Fatalf("%+v", taken.Kept)
	}
	for _, k := range taken.Kept {
		if bad := k.UID == string(testUID(1)); k.Missing != bad || strings.Contains(k.Reason, "changed at school") != bad {
			t.Errorf("%+v", k)
		}
	}
	tree.entry(2, "title", []byte("data of 2"))
	holds(t, f, Latest, tree)
}

// An entry of which a file is not there any more is not safe, whatever its
// metadata says.
func TestDamagedIsNotSaved(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	tree := testTree(4)
	mustBackup(t, f, tree)
	snap, err := f.Snapshot(Latest)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	versions := map[string]string{}
	for _, n := range []int{1, 2} {
		versions[string(testUID(n))] = listed(t, snap)[string(testUID(n))].Version
	}
	if err := os.Remove(snap.Path() + "/" + strings.TrimSuffix(testUID(1).Path(), "cjson") + "data"); err != nil {
		t.Fatal(err)
	}
	if uids, err := snap.Saved(t.Context(), versions); err != nil || len(uids) != 1 || uids[0] != string(testUID(2)) {
		t.Errorf("%v %v", uids, err)
	}
}

// listed is the list of the snapshot's entries.
func listed(t testing.TB, snap *Snapshot) map[string]wire.Entry {
	t.Helper()
	r, err := snap.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	list := map[string]wire.Entry{}
	for dec := json.NewDecoder(r); dec.More(); {
		var e wire.Entry
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		list[e.UID] = e
	}
	return list
}

// What an administrator has mended is no longer called damaged.
func TestMended(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	first := mustBackup(t, f, testTree(3)).Snapshot
	data := f.path("snapshots/" + first.ID + "/" + strings.TrimSuffix(testUID(1).Path(), "cjson") + "data")
	for range 2 { // there and back
		if err := secretly(data, rot); err != nil {
			t.Fatal(err)
		}
		damaged := verify(t, f, first.ID) > 0
		if confirmed := locked(t, f, func(l *Locked) bool { return l.Holds(first.Digest) }); confirmed == damaged {
			t.Errorf("damaged %v, and confirmed %v", damaged, confirmed)
		}
	}
	if names, err := readNames(f.root, snapshotsDir); err != nil || len(names) != 3 {
		t.Errorf("%q %v", names, err)
	}
}
