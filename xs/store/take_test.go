package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSnapshots(t *testing.T) {
	s := testStore(t, t.TempDir())
	f := testFolder(t, s)
	now := time.Date(2026, 11, 23, 21, 30, 5, 0, time.UTC)
	s.now = func() time.Time { return now }

	tree := testTree(25)
	first := mustBackup(t, f, tree)
	if first.Confirmed || first.Snapshot.ID != "2026-11-23T21-30-05Z" || first.Snapshot.Seq != 1 ||
		first.Snapshot.Entries != 25 || first.Snapshot.Machine != "SHC00000001" || first.Snapshot.Digest != tree.digest() {
		t.Errorf("first: %+v", first)
	}
	holds(t, f, Latest, tree)

	now = now.Add(time.Hour)
	again := mustBackup(t, f, tree)
	if !again.Confirmed || again.Snapshot.ID != first.Snapshot.ID || again.Snapshot.Confirmed != now.Unix() {
		t.Errorf("nothing changed, and yet: %+v", again)
	}

	// The clock falls back to the second of the first snapshot.
	now = now.Add(-time.Hour)
	older := testTree(25)
	tree.entry(1, "starred", []byte("data of 1"))
	tree.entry(2, "title", []byte("new data"))
	tree.entry(9, "starred too", tree.join(9))
	tree.remove(3)
	second := mustBackup(t, f, tree)
	if second.Snapshot.ID != "2026-11-23T21-30-06Z" || second.Snapshot.Seq != 2 || second.Snapshot.Entries != 24 {
		t.Errorf("second: %+v", second)
	}
	now = time.Unix(100, 0)
	tree.entry(4, "1970", nil)
	third := mustBackup(t, f, tree)
	if third.Snapshot.ID != "1970-01-01T00-01-40Z" || third.Snapshot.Seq != 3 {
		t.Errorf("third: %+v", third)
	}
	list, err := f.Snapshots()
	if err != nil || len(list) != 3 || list[0].ID != third.Snapshot.ID || list[2].ID != first.Snapshot.ID {
		t.Errorf("listed: %v %v", list, err)
	}
	holds(t, f, first.Snapshot.ID, older)
	holds(t, f, Latest, tree)
	if to, err := os.Readlink(f.path("latest")); err != nil || to != "snapshots/"+third.Snapshot.ID {
		t.Errorf("latest leads to %s, %v", to, err)
	}
	// What did not change is one inode everywhere.
	path := testUID(5).Path()
	a, _ := os.Stat(f.path("snapshots/" + first.Snapshot.ID + "/" + path))
	b, _ := os.Stat(f.path("current/" + path))
	if !os.SameFile(a, b) {
		t.Error("an unchanged file is there twice")
	}
	for _, dir := range []string{"", filepath.Dir(path)} {
		if fi, err := os.Stat(f.path("snapshots/" + third.Snapshot.ID + "/" + dir)); err != nil || fi.ModTime().Unix() != 1 {
			t.Errorf("time of folder %q: %v %v", dir, fi.ModTime(), err)
		}
	}
}

