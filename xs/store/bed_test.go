package store

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// testKey answers the n-th key of a row that is always the same.
func testKey(n int) ssh.PublicKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(n))
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		panic(err)
	}
	return key
}

func testUID(n int) datastore.UID {
	return datastore.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(n)*2654435761, n))
}

// journalTree is a travelling tree in memory: what an XO offers.
type journalTree map[string][]byte

// testTree has n entries; most have data, every tenth is in two parts.
func testTree(n int) journalTree {
	t := journalTree{}
	t.journal()
	for i := range n {
		var data []byte
		switch {
		case i%10 == 9:
			data = append(make([]byte, datastore.PartSize), byte(i))
		case i%3 != 0:
			data = fmt.Appendf(nil, "data of %d", i)
		}
		t.entry(i, "title", data)
	}
	return t
}

func (t journalTree) journal(kept ...datastore.UID) {
	b, err := (&datastore.Journal{Owner: datastore.Owner{Nick: "Amara"}, Kept: kept}).Encode()
	if err != nil {
		panic(err)
	}
	t[journalName] = b
}

// entry sets an entry; nil data: it has no file.
func (t journalTree) entry(n int, title string, data []byte) {
	t.remove(n)
	e := &datastore.Entry{UID: testUID(n), Metadata: map[string][]byte{
		"uid": []byte(testUID(n)), "title": []byte(title), "preview": {0x89, 'P', 0xff}}}
	if data != nil {
		e.Data = &datastore.Data{SHA256: sha256.Sum256(data), Size: int64(len(data))}
		for _, f := range e.Files() {
			t[f.Path], data = data[:f.Size], data[f.Size:]
		}
	}
	b, err := e.Encode()
	if err != nil {
		panic(err)
	}
	t[e.UID.Path()] = b
}

func (t journalTree) remove(n int) {
	for path := range t {
		if strings.Contains(path, string(testUID(n))) {
			delete(t, path)
		}
	}
}

func (t journalTree) manifest() Manifest {
	m := Manifest{}
	for path, b := range t {
		m[path] = sha256.Sum256(b)
	}
	return m
}

func (t journalTree) digest() string { return t.manifest().Digest() }

// rsync does to the folder what rsync -rtp --delete does: what has the same
// size and time is left alone, the rest is written beside and renamed.
func (t journalTree) rsync(dir string) error {
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if _, ok := t[rel]; !ok {
			return os.Remove(name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for path, b := range t {
		name := filepath.Join(dir, path)
		mtime := datastore.ModTime(sha256.Sum256(b))
		if fi, err := os.Lstat(name); err == nil && fi.Size() == int64(len(b)) && fi.ModTime().Equal(mtime) {
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name+".tmp", b, 0o644),
			os.Chtimes(name+".tmp", mtime, mtime), os.Rename(name+".tmp", name)); err != nil {
			return err
		}
	}
	return nil
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

func testStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Create(dir, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// testFolder is that of a fresh account.
func testFolder(t testing.TB, s *Store) *Folder {
	t.Helper()
	id, err := s.Register(t.Context(), Registration{Serial: "SHC00000001", UUID: "u1", Nick: "Amara", Key: testKey(1)}, 10)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Folder(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// backup is one whole session, rsync by hand.
func backup(f *Folder, tree journalTree) (Taken, error) {
	return backupOf(f, tree, tree.digest())
}

func backupOf(f *Folder, tree journalTree, offered string) (Taken, error) {
	l, err := f.Lock()
	if err != nil {
		return Taken{}, err
	}
	defer l.Unlock()
	if _, err := l.Prepare(offered); err != nil {
		return Taken{}, err
	}
	if err := tree.rsync(l.CurrentPath()); err != nil {
		return Taken{}, err
	}
	return l.Take(context.Background(), Offer{Digest: offered, Machine: "SHC00000001"}, func(int, int) {})
}

func mustBackup(t testing.TB, f *Folder, tree journalTree) Taken {
	t.Helper()
	taken, err := backup(f, tree)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

// holds asserts that the snapshot is the tree, with sha256sum's own eyes.
func holds(t testing.TB, f *Folder, ref string, want journalTree) {
	t.Helper()
	snap, err := f.Snapshot(ref)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	sums, err := snap.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	wanted := want.manifest()
	for path := range wanted {
		if sums[path] != wanted[path] {
			t.Errorf("%s: %s is not as wanted", ref, path)
		}
	}
	if len(sums) != len(wanted) {
		t.Errorf("%s has %d files, %d are wanted", ref, len(sums), len(wanted))
	}
	cmd := exec.Command("sha256sum", "--quiet", "--strict", "-c", "../"+snap.Record.ID+".manifest")
	cmd.Dir = snap.Path()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v\n%s", err, out)
	}
	var v Verifier
	if problems, _, err := v.Verify(t.Context(), snap); err != nil || len(problems) > 0 {
		t.Errorf("verify: %v %v", problems, err)
	}
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
