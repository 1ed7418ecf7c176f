package datastore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
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
		names = append(names, testUID(i).Path(), testUID(i).shard()+"/"+string(testUID(i))+".data")
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

func TestPartsComeBack(t *testing.T) {
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
		must(t, unpack(t, tree, e.UID, e, to))
		metadata, data := onDisk(t, to)
		wantM, wantD := onDisk(t, filepath.Join(dir, e.UID.folder(), string(e.UID)))
		if !sameMetadata(metadata, wantM) || !bytes.Equal(data, wantD) || (data == nil) != (wantD == nil) {
			t.Errorf("%d bytes: came back otherwise", size)
		}
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
