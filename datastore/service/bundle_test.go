package service_test

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// bundle writes the bundle of an entry of a travelling tree into dir.
func bundle(t *testing.T, dir string, tree *datastore.Tree, uid datastore.UID) (path string, e *datastore.Entry) {
	t.Helper()
	e, _, err := datastore.ReadEntry(tree, uid)
	must(t, err)
	path = filepath.Join(dir, string(uid)+".xoj")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	if e.Data == nil {
		must(t, datastore.WriteBundle(f, e, nil))
		return path, e
	}
	data, err := datastore.OpenData(tree, e)
	must(t, err)
	defer data.Close()
	must(t, datastore.WriteBundle(f, e, data))
	return path, e
}

// sugarsOwn are the properties that come from the moment of installing, or from
// the file.
var sugarsOwn = []string{"timestamp", "mtime", "checksum", "filesize"}

// installed compares what stands in the Journal with what was bundled.
func installed(t *testing.T, got bed.Entry, uid datastore.UID, s sample) {
	t.Helper()
	want, have := maps.Clone(s.metadata), maps.Clone(got.Props)
	want["uid"] = []byte(uid)
	if _, ok := want["preview"]; !ok {
		want["preview"] = nil
	}
	for _, name := range sugarsOwn {
		delete(want, name)
		delete(have, name)
	}
	if !maps.EqualFunc(have, want, bytes.Equal) {
		t.Errorf("%s:\ngot  %.1000q\nwant %.1000q", want["title"], have, want)
	}
	if !bytes.Equal(got.Data, s.data) || got.Data == nil {
		t.Errorf("%s: data of %d bytes, want %d", want["title"], len(got.Data), len(s.data))
	}
	if size := string(got.Props["filesize"]); size != strconv.Itoa(len(s.data)) {
		t.Errorf("%s: filesize %q", want["title"], size)
	}
}

// What is bundled, jarabe puts into an empty Journal with every property, its
// preview and its file: entries of every kind, byte for byte.
func TestBundlesAreInstalled(t *testing.T) {
	x := startXO(t)
	list := slices.DeleteFunc(samples(), func(s sample) bool { return s.metadata["creation_time"] == nil })
	for i := range list {
		list[i].metadata["uid"] = []byte(testUID(i))
	}
	tree, dir := layOut(t, list), t.TempDir()
	paths := make([]string, len(list))
	for i := range list {
		var e *datastore.Entry
		paths[i], e = bundle(t, dir, tree, testUID(i))
		if unfit := e.Unbundled(); unfit != nil {
			t.Errorf("%s: %q do not go as they are", list[i].metadata["title"], unfit)
		}
	}
	_, err := x.Find(t.Context()) // a Sugar that runs
	must(t, err)
	must(t, x.InstallBundles(t.Context(), paths...))
	journal, err := bed.ReadDisk(x.Datastore)
	must(t, err)
	if len(journal) != len(list) {
		t.Errorf("%d entries, want %d", len(journal), len(list))
	}
	for i, s := range list {
		installed(t, journal[string(testUID(i))], testUID(i), s)
	}
	if found, err := x.Find(t.Context()); err != nil || len(found) != len(list) {
		t.Errorf("Sugar finds %d, %v", len(found), err)
	}
}

// A bundle that is opened from within the Journal takes the place of its own
// entry: nothing of the zip stays, even where there is no file to take its place.
func TestBundleTransformsItsEntry(t *testing.T) {
	x := startXO(t)
	s := sample{text("a drawing", map[string]string{"activity": "org.laptop.Oficina"}), nil}
	path, _ := bundle(t, t.TempDir(), layOut(t, []sample{s}), testUID(0))
	zip, err := os.ReadFile(path)
	must(t, err)
	uid, err := x.Create(t.Context(), bed.Sample{
		Props: map[string][]byte{"title": []byte("a.xoj"), "mime_type": []byte("application/vnd.olpc-journal-entry")},
		Data:  zip,
	})
	must(t, err)
	settle(t, x)
	must(t, x.InstallBundles(t.Context(), path+"="+uid))
	journal, err := bed.ReadDisk(x.Datastore)
	must(t, err)
	s.data = []byte{}
	installed(t, journal[uid], datastore.UID(uid), s)
}

// Whatever is in an entry, its bundle can be opened, and the Journal that it is
// opened in goes on as before; what does not come is named.
func TestBundleOfWhatSugarCannotKeep(t *testing.T) {
	x := startXO(t)
	uid := testUID(0)
	data := []byte("data")
	e := &datastore.Entry{UID: uid, Data: &datastore.Data{SHA256: sha256.Sum256(data), Size: int64(len(data))}, Metadata: map[string][]byte{
		"uid":           []byte(uid),
		"title":         []byte("caf\xe9 \x00 \xf0\x9f\x90\xa2"),
		"creation_time": []byte("long ago"),
		"activity":      bytes.Repeat([]byte("a"), 300),
		"title:text":    []byte("x"),
		"mountpoint":    []byte("/media/usb"),
		"description":   bytes.Repeat([]byte("d"), 600<<10),
		"ctime":         []byte("2008-01-01T10:10:10"),
		"checksum":      []byte("../../x"),
		"keep":          []byte("1"),
		"filesize":      []byte("4"),
	}}
	want := []string{"activity", "creation_time", "description", "mountpoint", "title", "title:text"}
	if got := e.Unbundled(); !slices.Equal(got, want) {
		t.Errorf("%q do not go as they are, want %q", got, want)
	}
	path := filepath.Join(t.TempDir(), "a.xoj")
	f, err := os.Create(path)
	must(t, err)
	must(t, datastore.WriteBundle(f, e, bytes.NewReader(data)))
	must(t, f.Close())
	_, err = x.Create(t.Context(), bed.Sample{Props: text("another", nil)})
	must(t, err)
	must(t, x.InstallBundles(t.Context(), path))
	journal, err := bed.ReadDisk(x.Datastore)
	must(t, err)
	got := journal[string(uid)]
	if string(got.Props["title"]) != "caf\ufffd \ufffd 🐢" || string(got.Props["keep"]) != "1" || string(got.Data) != "data" {
		t.Errorf("%q", got)
	}
	for range 2 { // the second time with an index that is built anew
		if found, err := x.Find(t.Context()); err != nil || len(found) != 2 {
			t.Errorf("Sugar finds %v, %v", found, err)
		}
		must(t, x.StopService(t.Context(), bed.DataStoreName))
		must(t, os.Remove(filepath.Join(x.Datastore, "index_updated")))
	}
}
