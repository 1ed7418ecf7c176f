package datastore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var errStop = errors.New("the power failed")

// stopAt is a disk that stops at the n-th step, and without an exchange is that
// of an XO-1's kernel.
func stopAt(n int, withExchange bool) disk {
	d := realDisk()
	if !withExchange {
		d.exchange = func(a, b string) error { return errNoExchange }
	}
	d.step = func(string) error {
		if n--; n == 0 {
			return errStop
		}
		return nil
	}
	return d
}

// version makes the metadata and data of a version of an entry.
func versionOf(uid UID, v string) (map[string][]byte, []byte) {
	data := []byte("data of version " + v)
	m := plain(uid, "version "+v, len(data))
	m["only-"+v] = []byte{0xff, 0}
	return m, data
}

func isVersion(t testing.TB, entry string, uid UID, v string) error {
	t.Helper()
	if _, err := os.Lstat(entry); err != nil {
		return err
	}
	wantM, wantD := versionOf(uid, v)
	m, d := onDisk(t, entry)
	if !sameMetadata(m, wantM) || !bytes.Equal(d, wantD) {
		return fmt.Errorf("%s is not version %s", entry, v)
	}
	return nil
}

// stage unpacks version "new" of the uids beside the datastore.
func stage(t testing.TB, dir string, uids ...UID) map[UID]string {
	t.Helper()
	src := t.TempDir()
	for _, uid := range uids {
		m, d := versionOf(uid, "new")
		writeEntry(t, src, uid, m, d)
	}
	tree := lookAt(t, openStore(t, src), LookOptions{})
	staged := map[UID]string{}
	must(t, os.RemoveAll(dir))
	for _, uid := range uids {
		e, _, err := ReadEntry(tree, uid)
		must(t, err)
		staged[uid] = filepath.Join(dir, string(uid))
		must(t, unpack(t, tree, uid, e, staged[uid]))
	}
	return staged
}

// unpack unpacks from a tree that stays as it is.
func unpack(t testing.TB, tree fs.FS, from UID, e *Entry, dir string) error {
	t.Helper()
	if e.Data == nil {
		return Unpack(e, "", dir)
	}
	fetched, err := os.MkdirTemp(filepath.Dir(filepath.Dir(dir)), "fetched")
	must(t, err)
	defer os.RemoveAll(fetched)
	original := &Entry{UID: from, Data: e.Data}
	for _, f := range original.Files() {
		b, err := fs.ReadFile(tree, f.Path)
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(fetched, f.Path)), 0o755))
		must(t, os.WriteFile(filepath.Join(fetched, f.Path), b, 0o644))
	}
	data := filepath.Join(fetched, "data")
	must(t, JoinData(fetched, original, data))
	return Unpack(e, data, dir)
}

// journalForPublish has old versions of two entries, flags and marks.
func journalForPublish(t testing.TB, dir string) {
	t.Helper()
	for _, uid := range []UID{testUID(1), testUID(2)} {
		m, d := versionOf(uid, "old")
		writeEntry(t, dir, uid, m, d)
	}
	must(t, os.WriteFile(dir+"/version", []byte("6"), 0o644))
	must(t, os.WriteFile(dir+"/index_updated", nil, 0o644))
	must(t, os.WriteFile(dir+"/ds_clean", nil, 0o644))
	for _, mark := range []string{"aaaa/" + string(testUID(1)), "bbbb/" + string(testUID(1)), "bbbb/" + string(testUID(2)), "cccc/" + string(testUID(9)), "queue/" + string(testUID(1))} {
		must(t, os.MkdirAll(filepath.Join(dir, "checksums", filepath.Dir(mark)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "checksums", mark), nil, 0o644))
	}
}

func entryPath(dir string, uid UID) string { return filepath.Join(dir, uid.folder(), string(uid)) }