func (t journalTree) join(n int) []byte {
	var paths []string
	for path := range t {
		if strings.Contains(path, string(testUID(n))+".data") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	var all []byte
	for _, path := range paths {
		all = append(all, t[path]...)
	}
	return all
}

// Two contents of one size whose times, made of the sums, are the same: rsync
// takes the new one for the old one.
func TestCollision(t *testing.T) {
	for _, kind := range []string{"data", "metadata"} {
		t.Run(kind, func(t *testing.T) {
			f := testFolder(t, testStore(t, t.TempDir()))
			tree := testTree(12)
			mustBackup(t, f, tree)
			was := testTree(12)
			changed := testTree(12)
			changed.entry(1, "title", []byte("DATA of 1"))
			if kind == "metadata" {
				changed = testTree(12)
				changed.entry(1, "TITLE", []byte("data of 1"))
			}
			// What rsync would leave in current:
			skewed := testTree(12)
			if kind == "data" {
				skewed[testUID(1).Path()] = changed[testUID(1).Path()]
			}
			taken, err := backupOf(f, skewed, changed.digest())
			if err != nil {
				t.Fatal(err)
			}
			if kind == "data" && (len(taken.Kept) != 1 || taken.Kept[0].UID != string(testUID(1)) || taken.Kept[0].Missing) {
				t.Errorf("kept: %+v", taken.Kept)
			}
			if taken.Snapshot.Digest == changed.digest() {
				t.Error("the snapshot claims to be what was offered")
			}
			holds(t, f, Latest, was)
			// The next time the right file is missing from current, so rsync sends it.
			l, err := f.Lock()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Prepare(changed.digest()); err != nil {
				t.Fatal(err)
			}
			l.Unlock()
			missing := testUID(1).Path()
			if kind == "data" {
				missing = strings.TrimSuffix(missing, "cjson") + "data"
			}
			if _, err := os.Lstat(f.path("current/" + missing)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still in current: %v", missing, err)
			}
			if taken := mustBackup(t, f, changed); len(taken.Kept) > 0 {
				t.Errorf("still kept: %+v", taken.Kept)
			}
			holds(t, f, Latest, changed)
		})
	}
}

// A manifest that was damaged at school is left alone, and hinders no backup.
func TestDamagedManifest(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	first := mustBackup(t, f, testTree(3))
	second := testTree(3)
	second.entry(1, "title", []byte("second"))
	damaged := mustBackup(t, f, second).Snapshot.ID
	name := f.path("snapshots/" + damaged + ".manifest")
	if err := os.WriteFile(name, []byte("mice"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What the older snapshot holds, too, is not what the newest is confirmed by.
	for n, tree := range []journalTree{testTree(3), second, testTree(4)} {
		taken := mustBackup(t, f, tree)
		if taken.Confirmed || len(taken.Kept) > 0 || taken.Snapshot.Seq != first.Snapshot.Seq+uint64(2+n) {
			t.Errorf("%d: %+v", n, taken)
		}
		holds(t, f, Latest, tree)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "mice" {
		t.Errorf("%q %v", b, err)
	}
}

func TestKept(t *testing.T) {
	f := testFolder(t, testStore(t, t.TempDir()))
	tree := testTree(12)
	mustBackup(t, f, tree)

	// 1 could not be read on the XO, 2 came with the wrong data, 50 never was here.
	next := testTree(12)
	next.journal(testUID(1), testUID(50))
	next.remove(1)
	next.entry(2, "title", []byte("something else"))
	next[strings.TrimSuffix(testUID(2).Path(), "cjson")+"data"] = []byte("torn, torn, to")
	next.entry(60, "new", []byte("x"))
	delete(next, testUID(60).Path())
	taken := mustBackup(t, f, next)
	got := map[string]bool{}
	for _, k := range taken.Kept {
		got[k.UID] = k.Missing
	}
	want := map[string]bool{string(testUID(1)): false, string(testUID(2)): false, string(testUID(50)): true, string(testUID(60)): true}
	if len(got) != len(want) {
		t.Errorf("kept %+v", taken.Kept)
	}
	for uid, missing := range want {
		if m, ok := got[uid]; !ok || m != missing {
			t.Errorf("%s: kept %v, missing %v", uid, ok, m)
		}
	}
	was := testTree(12)
	was.journal(testUID(1), testUID(50))
	holds(t, f, Latest, was)

	// Once it can be read again, the same content is the same inode again.
	mustBackup(t, f, tree)
	holds(t, f, Latest, testTree(12))
	a, _ := os.Stat(f.path("current/" + testUID(1).Path()))
	b, _ := os.Stat(f.path("latest/" + testUID(1).Path()))
	if !os.SameFile(a, b) {
		t.Error("current has a copy of its own")
	}
}

func TestHostileTree(t *testing.T) {
	cjson := testUID(1).Path()
	data, folder := strings.TrimSuffix(cjson, "cjson")+"data", filepath.Dir(cjson)
	for name, c := range map[string]struct {
		spoil func(at string) error
		at    string // which the refusal names
		want  string
	}{
		"link":         {func(at string) error { return os.Symlink("/etc/passwd", at) }, data + ".0000", "neither a file nor a folder"},
		"link folder":  {func(at string) error { return os.Symlink("/etc", at) }, "zz", "neither a file nor a folder"},
		"fifo":         {mkfifo, data + ".0001", "neither a file nor a folder"},
		"foreign":      {func(at string) error { return os.WriteFile(at, []byte("x"), 0o644) }, "hello", "no such file belongs"},
		"foreign deep": {func(at string) error { return os.WriteFile(at, []byte("x"), 0o644) }, folder + "/.hello.tmp", "no such file belongs"},
		"mode":         {func(at string) error { return os.Chmod(at, 0o755) }, cjson, "its mode is -rwxr-xr-x"},
		"setuid":       {func(at string) error { return os.Chmod(at, os.ModeSetuid|0o644) }, cjson, "has mode 04644"},
		"folder":       {func(at string) error { return os.MkdirAll(at+"/deep", 0o755) }, folder + "/sub", "no such file belongs"},
		"huge":         {func(at string) error { return os.Truncate(at, 1<<40) }, cjson, "its size is 1099511627776"},
	} {
		t.Run(name, func(t *testing.T) {
			f := testFolder(t, testStore(t, t.TempDir()))
			tree := testTree(3)
			mustBackup(t, f, tree)
			// Of its own inodes: a transfer never writes into those of a snapshot.
			if err := os.RemoveAll(f.path("current")); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Mkdir(f.path("current"), 0o755), tree.rsync(f.path("current"))); err != nil {
				t.Fatal(err)
			}
			l, err := f.Lock()
			if err != nil {
				t.Fatal(err)
			}
			defer l.Unlock()
			if err := c.spoil(filepath.Join(l.CurrentPath(), c.at)); err != nil {
				t.Fatal(err)
			}
			_, err = l.Take(t.Context(), Offer{}, func(int, int) {})
			var refused *TreeError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, strconv.Quote(c.at)) || !strings.Contains(refused.Reason, c.want) {
				t.Errorf("%v, want that %q: %s", err, c.at, c.want)
			}
			holds(t, f, Latest, tree)
			// The next session removes it and goes on.
			if _, err := l.Prepare(tree.digest()); err != nil {
				t.Fatal(err)
			}
			l.Unlock()
			mustBackup(t, f, tree)
			holds(t, f, Latest, tree)
		})
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	f := testFolder(t, testStore(t, dir))
	l, err := f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	other, err := testStore(t, dir).Folder(f.ID) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Lock(); !errors.Is(err, ErrInUse) {
		t.Errorf("locked twice: %v", err)
	}
	l.Unlock()
	if l, err = other.Lock(); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
}
