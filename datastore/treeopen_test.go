package datastore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// TestOpenAfterChange: whoever opens a file of a tree gets what the look saw.
func TestOpenAfterChange(t *testing.T) {
	dir := t.TempDir()
	uid := testUID(1)
	entry := writePlain(t, dir, uid, "title", "data")
	dataPath := uid.shard() + "/" + string(uid) + ".data"
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
	for _, name := range []string{uid.Path(), uid.shard() + "/" + string(uid) + ".data.0000", uid.shard() + "/" + string(uid) + ".data.0001"} {
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
