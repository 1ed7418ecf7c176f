package datastore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"
)

// lookCounting looks and tells how many data files were read.
func lookCounting(t *testing.T, s *Store, cache string) (*Tree, int) {
	t.Helper()
	l, err := s.newLooker()
	must(t, err)
	defer l.close()
	tree, err := l.lookAll(t.Context(), s, LookOptions{Cache: cache})
	must(t, err)
	return tree, l.reads
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "version"), []byte("6"), 0o644))
	for _, name := range []string{"index", "checksums/queue", "store"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	for i := range 20 {
		writePlain(t, dir, testUID(i), fmt.Sprint("Entry ", i), strings.Repeat("x", i*100))
	}
	writeEntry(t, dir, testUID(20), plain(testUID(20), "no file", 0), nil)
	must(t, os.WriteFile(filepath.Join(dir, testUID(20).folder(), string(testUID(20)), "metadata", ".title"), []byte("temporary"), 0o644))

	tree := lookAt(t, openStore(t, dir), LookOptions{Owner: Owner{Nick: "Amara"}})
	names := []string{"journal.cjson", testUID(20).Path()}
	for i := range 20 {
		names = append(names, testUID(i).Path(), testUID(i).folder()+"/"+string(testUID(i))+".data")
	}
	must(t, fstest.TestFS(tree, names...))
	files := content(t, tree)
	if len(files) != len(names) {
		t.Errorf("%d files, want %d", len(files), len(names))
	}

	sum := tree.Summary()
	var bytes int64
	digest := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b, err := fs.ReadFile(tree, name)
		must(t, err)
		bytes += int64(len(b))
		info, err := fs.Stat(tree, name)
		must(t, err)
		if !info.ModTime().Equal(ModTime(sha256.Sum256(b))) {
			t.Errorf("%s: mtime %v", name, info.ModTime())
		}
		must(t, CheckFile(name, false, info.Size(), info.Mode()))
		if strings.HasSuffix(name, ".cjson") {
			fmt.Fprintf(digest, "%x  %s\n", sha256.Sum256(b), name)
		}
	}
	if want := fmt.Sprintf("%x", digest.Sum(nil)); sum.Digest != want || sum.Bytes != bytes || sum.Files != len(files) || sum.Entries != 21 || len(sum.Damaged) != 0 {
		t.Errorf("%+v\nwant digest %s, %d bytes", sum, want, bytes)
	}
	must(t, fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			info, _ := d.Info()
			if info.ModTime().Unix() != 1 || info.Mode() != fs.ModeDir|0o755 {
				t.Errorf("%s: %v %v", path, info.ModTime(), info.Mode())
			}
		}
		return err
	}))
	uids, err := UIDs(tree)
	must(t, err)
	n := 0
	for uid, info := range tree.Entries() {
		e, _, err := VerifyEntry(tree, uid)
		must(t, err)
		here, err := openStore(t, dir).Entry(t.Context(), uid)
		must(t, err)
		if uid != uids[n] || e.Version() != info.Version || here.Version() != info.Version {
			t.Errorf("entry %d: %s %s", n, uid, info.Version)
		}
		n++
	}
	if n != 21 {
		t.Error(n, "entries")
	}

	// The same content is the same tree, wherever and whenever.
	other := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(other, os.DirFS(dir)))
	if again := lookAt(t, openStore(t, other), LookOptions{Owner: Owner{Nick: "Amara"}}); !maps.Equal(content(t, again), files) || again.Summary().Digest != sum.Digest {
		t.Error("a raw copy makes another tree")
	}
}

func TestParts_roundTrip(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	sizes := []int{0, 1, PartSize - 1, PartSize, PartSize + 1, 20 << 20}
	for i, size := range sizes {
		data := bytes.Repeat([]byte{byte(i + 1), 2, 3, 5, 7, 11, 13}, size/7+1)[:size]
		writeEntry(t, dir, testUID(i), plain(testUID(i), "sized", size), data)
	}
	tree, reads := lookCounting(t, openStore(t, dir), "")
	if reads != len(sizes) {
		t.Errorf("%d reads", reads)
	}
	for i, size := range sizes {
		e, sums, err := VerifyEntry(tree, testUID(i))
		must(t, err)
		if len(sums) != 1+parts(int64(size)) || e.Data.Size != int64(size) {
			t.Errorf("%d bytes: %d files", size, len(sums))
		}
		for path, sum := range sums {
			b, err := fs.ReadFile(tree, path)
			must(t, err)
			info, err := fs.Stat(tree, path)
			must(t, err)
			if sha256.Sum256(b) != sum || !info.ModTime().Equal(ModTime(sum)) {
				t.Errorf("%d bytes: %s: %v", size, path, info.ModTime())
			}
		}
		to := filepath.Join(out, fmt.Sprint(i))
		must(t, Unpack(tree, e.UID, e, to))
		metadata, data := onDisk(t, to)
		wantM, wantD := onDisk(t, filepath.Join(dir, e.UID.folder(), string(e.UID)))
		if !sameMetadata(metadata, wantM) || !bytes.Equal(data, wantD) || (data == nil) != (wantD == nil) {
			t.Errorf("%d bytes: came back otherwise", size)
		}
	}
}