func TestPublish(t *testing.T) {
	for _, withExchange := range []bool{true, false} {
		t.Run(fmt.Sprint("exchange ", withExchange), func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "datastore")
			journalForPublish(t, dir)
			staged := stage(t, filepath.Join(top, "staged"), testUID(1), testUID(3))
			s := openStore(t, dir)
			s.disk = stopAt(0, withExchange)
			must(t, s.Publish(t.Context(), staged))
			must(t, isVersion(t, entryPath(dir, testUID(1)), testUID(1), "new"))
			must(t, isVersion(t, entryPath(dir, testUID(2)), testUID(2), "old"))
			must(t, isVersion(t, entryPath(dir, testUID(3)), testUID(3), "new"))
			for _, gone := range []string{"index_updated", "ds_clean", "checksums/aaaa", "checksums/bbbb/" + string(testUID(1))} {
				if _, err := os.Lstat(filepath.Join(dir, gone)); err == nil {
					t.Errorf("%s is still there", gone)
				}
			}
			for _, stays := range []string{"version", "checksums/bbbb/" + string(testUID(2)), "checksums/cccc/" + string(testUID(9)), "checksums/queue"} {
				if _, err := os.Lstat(filepath.Join(dir, stays)); err != nil {
					t.Error(err)
				}
			}
			if left, _ := os.ReadDir(filepath.Join(top, "staged")); len(left) > 0 {
				t.Errorf("left over: %v", left)
			}
			if sum := lookAt(t, s, LookOptions{}).Summary(); sum.Entries != 3 || len(sum.Damaged) > 0 {
				t.Errorf("%+v", sum)
			}
			// Into nothing at all.
			empty := filepath.Join(top, "empty")
			must(t, os.Mkdir(empty, 0o755))
			must(t, openStore(t, empty).Publish(t.Context(), stage(t, filepath.Join(top, "staged"), testUID(1))))
			must(t, isVersion(t, entryPath(empty, testUID(1)), testUID(1), "new"))
			if b, _ := os.ReadFile(empty + "/version"); string(b) != "6" {
				t.Errorf("version %q", b)
			}
		})
	}
}

// TestPublishStops: wherever it stops, and after Recover, every entry is whole,
// old or new, and Sugar rebuilds its index if any is new. To publish again what
// was staged again comes to the same end.
func TestPublishStops(t *testing.T) {
	for _, withExchange := range []bool{true, false} {
		for n := 1; ; n++ {
			top := t.TempDir()
			dir := filepath.Join(top, "datastore")
			journalForPublish(t, dir)
			s := openStore(t, dir)
			s.disk = stopAt(n, withExchange)
			err := s.Publish(t.Context(), stage(t, filepath.Join(top, "staged"), testUID(1), testUID(3)))
			if err == nil {
				if n < 5 {
					t.Errorf("%d steps only", n-1)
				}
				break
			}
			if !errors.Is(err, errStop) {
				t.Fatal(err)
			}
			s.disk = stopAt(0, withExchange)
			checkPublished(t, s, n)
			must(t, s.Publish(t.Context(), stage(t, filepath.Join(top, "staged"), testUID(1), testUID(3))))
			for _, uid := range []UID{testUID(1), testUID(3)} {
				must(t, isVersion(t, entryPath(dir, uid), uid, "new"))
			}
			if left, _ := filepath.Glob(dir + "/??/.*"); len(left) > 0 {
				t.Errorf("step %d: left over: %v", n, left)
			}
		}
	}
}

func checkPublished(t testing.TB, s *Store, n int) {
	t.Helper()
	must(t, s.Recover())
	if pending, err := s.PublishPending(); pending || err != nil {
		t.Errorf("step %d: pending after Recover: %v, %v", n, pending, err)
	}
	must(t, s.Recover())
	isNew := 0
	for _, uid := range []UID{testUID(1), testUID(3)} {
		path := entryPath(s.dir, uid)
		switch {
		case isVersion(t, path, uid, "new") == nil:
			isNew++
		case uid == testUID(1) && isVersion(t, path, uid, "old") == nil:
		case uid == testUID(3) && errors.Is(isVersion(t, path, uid, "new"), fs.ErrNotExist):
		default:
			t.Errorf("step %d: %s is neither old nor new", n, uid)
		}
	}
	must(t, isVersion(t, entryPath(s.dir, testUID(2)), testUID(2), "old"))
	_, err := os.Lstat(s.dir + "/index_updated")
	_, err2 := os.Lstat(s.dir + "/ds_clean")
	if isNew > 0 && (err == nil || err2 == nil) {
		t.Errorf("step %d: Sugar would not see what is new", n)
	}
}

