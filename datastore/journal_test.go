package datastore

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A Journal written straight onto the disk, as Sugar's datastore leaves it.

func testUID(i int) UID {
	return UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(i)*2654435761, i))
}

// writeEntry writes an entry; data nil is no data.
func writeEntry(t testing.TB, dir string, uid UID, metadata map[string][]byte, data []byte) string {
	t.Helper()
	entry := filepath.Join(dir, uid.folder(), string(uid))
	must(t, os.MkdirAll(filepath.Join(entry, "metadata"), 0o755))
	for name, value := range metadata {
		must(t, os.WriteFile(filepath.Join(entry, "metadata", name), value, 0o644))
	}
	if data != nil {
		must(t, os.WriteFile(filepath.Join(entry, "data"), data, 0o644))
	}
	return entry
}

// plain is the metadata of an ordinary entry.
func plain(uid UID, title string, size int) map[string][]byte {
	return map[string][]byte{
		"uid":           []byte(uid),
		"title":         []byte(title),
		"activity":      []byte("org.laptop.WebActivity"),
		"mime_type":     []byte("text/plain"),
		"timestamp":     []byte("1700000000"),
		"creation_time": []byte("1700000000"),
		"filesize":      strconv.AppendInt(nil, int64(size), 10),
		"keep":          []byte("0"),
		"tags":          {},
		"preview":       []byte("\x89PNG\r\n\x1a\n\x00\xff\xfe"),
	}
}

func writePlain(t testing.TB, dir string, uid UID, title, data string) string {
	t.Helper()
	return writeEntry(t, dir, uid, plain(uid, title, len(data)), []byte(data))
}

// big writes n entries of 21 files and about 20 kB each.
func big(t testing.TB, dir string, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	for i := range n {
		uid := testUID(i)
		m := plain(uid, fmt.Sprintf("Entry %d", i), 12000)
		m["preview"] = noise(8000)
		for j := range 10 {
			m[fmt.Sprintf("property-%d", j)] = fmt.Appendf(nil, "value %d of entry %d", j, i)
		}
		writeEntry(t, dir, uid, m, noise(12000))
	}
}

// age moves all stamps but ctime into the past, and waits until ctime, which
// nobody can set, is old enough to be trusted as well.
func age(t testing.TB, dir string) {
	t.Helper()
	then := time.Now().Add(-time.Hour)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink {
			return err
		}
		return os.Chtimes(path, then, then)
	}))
	var newest int64
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			newest = max(newest, ctimeOf(t, path))
		}
		return err
	}))
	time.Sleep(time.Until(time.Unix(0, newest).Add(2*time.Second + 10*time.Millisecond)))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, nil)
	must(t, err)
	return s
}

func lookAt(t testing.TB, s *Store, o LookOptions) *Tree {
	t.Helper()
	tree, err := s.Look(t.Context(), o)
	must(t, err)
	return tree
}

// content reads a whole tree, each file with its mtime.
func content(t testing.TB, tree fs.FS) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := fs.ReadFile(tree, path)
		if err != nil {
			return err
		}
		if int64(len(b)) != info.Size() {
			return fmt.Errorf("%s: %d bytes, listed as %d", path, len(b), info.Size())
		}
		files[path] = fmt.Sprintf("%d %v %s", info.ModTime().Unix(), info.Mode(), b)
		return nil
	}))
	return files
}

// onDisk reads an entry of layout 6 back, by itself.
func onDisk(t testing.TB, entry string) (map[string][]byte, []byte) {
	t.Helper()
	metadata := map[string][]byte{}
	names, err := os.ReadDir(filepath.Join(entry, "metadata"))
	must(t, err)
	for _, d := range names {
		metadata[d.Name()], err = os.ReadFile(filepath.Join(entry, "metadata", d.Name()))
		must(t, err)
	}
	data, err := os.ReadFile(filepath.Join(entry, "data"))
	if os.IsNotExist(err) {
		return metadata, nil
	}
	must(t, err)
	return metadata, data
}

func sameMetadata(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }
