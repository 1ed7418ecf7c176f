package service_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// TestNoneIsTorn changes entries through DataStore.update, in each way that it
// knows, while looks go on. Title and data carry the same number; a torn entry
// would have two.
func TestNoneIsTorn(t *testing.T) {
	const entries, changes = 4, 600
	x := startXO(t)
	client := service.New(x.Conn)
	conn, err := x.Connect()
	must(t, err)
	defer conn.Close()

	content := func(v int) []byte {
		// Up to 400 kB: copied in several pieces, while other calls come.
		return bytes.Repeat(fmt.Appendf(nil, "%08d", v), 1000+v%5*12000)
	}
	update := func(v int) error {
		path := filepath.Join(x.Profile, "data-"+strconv.Itoa(v))
		if err := os.WriteFile(path, content(v), 0o644); err != nil {
			return err
		}
		take := v%2 == 0
		props := map[string]dbus.Variant{
			"title":     dbus.MakeVariant(fmt.Sprintf("%08d", v)),
			"timestamp": dbus.MakeVariant("1700000000"),
			"preview":   dbus.MakeVariant(fmt.Appendf(nil, "\xff%08d", v)),
		}
		err := conn.Object(service.Name, "/org/laptop/sugar/DataStore").Call(service.Name+".update", 0,
			string(testUID(v%entries)), props, path, take).Err
		if !take {
			os.Remove(path)
		}
		return err
	}
	for v := range entries {
		must(t, update(v))
	}
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		// Two at once, so that the end of one falls into the copying of another.
		for v := entries; v < changes; v += 2 {
			second := make(chan error, 1)
			go func() { second <- update(v + 1) }()
			err := update(v)
			if e := <-second; err == nil {
				err = e
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()

	store, err := datastore.Open(x.Datastore, func() bool {
		running, err := client.Running(t.Context())
		return running || err != nil
	})
	must(t, err)
	cache := filepath.Join(t.TempDir(), "cache")
	looks, seen, left := 0, map[string]bool{}, 0
	check := func() {
		tree, err := store.Look(t.Context(), datastore.LookOptions{Cache: cache})
		must(t, err)
		looks++
		left += len(tree.Summary().Damaged)
		for uid := range tree.Entries() {
			e, _, err := datastore.ReadEntry(tree, uid)
			if err != nil {
				continue // changed since, and says so
			}
			title := string(e.Metadata["title"])
			v, err := strconv.Atoi(strings.TrimLeft(title, "0"))
			if title == "00000000" {
				v, err = 0, nil
			}
			must(t, err)
			if string(e.Metadata["preview"]) != "\xff"+title {
				t.Fatalf("title %s, preview %q", title, e.Metadata["preview"])
			}
			if want := sha256.Sum256(content(v)); e.Data == nil || e.Data.SHA256 != want {
				t.Fatalf("look %d: metadata of version %d beside other data", looks, v)
			}
			seen[string(uid)+title] = true
		}
	}
	for running := true; running; {
		select {
		case err := <-failed:
			must(t, err)
			running = false
		default:
			check()
		}
	}
	settle(t, x)
	check()
	t.Logf("%d looks at %d changes saw %d versions, none torn; %d times an entry did not hold still", looks, changes, len(seen), left)
	if len(seen) < 3*entries {
		t.Error("that is too few to prove anything")
	}
	for v := changes - entries; v < changes; v++ {
		if !seen[string(testUID(v%entries))+fmt.Sprintf("%08d", v)] {
			t.Errorf("the last version, %d, was not seen", v)
		}
	}
}

// TestUnreadable: what Entry.Unreadable says is what Sugar's datastore does.
func TestUnreadable(t *testing.T) {
	x := startXO(t)
	client := service.New(x.Conn)
	base := func(more map[string]string) sample { return sample{metadata: text("title", more)} }
	unreadable := []sample{
		base(map[string]string{"timestamp": "yesterday"}),
		base(map[string]string{"timestamp": ""}),
		base(map[string]string{"timestamp": "2147483648"}),
		base(map[string]string{"timestamp": "1700000000.5"}),
		base(map[string]string{"creation_time": "-2147483649"}),
		base(map[string]string{"creation_time": "1__0"}),
		base(map[string]string{"creation_time": "1_"}),
		base(map[string]string{"creation_time": "\u0663"}),
		base(map[string]string{"creation_time": "+ 1"}),
		base(map[string]string{"creation_time": strings.Repeat("0", 4301)}),
		base(map[string]string{"filesize": "0x10"}),
		base(map[string]string{"filesize": "99999999999"}),
		base(map[string]string{"title": "caf\xe9"}),
		base(map[string]string{"checksum": "\xff"}),
		base(map[string]string{"description": "\xed\xa0\x80"}),
		base(map[string]string{"tags": "a\x00b"}),
		base(map[string]string{"description": strings.Repeat("x", 500<<10+1)}),
		base(map[string]string{"preview": strings.Repeat("x", 500<<10+1)}),
		base(map[string]string{"activity": strings.Repeat("x", 244)}),
		base(map[string]string{"mime_type": strings.Repeat("é", 122)}),
	}
	for _, ctime := range []string{"2010-01-31T12:34:56", "2010-1- 1t0:0:0", "\u0662\u0660\u0661\u0660-01-01T00:00:00"} {
		old := base(map[string]string{"ctime": ctime})
		delete(old.metadata, "creation_time")
		unreadable = append(unreadable, old)
	}
	readable := samples()
	for list, want := range map[*[]sample]bool{&unreadable: false, &readable: true} {
		for i := range *list {
			(*list)[i].metadata["uid"] = []byte(testUID(i))
		}
		tree := layOut(t, *list)
		must(t, os.RemoveAll(x.Datastore))
		release, err := client.Hold(t.Context())
		must(t, err)
		store, err := datastore.Create(x.Datastore)
		must(t, err)
		must(t, store.Publish(t.Context(), unpackAll(t, tree, x.Profile+"/staged")))
		must(t, release())
		properties := func(uid string) error {
			return x.DataStore().Call(service.Name+".get_properties", 0, uid).Err
		}
		_ = properties("none") // starts it; it rebuilds its index
		await(t, "the index", func() bool {
			_, err := os.Stat(x.Datastore + "/index_updated")
			return err == nil
		})
		if want {
			finds(t, x, len(*list))
		}
		for i, s := range *list {
			e, _, err := datastore.ReadEntry(tree, testUID(i))
			must(t, err)
			why := e.Unreadable()
			if err := properties(string(e.UID)); (err == nil) != want && !rebuildDeletes(x.Datastore, e) {
				t.Errorf("%.200q: get_properties: %v", s.metadata, err)
			}
			if (why == "") != want || len(why) > 300 {
				t.Errorf("%.200q: Unreadable says %q", s.metadata, why)
			}
		}
	}
}

// rebuildDeletes waits for the rebuild of the index to delete the entry.
func rebuildDeletes(dir string, e *datastore.Entry) bool {
	for range 2000 {
		if _, err := os.Stat(filepath.Join(dir, string(e.UID)[:2], string(e.UID))); err != nil {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// TestUnstorable: what Entry.Unreadable says besides is what DataStore.update
// does not store as it is.
func TestUnstorable(t *testing.T) {
	x := startXO(t)
	long := strings.Repeat("n", 255)
	for i, c := range []struct {
		more map[string]string
		want bool // that it is stored
	}{
		{map[string]string{"title:text": "x"}, false},
		{map[string]string{"uid:text": "x"}, false},
		{map[string]string{":": "x"}, false},
		{map[string]string{long: "x"}, false},
		{map[string]string{"ctime": "%%Y-%%m-%%dT%%H:%%M:%%S"}, false},
		{map[string]string{long[:254]: "x"}, true},
		{map[string]string{"ctime": "2010-01-31T12:34:56"}, true},
		{map[string]string{"ctime": "%Y"}, true},
		{map[string]string{"a\nb": "x", "\x01": "y", "\u2028": "z", "\uffff": "w"}, true},
	} {
		e := &datastore.Entry{UID: testUID(i), Metadata: text("title", c.more)}
		e.Metadata["uid"] = []byte(e.UID)
		props := map[string]dbus.Variant{}
		for name, value := range e.Metadata {
			props[name] = dbus.MakeVariant(string(value))
		}
		err := x.DataStore().Call(service.Name+".update", 0, string(e.UID), props, "", false).Err
		journal, diskErr := bed.ReadDisk(x.Datastore)
		must(t, diskErr)
		stored := err == nil && maps.EqualFunc(journal[string(e.UID)].Props, e.Metadata, bytes.Equal)
		if stored != c.want {
			t.Errorf("%.60q: stored %v, %v", c.more, stored, err)
		}
		if why := e.Unreadable(); (why == "") != c.want || len(why) > 300 {
			t.Errorf("%.60q: Unreadable says %q", c.more, why)
		}
		must(t, os.RemoveAll(filepath.Join(x.Datastore, string(e.UID)[:2], string(e.UID))))
	}
}