func TestPublishIsCancelled(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "datastore")
	journalForPublish(t, dir)
	s := openStore(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	s.disk.step = func(name string) error {
		if name == "placed" {
			cancel()
		}
		return nil
	}
	if err := s.Publish(ctx, stage(t, filepath.Join(top, "staged"), testUID(1), testUID(3))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	checkPublished(t, s, 0)
}

// TestPublishPowerCut cuts the power at every step of a Publish.
func TestPublishPowerCut(t *testing.T) {
	i := newImage(t, 32)
	for n := 1; ; n++ {
		dir := filepath.Join(i.path, fmt.Sprint("datastore", n))
		journalForPublish(t, dir)
		must(t, syncAll(dir))
		s := openStore(t, dir)
		s.disk = stopAt(n, n%2 == 0)
		staged := stage(t, filepath.Join(i.path, "staged"), testUID(1), testUID(3))
		err := s.Publish(t.Context(), staged)
		i.cut()
		checkPublished(t, s, n)
		if err == nil && n%2 == 0 {
			for _, uid := range []UID{testUID(1), testUID(3)} {
				must(t, isVersion(t, entryPath(dir, uid), uid, "new"))
			}
			break
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	src, out := t.TempDir(), t.TempDir()
	m, d := versionOf(testUID(1), "new")
	writeEntry(t, src, testUID(1), m, d)
	tree := filepath.Join(t.TempDir(), "tree")
	must(t, os.CopyFS(tree, lookAt(t, openStore(t, src), LookOptions{})))
	fsys := os.DirFS(tree)
	e, _, err := ReadEntry(fsys, testUID(1))
	must(t, err)
	data := filepath.Join(tree, e.Files()[0].Path)
	damaged := func(what string, spoil func()) {
		t.Helper()
		good, err := os.ReadFile(data)
		must(t, err)
		spoil()
		var d *DamagedError
		if _, _, err := VerifyEntry(fsys, e.UID); !errors.As(err, &d) || d.UID != e.UID {
			t.Errorf("%s: VerifyEntry: %v", what, err)
		}
		must(t, os.RemoveAll(data))
		must(t, os.WriteFile(data, good, 0o644))
	}
	damaged("a byte changed", func() { must(t, os.WriteFile(data, bytes.ToUpper(d), 0o644)) })
	damaged("a byte less", func() { must(t, os.Truncate(data, int64(len(d)-1))) })
	damaged("a byte more", func() { must(t, os.Truncate(data, int64(len(d)+1))) })
	damaged("no data", func() { must(t, os.Remove(data)) })
	damaged("a pipe", func() { must(t, os.Remove(data)); must(t, syscall.Mkfifo(data, 0o644)) })
	damaged("a folder", func() { must(t, os.Remove(data)); must(t, os.Mkdir(data, 0o755)) })

	must(t, unpack(t, fsys, e.UID, e, filepath.Join(out, "twice")))
	if err := unpack(t, fsys, e.UID, e, filepath.Join(out, "twice")); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	hostile := *e
	hostile.Metadata = map[string][]byte{"../../../x": nil}
	var de *DamagedError
	if err := unpack(t, fsys, e.UID, &hostile, filepath.Join(out, "hostile")); !errors.As(err, &de) {
		t.Error(err)
	}
	must(t, os.WriteFile(filepath.Join(tree, e.UID.Path()), []byte("{}"), 0o644))
	if _, _, err := ReadEntry(fsys, e.UID); !errors.As(err, &de) {
		t.Error(err)
	}
	if _, _, err := ReadEntry(fsys, testUID(5)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := UIDs(os.DirFS(src)); err == nil || !strings.Contains(err.Error(), testUID(1).folder()) {
		t.Errorf("layout 6 taken for a tree: %v", err)
	}
}

// TestDiskFull: Unpack says so, as what it is.
func TestDiskFull(t *testing.T) {
	small := t.TempDir()
	e := &Entry{UID: testUID(1), Metadata: plain(testUID(1), "big", 0)}
	e.Metadata["preview"] = make([]byte, 3<<20)
	for _, options := range []string{"size=1m", "nr_inodes=8"} {
		if err := syscall.Mount("tmpfs", small, "tmpfs", 0, options); err != nil {
			t.Skip("mounting is refused here: ", err)
		}
		err := Unpack(e, "", filepath.Join(small, "x"))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", options, err)
		}
		var d *DamagedError
		if errors.As(err, &d) {
			t.Errorf("%s: taken for damage: %v", options, err)
		}
		must(t, syscall.Unmount(small, 0))
	}
}

// TestJoinData: on a disk that holds the data and one part more, all of it finds
// its place, and what was moved is gone from the tree.
func TestJoinData(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=29m"); err != nil {
		t.Skip("mounting is refused here: ", err)
	}
	defer syscall.Unmount(disk, 0)
	for _, size := range []int{0, 1, PartSize, PartSize + 1, 20 << 20} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i>>12 + i)
		}
		e := &Entry{UID: testUID(1), Data: &Data{Size: int64(size)}}
		tree, rest := filepath.Join(disk, "tree"), want
		must(t, os.MkdirAll(filepath.Join(tree, e.UID.shard()), 0o755))
		for _, f := range e.Files() {
			must(t, os.WriteFile(filepath.Join(tree, f.Path), rest[:f.Size], 0o644))
			must(t, os.Chtimes(filepath.Join(tree, f.Path), time.Unix(77, 0), time.Unix(77, 0)))
			rest = rest[f.Size:]
		}
		to := filepath.Join(disk, "data")
		must(t, JoinData(tree, e, to))
		got, err := os.ReadFile(to)
		must(t, err)
		info, err := os.Stat(to)
		must(t, err)
		if !bytes.Equal(got, want) || time.Since(info.ModTime()) > time.Hour {
			t.Errorf("%d bytes: %d came, of %v", size, len(got), info.ModTime())
		}
		left, err := os.ReadDir(filepath.Join(tree, e.UID.shard()))
		if must(t, err); len(left) != 0 {
			t.Errorf("%d bytes: %v are still in the tree", size, left)
		}
		must(t, os.Remove(to))
	}

	e := &Entry{UID: testUID(1), Data: &Data{Size: 5}}
	path := filepath.Join(disk, "tree", e.Files()[0].Path)
	must(t, os.WriteFile(path, []byte("four"), 0o644))
	var damaged *DamagedError
	if err := JoinData(filepath.Join(disk, "tree"), e, filepath.Join(disk, "data")); !errors.As(err, &damaged) {
		t.Errorf("data that changed since it came: %v", err)
	}
	if err := JoinData(filepath.Join(disk, "tree"), e, filepath.Join(disk, "again")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("data that is not there: %v", err)
	}
}