func TestCache(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	for i := range 10 {
		writePlain(t, dir, testUID(i), "title", fmt.Sprint("data ", i))
	}
	// Three entries that share their data, as the optimizer makes them.
	data := func(i int) string {
		return filepath.Join(dir, testUID(i).folder(), string(testUID(i)), "data")
	}
	for i := 1; i < 3; i++ {
		must(t, os.Remove(data(i)))
		must(t, os.Link(data(0), data(i)))
	}
	age(t, dir)
	s := openStore(t, dir)
	first, reads := lookCounting(t, s, cache)
	if reads != 8 {
		t.Errorf("10 entries with 8 different files: %d read", reads)
	}
	same := func(what string, wantReads int) *Tree {
		t.Helper()
		tree, reads := lookCounting(t, s, cache)
		if reads != wantReads {
			t.Errorf("%s: %d files read, want %d", what, reads, wantReads)
		}
		if tree.Summary().Digest != first.Summary().Digest || !maps.Equal(content(t, tree), content(t, first)) {
			t.Errorf("%s: another tree", what)
		}
		return tree
	}
	same("nothing changed", 0)

	// One property changes: its data needs no second reading.
	meta := filepath.Join(dir, testUID(5).folder(), string(testUID(5)), "metadata")
	must(t, os.WriteFile(filepath.Join(meta, ".title"), []byte("Title"), 0o644))
	must(t, os.Rename(filepath.Join(meta, ".title"), filepath.Join(meta, "title")))
	changed, reads := lookCounting(t, s, cache)
	if changed.Summary().Digest == first.Summary().Digest {
		t.Error("a changed property was missed")
	}
	t.Logf("after one property changed: %d files read", reads)
	age(t, meta)
	must(t, os.WriteFile(filepath.Join(meta, ".title"), []byte("title"), 0o644))
	must(t, os.Rename(filepath.Join(meta, ".title"), filepath.Join(meta, "title")))
	age(t, meta)
	lookCounting(t, s, cache)
	same("nothing changed again", 0)

	good, err := os.ReadFile(cache)
	must(t, err)
	for name, b := range map[string][]byte{
		"empty": {}, "cut": good[:len(good)/2], "one byte less": good[:len(good)-1],
		"a bit": append(bytes.Clone(good[:300]), append([]byte{good[300] ^ 1}, good[301:]...)...),
		"noise": bytes.Repeat([]byte{0xff}, 5000),
		"another version": func() []byte {
			b := bytes.Replace(good[:len(good)-32], []byte("look 1"), []byte("look 0"), 1)
			sum := sha256.Sum256(b)
			return append(b, sum[:]...)
		}(),
		"a count that lies": func() []byte {
			b := bytes.Clone(good[:len(good)-32])
			copy(b[len(b)-4:], "\xff\xff\xff\xff")
			sum := sha256.Sum256(b)
			return append(b, sum[:]...)
		}(),
	} {
		must(t, os.WriteFile(cache, b, 0o644))
		same("cache damaged: "+name, 8)
		same("cache mended: "+name, 0)
	}

	// No room for a cache, or no right to one: slower, and that is all.
	cache = filepath.Join(t.TempDir(), "missing/folder/cache")
	same("no cache can be written", 8)
}

