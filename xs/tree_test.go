package xs

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

func uid(n int) datastore.UID {
	return datastore.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(n)*2654435761, n))
}

// writeEntry puts an entry into the travelling tree in dir.
func writeEntry(t testing.TB, dir string, n int, title string, data []byte) {
	t.Helper()
	e := &datastore.Entry{UID: uid(n), Metadata: map[string][]byte{"uid": []byte(uid(n)), "title": []byte(title)}}
	old, _ := filepath.Glob(filepath.Join(dir, strings.TrimSuffix(uid(n).Path(), "cjson")+"*"))
	for _, name := range old {
		os.Remove(name)
	}
	if data != nil {
		e.Data = &datastore.Data{SHA256: sha256.Sum256(data), Size: int64(len(data))}
		for _, f := range e.Files() {
			writeTreeFile(t, dir, f.Path, data[:f.Size])
			data = data[f.Size:]
		}
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	writeTreeFile(t, dir, uid(n).Path(), b)
}

func writeTreeFile(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	at := filepath.Join(dir, name)
	mtime := datastore.ModTime(sha256.Sum256(b))
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, b, 0o644), os.Chtimes(at, mtime, mtime)); err != nil {
		t.Fatal(err)
	}
}

// journal makes a travelling tree of n entries and answers its folder.
func journal(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	b, err := (&datastore.Journal{Owner: datastore.Owner{Nick: "Amara"}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	writeTreeFile(t, dir, "journal.cjson", b)
	for i := range n {
		data := fmt.Appendf(nil, "data of %d", i)
		switch {
		case i == 7:
			data = make([]byte, 17<<20) // three parts
			rand.Read(data)
		case i%4 == 0:
			data = nil
		}
		writeEntry(t, dir, i, fmt.Sprintf("entry %d", i), data)
	}
	return dir
}

// sums of a tree in a folder.
func sums(t testing.TB, dir string) store.Manifest {
	t.Helper()
	m := store.Manifest{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		m[rel] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func offer(t testing.TB, dir string) wire.BackupRequest {
	m := sums(t, dir)
	r := wire.BackupRequest{Version: wire.Version, Digest: m.Digest(), Files: len(m)}
	for path := range m {
		if strings.HasSuffix(path, ".cjson") && path != "journal.cjson" {
			r.Entries++
		}
		fi, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		r.Bytes += fi.Size()
	}
	return r
}

// same asserts that two folders hold the same files.
func same(t testing.TB, got, want string) {
	t.Helper()
	g, w := sums(t, got), sums(t, want)
	if !bytes.Equal(g.Encode(), w.Encode()) {
		t.Errorf("%s differs from %s:\n%s\n%s", got, want, g.Encode(), w.Encode())
	}
}