func TestTwin(t *testing.T) {
	src := t.TempDir()
	m, d := versionOf(testUID(1), "new")
	writeEntry(t, src, testUID(1), m, d)
	tree := lookAt(t, openStore(t, src), LookOptions{})
	e, _, err := ReadEntry(tree, testUID(1))
	must(t, err)
	day := mustDay(t, "2026-11-23")
	twin := e.Twin(day)
	if _, err := ParseUID(string(twin.UID)); err != nil || twin.UID == e.UID || twin.UID != TwinUID(e.UID, e.Version()) {
		t.Errorf("%s %v", twin.UID, err)
	}
	if string(e.Metadata["title"]) != "version new" || string(twin.Metadata["title"]) != "version new (2026-11-23)" {
		t.Errorf("%s, %s", e.Metadata["title"], twin.Metadata["title"])
	}
	to := filepath.Join(t.TempDir(), "twin")
	must(t, unpack(t, tree, e.UID, twin, to))
	gotM, gotD := onDisk(t, to)
	if !sameMetadata(gotM, twin.Metadata) || !bytes.Equal(gotD, d) {
		t.Errorf("%s", gotM)
	}
	if _, err := twin.Encode(); err != nil {
		t.Error(err)
	}
	e.Metadata["title"] = nil
	if got := e.Twin(day); string(got.Metadata["title"]) != "(2026-11-23)" || got.UID == twin.UID {
		t.Errorf("%q %s", got.Metadata["title"], got.UID)
	}
}