// TestSameSizeSameInstant: data is changed in place to other bytes of the same
// length, many times within a tick of the clock that makes the stamps. Only
// distrust of young stamps can notice. See TestCoarseStamps, too.
func TestSameSizeSameInstant(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	uid := testUID(1)
	entry := writePlain(t, dir, uid, "title", "version 0000")
	s := openStore(t, dir)
	for i := range 500 {
		want := fmt.Sprintf("version %04d", i)
		f, err := os.OpenFile(filepath.Join(entry, "data"), os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt([]byte(want), 0)
		must(t, errors.Join(err, f.Close()))
		tree := lookAt(t, s, LookOptions{Cache: cache})
		e, _, err := VerifyEntry(tree, uid)
		must(t, err)
		if e.Data.SHA256 != sha256.Sum256([]byte(want)) {
			t.Fatalf("look %d is of older data", i)
		}
	}
}

func TestRacy(t *testing.T) {
	const s = int64(time.Second)
	at := func(m, d int64) state {
		return state{metadata: stamp{mtime: m, ctime: m}, data: stamp{mtime: d - 50*s, ctime: d}}
	}
	for _, c := range []struct {
		state state
		now   int64
		racy  bool
	}{
		{at(100*s, 100*s), 101*s + 999, true},
		{at(100*s, 100*s), 102 * s, false},
		{at(100*s, 101*s), 102 * s, true}, // the data is younger
		{at(101*s, 100*s), 102 * s, true},
		{at(100*s, 100*s), 50 * s, true}, // the clock was set back
	} {
		if got := c.state.racy(c.now); got != c.racy {
			t.Errorf("%+v at %d: %v", c.state, c.now, got)
		}
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	want := map[UID]string{}
	next := 0
	damaged := func(reason string, spoil func(uid UID, entry string)) {
		next++
		uid := testUID(next)
		entry := writePlain(t, dir, uid, "title", "data")
		spoil(uid, entry)
		want[uid] = reason
	}
	rm := func(path string) { t.Helper(); must(t, os.RemoveAll(path)) }

	damaged("it has no metadata", func(_ UID, e string) { rm(e + "/metadata") })
	damaged("it has no metadata", func(_ UID, e string) { rm(e); must(t, os.Mkdir(e, 0o755)) })
	damaged("it has no metadata", func(_ UID, e string) { rm(e + "/metadata"); must(t, os.Mkdir(e+"/metadata", 0o755)) })
	damaged("it has no metadata", func(_ UID, e string) {
		rm(e + "/metadata")
		must(t, os.Mkdir(e+"/metadata", 0o755))
		must(t, os.WriteFile(e+"/metadata/.title", nil, 0o644))
	})
	damaged("metadata cannot be read", func(_ UID, e string) { rm(e); must(t, os.WriteFile(e, []byte("x"), 0o644)) })
	damaged("metadata is no folder", func(_ UID, e string) { rm(e + "/metadata"); must(t, os.WriteFile(e+"/metadata", nil, 0o644)) })
	damaged("metadata is no folder", func(_ UID, e string) { rm(e + "/metadata"); must(t, os.Symlink("/etc", e+"/metadata")) })
	damaged("data is no plain file", func(_ UID, e string) { rm(e + "/data"); must(t, os.Symlink("/etc/passwd", e+"/data")) })
	damaged("data is no plain file", func(_ UID, e string) { rm(e + "/data"); must(t, os.Mkdir(e+"/data", 0o755)) })
	damaged("data is no plain file", func(_ UID, e string) { rm(e + "/data"); must(t, unix.Mkfifo(e+"/data", 0o644)) })
	damaged(`"title" cannot be read`, func(_ UID, e string) {
		rm(e + "/metadata/title")
		must(t, os.Symlink("/etc/passwd", e+"/metadata/title"))
	})
	damaged(`"pipe" is no plain file`, func(_ UID, e string) { must(t, unix.Mkfifo(e+"/metadata/pipe", 0o644)) })
	damaged(`"folder" is no plain file`, func(_ UID, e string) { must(t, os.Mkdir(e+"/metadata/folder", 0o755)) })
	damaged(`"a\xff" cannot be the name`, func(_ UID, e string) { must(t, os.WriteFile(e+"/metadata/a\xff", nil, 0o644)) })
	damaged("its uid is", func(_ UID, e string) { must(t, os.WriteFile(e+"/metadata/uid", []byte(testUID(999)), 0o644)) })
	damaged("larger than 8 MiB", func(_ UID, e string) {
		must(t, os.WriteFile(e+"/metadata/big", nil, 0o644))
		must(t, os.Truncate(e+"/metadata/big", 1<<40))
	})
	damaged("larger than 8 MiB", func(_ UID, e string) {
		for i := range 3 {
			must(t, os.WriteFile(fmt.Sprintf("%s/metadata/big%d", e, i), make([]byte, 3<<20), 0o644))
		}
	})
	damaged("larger than 8 MiB", func(_ UID, e string) { // only as base64
		must(t, os.WriteFile(e+"/metadata/big", bytes.Repeat([]byte{0xff}, 7<<20), 0o644))
	})
	damaged("its data cannot be of", func(_ UID, e string) { must(t, os.Truncate(e+"/data", 1<<43)) })
	damaged(`in the folder "zz"`, func(uid UID, e string) {
		must(t, os.MkdirAll(dir+"/zz", 0o755))
		must(t, os.Rename(e, dir+"/zz/"+string(uid)))
	})
	damaged("its folder cannot be read", func(uid UID, e string) {
		must(t, os.Rename(e, filepath.Join(dir, "elsewhere"+string(uid))))
		must(t, os.Symlink(filepath.Join(dir, "elsewhere"+string(uid)), e))
	})
	if err := unix.Mknod(filepath.Join(dir, "probe"), unix.S_IFCHR|0o644, 0x0105); err == nil {
		damaged("data is no plain file", func(_ UID, e string) { // /dev/zero: it has no end
			rm(e + "/data")
			must(t, unix.Mknod(e+"/data", unix.S_IFCHR|0o644, 0x0105))
		})
	} else {
		t.Log("no devices can be made here")
	}
	if os.Getuid() != 0 {
		damaged("permission denied", func(_ UID, e string) { must(t, os.Chmod(e+"/data", 0)) })
		damaged("permission denied", func(_ UID, e string) { must(t, os.Chmod(e+"/metadata/title", 0)) })
	}
	// Names that are no uids, where Sugar's datastore sees entries.
	strange := "not a uid, but of thirty-six letters"
	must(t, os.MkdirAll(filepath.Join(dir, "no", strange), 0o755))
	// A folder that leads elsewhere.
	must(t, os.Symlink("/etc", filepath.Join(dir, "ln")))
	// Things that are none of our business.
	must(t, os.WriteFile(filepath.Join(dir, "xx"), nil, 0o644))
	must(t, os.MkdirAll(filepath.Join(dir, "index", strings.Repeat("i", 36)), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "aa", "short"), 0o755))

	good := testUID(5000)
	writePlain(t, dir, good, "good", "data")
	both := testUID(5001) // there, and once more where it does not belong
	writePlain(t, dir, both, "good", "data")
	must(t, os.CopyFS(filepath.Join(dir, "zz", string(both)), os.DirFS(filepath.Join(dir, both.folder(), string(both)))))

	start := time.Now()
	tree := lookAt(t, openStore(t, dir), LookOptions{})
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	got := map[UID]string{}
	for _, d := range tree.Summary().Damaged {
		got[d.UID] = d.Reason
	}
	for uid, reason := range want {
		if !strings.Contains(got[uid], reason) {
			t.Errorf("%s: %q, want %q", uid, got[uid], reason)
		}
		delete(got, uid)
		_, err := openStore(t, dir).Entry(t.Context(), uid)
		var d *DamagedError
		if !errors.As(err, &d) && !(errors.Is(err, fs.ErrNotExist) && strings.Contains(reason, "zz")) {
			t.Errorf("%s, %s: Entry: %v", uid, reason, err)
		}
	}
	if !strings.Contains(got[UID(strange)], "is not a uid") || got["ln"] == "" || len(got) != 2 {
		t.Errorf("damaged as well: %v", got)
	}
	if s := tree.Summary(); s.Entries != 2 || s.Files != 5 {
		t.Errorf("%d entries, %d files", s.Entries, s.Files)
	}
	j, err := ReadJournal(tree)
	must(t, err)
	if !slices.Equal(j.Kept, slices.Sorted(maps.Keys(want))) {
		t.Errorf("kept %v", j.Kept)
	}
}

func TestEmptyAndMissing(t *testing.T) {
	dir := t.TempDir()
	tree := lookAt(t, openStore(t, dir), LookOptions{})
	if s := tree.Summary(); s.Entries != 0 || s.Files != 1 {
		t.Errorf("%+v", s)
	}
	must(t, fstest.TestFS(tree, "journal.cjson"))
	if _, err := Open(filepath.Join(dir, "missing"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := openStore(t, dir).Entry(t.Context(), testUID(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	writePlain(t, dir, testUID(1), "x", "y")
	if _, err := openStore(t, dir).Entry(t.Context(), UID(string(testUID(1))[:35]+"x")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := openStore(t, dir).Entry(t.Context(), "../../etc"); err == nil {
		t.Error("a uid that climbs is taken")
	}
	for version, ok := range map[string]bool{"6": true, "6\n": true, "": true, "5": false, "7": false, "six": false} {
		must(t, os.WriteFile(filepath.Join(dir, "version"), []byte(version), 0o644))
		if _, err := Open(dir, nil); (err == nil) != ok {
			t.Errorf("version %q: %v", version, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, os.Remove(filepath.Join(dir, "version")))
	if _, err := openStore(t, dir).Look(ctx, LookOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestOpenAfterChange: whoever opens a file of a tree gets what the look saw.
func TestOpenAfterChange(t *testing.T) {
	dir := t.TempDir()
	uid := testUID(1)
	entry := writePlain(t, dir, uid, "title", "data")
	dataPath := uid.folder() + "/" + string(uid) + ".data"
	s := openStore(t, dir)
	opens := func(tree *Tree, name, want string) {
		t.Helper()
		b, err := fs.ReadFile(tree, name)
		if want == "" {
			if _, ok := err.(*fs.PathError); !ok {
				t.Errorf("%s: %q, %T %v", name, b, err, err)
			}
		} else if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	tree := lookAt(t, s, LookOptions{})
	// An activity opens the entry: a link is made to the data.
	must(t, os.Link(entry+"/data", dir+"/link"))
	opens(tree, dataPath, "data")
	// The optimizer replaces it by a link to the same bytes.
	must(t, os.WriteFile(dir+"/same", []byte("data"), 0o644))
	must(t, os.Rename(dir+"/same", entry+"/data"))
	opens(tree, dataPath, "data")
	// It is replaced by other bytes, as many.
	must(t, os.WriteFile(dir+"/other", []byte("Data"), 0o644))
	must(t, os.Rename(dir+"/other", entry+"/data"))
	opens(tree, dataPath, "")
	opens(tree, uid.Path(), "title")
	must(t, os.WriteFile(entry+"/metadata/title", []byte("Title"), 0o644))
	opens(tree, uid.Path(), "")
	opens(tree, "journal.cjson", "layout")

	tree = lookAt(t, s, LookOptions{})
	must(t, os.Remove(entry+"/data"))
	must(t, os.Symlink("/etc/passwd", entry+"/data"))
	opens(tree, dataPath, "")
	must(t, os.RemoveAll(entry))
	opens(tree, dataPath, "")
	opens(tree, uid.Path(), "")
	opens(tree, "00/nothing", "")
	if _, err := tree.Open("../x"); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	if len(tree.open) != 0 {
		t.Errorf("still open: %v", tree.open)
	}
}

// TestOpenTwice: rsync's sender opens a file twice at the same time. Both see
// the same bytes, whatever is renamed in between.
func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	uid := testUID(1)
	entry := writePlain(t, dir, uid, "title", "")
	must(t, os.WriteFile(entry+"/data", bytes.Repeat([]byte("0123456789"), 1<<20), 0o644))
	tree := lookAt(t, openStore(t, dir), LookOptions{})
	for _, name := range []string{uid.Path(), uid.folder() + "/" + string(uid) + ".data.0000", uid.folder() + "/" + string(uid) + ".data.0001"} {
		first, err := tree.Open(name)
		must(t, err)
		must(t, os.Rename(entry, entry+"-"))
		second, err := tree.Open(name)
		must(t, err)
		a, err := io.ReadAll(first)
		must(t, err)
		must(t, first.Close())
		b, err := io.ReadAll(second)
		must(t, err)
		if _, err := second.(io.Seeker).Seek(5, io.SeekStart); err != nil {
			t.Error(err)
		}
		c, err := io.ReadAll(second)
		must(t, err)
		must(t, second.Close())
		if !bytes.Equal(a, b) || !bytes.Equal(b[5:], c) {
			t.Errorf("%s: torn", name)
		}
		if _, err := tree.Open(name); err == nil {
			t.Errorf("%s: still open", name)
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: read after close: %v", name, err)
		}
		if first.Close() == nil {
			t.Errorf("%s: closed twice", name)
		}
		must(t, os.Rename(entry+"-", entry))
	}
}

// TestUnreadableFolder: what was known of it is kept.
func TestUnreadableFolder(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	writePlain(t, dir, testUID(1), "x", "y")
	writePlain(t, dir, testUID(2), "x", "y")
	s := openStore(t, dir)
	lookAt(t, s, LookOptions{Cache: cache})
	folder := filepath.Join(dir, testUID(1).folder())
	must(t, os.Rename(folder, filepath.Join(dir, "away")))
	must(t, os.Symlink("loop", folder)) // root reads anything else
	tree := lookAt(t, s, LookOptions{Cache: cache})
	j, err := ReadJournal(tree)
	must(t, err)
	if !slices.Equal(j.Kept, []UID{testUID(1)}) || tree.Summary().Entries != 1 || len(tree.Summary().Damaged) != 2 {
		t.Errorf("kept %v, %+v", j.Kept, tree.Summary())
	}
}
