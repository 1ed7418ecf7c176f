package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// All of this is against Sugar's real datastore on a bus of its own.

func startXO(t *testing.T) *bed.XO {
	t.Helper()
	dir, err := os.MkdirTemp("", "xo-datastore-")
	must(t, err)
	x, err := bed.StartXO(t.Context(), filepath.Join(dir, "xo"), bed.Options{Key: "ed25519"})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(x.Home + "/.sugar/default/logs/*")
			for _, l := range logs {
				b, _ := os.ReadFile(l)
				t.Logf("%s:\n%s", l, b[max(0, len(b)-3000):])
			}
		}
		if err := errors.Join(x.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return x
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testUID(i int) datastore.UID {
	return datastore.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(i)*2654435761, i))
}

type sample struct {
	metadata map[string][]byte
	data     []byte // nil: none
}

func text(title string, more map[string]string) map[string][]byte {
	m := map[string][]byte{"title": []byte(title), "timestamp": []byte("1700000000"), "creation_time": []byte("1600000000")}
	for name, value := range more {
		m[name] = []byte(value)
	}
	return m
}

// samples are entries of every kind that Sugar's datastore can hold.
func samples() []sample {
	list := []sample{
		{text("plain", map[string]string{"filesize": "5"}), []byte("hello")},
		{text("no file", map[string]string{"filesize": "0"}), nil},
		{text("no file, no filesize", nil), nil},
		{text("empty file", map[string]string{"filesize": "0"}), []byte{}},
		{text("an old filesize", map[string]string{"filesize": "12345"}), []byte("hello")},
		{text("no filesize", nil), []byte("hello there")},
		{text("binary preview", map[string]string{"preview": "\x89PNG\r\n\x1a\n\x00\xff\xfe\x00", "filesize": "3"}), []byte("\x00\xff\n")},
		{text("empty values", map[string]string{"preview": "", "tags": "", "description": "", "keep": "", "filesize": "1"}), []byte("x")},
		{text("text of a preview", map[string]string{"preview": "just text", "filesize": "1"}), []byte("x")},
		{text("ünïcödé 😀 \u2028\ufffd\uffff", map[string]string{"tags": "a\nb\tc\x01\x1f\x7f \"quoted\\\" ", "filesize": "1"}), []byte("x")},
		{text("numbers as Python takes them", map[string]string{"timestamp": " +1_700_000_000\n", "creation_time": "-5", "filesize": "0001"}), []byte("x")},
		{text("at the limits", map[string]string{"timestamp": "2147483647", "creation_time": "-2147483648", "activity": strings.Repeat("a", 243),
			"description": strings.Repeat("word ", 100<<10), "filesize": "1"}), []byte("x")},
		{text("strange names", map[string]string{"a b": "1", "é": "2", `q"\`: "3", "-": "4", strings.Repeat("n", 200): "5", "filesize": "1"}), []byte("x")},
		{text("a large preview", map[string]string{"preview": strings.Repeat("\xff\x00", 250<<10), "filesize": "1"}), []byte("x")},
		{text("same data", map[string]string{"filesize": "9"}), []byte("same data")},
		{text("same data again", map[string]string{"filesize": "9"}), []byte("same data")},
		{text("parts", map[string]string{"filesize": strconv.Itoa(9 << 20)}), bytes.Repeat([]byte("012345678"), 1<<20)},
	}
	for i := range list {
		list[i].metadata["uid"] = []byte(testUID(i))
	}
	return list
}

// layOut writes samples as layout 6 and looks at them.
func layOut(t *testing.T, list []sample) *datastore.Tree {
	t.Helper()
	dir := t.TempDir()
	for i, s := range list {
		entry := filepath.Join(dir, string(testUID(i))[:2], string(testUID(i)))
		must(t, os.MkdirAll(filepath.Join(entry, "metadata"), 0o755))
		for name, value := range s.metadata {
			must(t, os.WriteFile(filepath.Join(entry, "metadata", name), value, 0o644))
		}
		if s.data != nil {
			must(t, os.WriteFile(filepath.Join(entry, "data"), s.data, 0o644))
		}
	}
	store, err := datastore.Open(dir, nil)
	must(t, err)
	tree, err := store.Look(t.Context(), datastore.LookOptions{})
	must(t, err)
	if sum := tree.Summary(); sum.Entries != len(list) {
		t.Fatalf("%+v", sum)
	}
	return tree
}

// compare compares the datastore on disk with the samples, to the byte. Only
// checksum is Sugar's own.
func compare(t *testing.T, x *bed.XO, list []sample) {
	t.Helper()
	journal, err := bed.ReadDisk(x.Datastore)
	must(t, err)
	if len(journal) != len(list) {
		t.Errorf("%d entries, want %d", len(journal), len(list))
	}
	for i, s := range list {
		got, ok := journal[string(testUID(i))]
		delete(got.Props, "checksum")
		if !ok || !maps.EqualFunc(got.Props, s.metadata, bytes.Equal) {
			t.Errorf("%s:\ngot  %.1000q\nwant %.1000q", s.metadata["title"], got.Props, s.metadata)
		}
		if !bytes.Equal(got.Data, s.data) || (got.Data == nil) != (s.data == nil) {
			t.Errorf("%s: data of %d bytes, want %d", s.metadata["title"], len(got.Data), len(s.data))
		}
	}
}

// settle waits until the optimizer's queue is empty and the flag stands.
func settle(t *testing.T, x *bed.XO) {
	t.Helper()
	await(t, "the optimizer", func() bool {
		queue, err := os.ReadDir(x.Datastore + "/checksums/queue")
		_, clean := os.Stat(x.Datastore + "/ds_clean")
		return err == nil && len(queue) == 0 && clean == nil
	})
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: waited in vain", what)
		}
	}
}

// dataFile joins an entry's data into a file on the datastore's file system.
func dataFile(t *testing.T, x *bed.XO, tree fs.FS, e *datastore.Entry) string {
	t.Helper()
	if e.Data == nil {
		return ""
	}
	in, err := datastore.OpenData(tree, e)
	must(t, err)
	defer in.Close()
	path := filepath.Join(x.Profile, "arrived-"+string(e.UID))
	out, err := os.Create(path)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, errors.Join(err, out.Close()))
	return path
}

func finds(t *testing.T, x *bed.XO, want int) {
	t.Helper()
	uids, err := x.Find(t.Context())
	must(t, err)
	var expected []string
	for i := range want {
		expected = append(expected, string(testUID(i)))
	}
	slices.Sort(expected)
	if !slices.Equal(uids, expected) {
		t.Errorf("Sugar finds %d entries, want %d", len(uids), want)
	}
}

func TestUpdate(t *testing.T) {
	x := startXO(t)
	client := service.New(x.Conn)
	list := samples()
	tree := layOut(t, list)
	for uid := range tree.Entries() {
		e, _, err := datastore.ReadEntry(tree, uid)
		must(t, err)
		path := dataFile(t, x, tree, e)
		must(t, client.Update(t.Context(), e, path))
		if _, err := os.Lstat(path); path != "" && err == nil {
			t.Errorf("%s: the file was not taken", uid)
		}
	}
	settle(t, x)
	compare(t, x, list)
	finds(t, x, len(list))
	if running, err := client.Running(t.Context()); !running || err != nil {
		t.Error(running, err)
	}

	// Once more, each in the place of another: a file instead of none, none
	// instead of a file, other properties, the same.
	shifted := samples()
	for i := range shifted {
		j := (i + 1) % len(list)
		shifted[i].metadata, shifted[i].data = maps.Clone(list[j].metadata), list[j].data
		shifted[i].metadata["uid"] = []byte(testUID(i))
	}
	tree = layOut(t, shifted)
	for range 2 {
		for uid := range tree.Entries() {
			e, _, err := datastore.ReadEntry(tree, uid)
			must(t, err)
			must(t, client.Update(t.Context(), e, dataFile(t, x, tree, e)))
		}
		settle(t, x)
		compare(t, x, shifted)
		finds(t, x, len(list))
	}
	// The optimizer's marks speak of the data that there is.
	marks, err := filepath.Glob(x.Datastore + "/checksums/*/????????-*")
	must(t, err)
	for _, mark := range marks {
		uid := filepath.Base(mark)
		sum, err := os.ReadFile(filepath.Join(x.Datastore, uid[:2], uid, "metadata/checksum"))
		if err != nil || string(sum) != filepath.Base(filepath.Dir(mark)) {
			t.Errorf("%s: checksum %s, %v", mark, sum, err)
		}
	}
	if left, _ := os.ReadDir(x.Profile + "/data"); len(left) > 0 {
		t.Errorf("copies left over: %v", left)
	}
}

func TestUpdateRefuses(t *testing.T) {
	x := startXO(t)
	client := service.New(x.Conn)
	e := &datastore.Entry{UID: testUID(1), Metadata: text("title", map[string]string{"title:text": "x"})}
	// refused tells whether it is the entry alone that is not taken.
	refused := func(err error, want string) {
		t.Helper()
		var r *datastore.RefusedError
		if !errors.As(err, &r) || r.UID != testUID(1) || !strings.Contains(r.Reason, want) || strings.Contains(r.Reason, "\n") {
			t.Errorf("%#v, want %q", err, want)
		}
	}
	refused(client.Update(t.Context(), e, ""), "colon")
	e = &datastore.Entry{UID: testUID(1), Metadata: text("title", nil), Data: &datastore.Data{}}
	if err := client.Update(t.Context(), e, ""); err == nil {
		t.Error("an entry without its data is taken")
	}
	refused(client.Update(t.Context(), e, x.Profile+"/missing"), "No file at")
	e = &datastore.Entry{UID: testUID(1), Metadata: text("title", map[string]string{"mime_type": strings.Repeat("x", 300)})}
	refused(client.Update(t.Context(), e, ""), "too long")
	must(t, client.Update(t.Context(), &datastore.Entry{UID: testUID(2), Metadata: text("title", nil)}, ""))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Update(ctx, &datastore.Entry{UID: testUID(1), Metadata: text("title", nil)}, ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A datastore that dies over an entry is gone: that is no word about the entry.
func TestUpdateOfADyingService(t *testing.T) {
	x := startXO(t)
	dying, err := x.Connect()
	must(t, err)
	must(t, dying.ExportMethodTable(map[string]any{
		"update": func(string, map[string]dbus.Variant, string, bool) *dbus.Error {
			dying.Close()
			return nil
		},
	}, "/org/laptop/sugar/DataStore", service.Name))
	_, err = dying.RequestName(service.Name, 0)
	must(t, err)
	e := &datastore.Entry{UID: testUID(1), Metadata: text("title", nil), Data: &datastore.Data{}}
	err = service.New(x.Conn).Update(t.Context(), e, "/dev/null")
	var r *datastore.RefusedError
	if err == nil || errors.As(err, &r) {
		t.Errorf("%#v", err)
	}
}

// unpackAll stages all entries of a tree, as UU/UID.
func unpackAll(t *testing.T, tree *datastore.Tree, dir string) map[datastore.UID]string {
	t.Helper()
	staged, fetched := map[datastore.UID]string{}, filepath.Join(t.TempDir(), "fetched")
	must(t, os.CopyFS(fetched, tree))
	for uid := range tree.Entries() {
		e, _, err := datastore.ReadEntry(tree, uid)
		must(t, err)
		staged[uid] = filepath.Join(dir, string(uid)[:2], string(uid))
		data := ""
		if e.Data != nil {
			data = filepath.Join(fetched, "data")
			must(t, datastore.JoinData(fetched, e, data))
		}
		must(t, datastore.Unpack(e, data, staged[uid]))
	}
	return staged
}

func TestPublish(t *testing.T) {
	x := startXO(t)
	client := service.New(x.Conn)
	finds(t, x, 0) // it runs, and has an index
	list := samples()
	for i := range list { // which a rebuild would add
		if list[i].data != nil && list[i].metadata["filesize"] == nil {
			list[i].metadata["filesize"] = []byte(strconv.Itoa(len(list[i].data)))
		}
	}
	tree := layOut(t, list)
	for range 2 { // into nothing, and over itself
		release, err := client.Hold(t.Context())
		must(t, err)
		store, err := datastore.Open(x.Datastore, nil)
		must(t, err)
		must(t, store.Publish(t.Context(), unpackAll(t, tree, x.Profile+"/staged")))
		must(t, release())
		finds(t, x, len(list))
		compare(t, x, list)
	}
}

func TestSwap(t *testing.T) {
	x := startXO(t)
	client := service.New(x.Conn)
	old := samples()[:3]
	tree := layOut(t, old)
	for uid := range tree.Entries() {
		e, _, err := datastore.ReadEntry(tree, uid)
		must(t, err)
		must(t, client.Update(t.Context(), e, dataFile(t, x, tree, e)))
	}
	settle(t, x)
	list := samples()
	for i := range list {
		if list[i].data != nil && list[i].metadata["filesize"] == nil {
			list[i].metadata["filesize"] = []byte(strconv.Itoa(len(list[i].data)))
		}
	}
	staged := x.Profile + "/staging/new"
	unpackAll(t, layOut(t, list), staged)

	stop := hammer(t, x)
	release, err := client.Hold(t.Context())
	must(t, err)
	must(t, datastore.Swap(x.Profile, staged, datastore.ReplacedName(x.Profile, time.Now())))
	must(t, release())
	stop()
	finds(t, x, len(list))
	compare(t, x, list)
	kept, err := bed.ReadDisk(filepath.Join(x.Profile, "datastore.replaced-"+time.Now().Format(time.DateOnly)))
	if err != nil || len(kept) != 3 {
		t.Errorf("kept %d entries, %v", len(kept), err)
	}
}
