package datastore

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// bundledEntry is an entry with that data.
func bundledEntry(data []byte) *Entry {
	uid := testUID(1)
	return &Entry{UID: uid, Metadata: plain(uid, "Ein \"Bild\" 🐢\n", len(data)), Data: &Data{SHA256: sha256.Sum256(data), Size: int64(len(data))}}
}

// unzip reads all of a bundle.
func unzip(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	files := map[string]string{}
	for i, f := range z.File {
		r, err := f.Open()
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		files[f.Name] = string(content)
		if i == 0 && !strings.HasSuffix(f.Name, "/_metadata.json") || f.Mode() != filePerm {
			t.Errorf("%d: %s of mode %v", i, f.Name, f.Mode())
		}
	}
	return files
}

func TestBundle(t *testing.T) {
	dir := t.TempDir()
	uid, data := testUID(1), bytes.Repeat([]byte("0123456789"), 1<<20) // in two parts
	entry := writeEntry(t, dir, uid, bundledEntry(data).Metadata, data)
	must(t, os.WriteFile(filepath.Join(entry, "metadata", "checksum"), []byte("0123"), 0o644))
	store := openStore(t, dir)
	tree := lookAt(t, store, LookOptions{})
	var fromTree, fromStore bytes.Buffer
	e, _, err := ReadEntry(tree, uid)
	must(t, err)
	joined, err := OpenData(tree, e)
	must(t, err)
	defer joined.Close()
	must(t, WriteBundle(&fromTree, e, iotest.HalfReader(joined)))
	e, err = store.Entry(t.Context(), uid)
	must(t, err)
	file, err := store.OpenData(uid)
	must(t, err)
	defer file.Close()
	must(t, WriteBundle(&fromStore, e, file))
	if !bytes.Equal(fromTree.Bytes(), fromStore.Bytes()) {
		t.Error("the same entry makes two bundles")
	}

	files := unzip(t, fromTree.Bytes())
	var metadata map[string]string
	text := files[string(uid)+"/_metadata.json"]
	must(t, json.Unmarshal([]byte(text), &metadata))
	for name, value := range plain(uid, "Ein \"Bild\" 🐢\n", len(data)) {
		if name != "preview" && metadata[name] != string(value) {
			t.Errorf("%s is %q", name, metadata[name])
		}
	}
	if _, there := metadata["checksum"]; there || len(metadata) != len(e.Metadata)-2 {
		t.Errorf("%q", metadata)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }); i >= 0 {
		t.Errorf("not plain: %q", text[i:])
	}
	if files[string(uid)+"/preview/"+string(uid)] != string(e.Metadata["preview"]) || files[string(uid)+"/"+string(uid)] != string(data) || len(files) != 3 {
		t.Errorf("%d files", len(files))
	}
}

// An entry without preview and file has empty ones: Sugar needs them.
func TestBundleOfLittle(t *testing.T) {
	e := &Entry{UID: testUID(1), Metadata: map[string][]byte{"title": nil}}
	var b bytes.Buffer
	must(t, WriteBundle(&b, e, nil))
	files := unzip(t, b.Bytes())
	uid := string(e.UID)
	if preview, ok := files[uid+"/preview/"+uid]; !ok || preview != "" {
		t.Error("no preview")
	}
	if data, ok := files[uid+"/"+uid]; !ok || data != "" {
		t.Error("no file")
	}
}

// Wrong data is told, and what was written is no zip.
func TestBundleOfDamage(t *testing.T) {
	data := bytes.Repeat([]byte("data"), 50_000)
	broken := errors.New("the disk is on fire")
	for name, read := range map[string]io.Reader{
		"other":   strings.NewReader("x" + string(data[1:])),
		"longer":  strings.NewReader(string(data) + "x"),
		"shorter": bytes.NewReader(data[1:]),
		"endless": endless{},
		"broken":  io.MultiReader(bytes.NewReader(data[:100]), iotest.ErrReader(broken)),
		"late":    io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)),
	} {
		var b bytes.Buffer
		err := WriteBundle(&b, bundledEntry(data), read)
		var damaged *DamagedError
		if fails := name == "broken" || name == "late"; fails && !errors.Is(err, broken) || !fails && !errors.As(err, &damaged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil {
			t.Errorf("%s: a zip of %d bytes", name, b.Len())
		}
	}
	var damaged *DamagedError
	if err := WriteBundle(io.Discard, &Entry{UID: "../../../../../../../../../../../../", Metadata: map[string][]byte{"t": nil}}, nil); !errors.As(err, &damaged) {
		t.Error(err)
	}
	full := errors.New("no space left")
	if err := WriteBundle(failing{full}, bundledEntry(data), bytes.NewReader(data)); !errors.Is(err, full) {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A large entry takes no more memory than a small one.
func TestBundleIsAStream(t *testing.T) {
	const size = 256 << 20
	e := bundledEntry(nil)
	e.Data.Size = size
	before := allocated()
	var damaged *DamagedError
	if err := WriteBundle(io.Discard, e, io.LimitReader(endless{}, size)); !errors.As(err, &damaged) { // who knows its sum
		t.Fatal(err)
	}
	if used := allocated() - before; used > 1<<20 {
		t.Errorf("%d bytes for a bundle of %d", used, size)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Only an entry's own plain file is its data.
func TestOpenData(t *testing.T) {
	dir := t.TempDir()
	entry := writePlain(t, dir, testUID(1), "a", "data")
	s := openStore(t, dir)
	for name, spoil := range map[string]func(data string) error{
		"link":   func(data string) error { return os.Symlink("/etc/passwd", data) },
		"folder": func(data string) error { return os.Mkdir(data, 0o755) },
		"none":   func(string) error { return nil },
	} {
		data := filepath.Join(entry, "data")
		must(t, os.RemoveAll(data))
		must(t, spoil(data))
		if f, err := s.OpenData(testUID(1)); err == nil || errors.Is(err, os.ErrNotExist) != (name == "none") {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	for _, uid := range []UID{testUID(2), "", "../../../../../../../../../../../../"} {
		if f, err := s.OpenData(uid); err == nil {
			t.Errorf("%s: %v", uid, f)
		}
	}
}
