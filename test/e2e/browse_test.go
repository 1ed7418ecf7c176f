package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// looker has the model of Sugar's Journal look into whatever has the read side of
// its datastore: it lists, searches, pages and opens everything, and prints what it
// saw as JSON.
const looker = `
import hashlib, json, sys
from dbus.mainloop.glib import DBusGMainLoop
DBusGMainLoop(set_as_default=True)
import jarabe.journal.model as model
model.DS_DBUS_SERVICE, model.DS_DBUS_PATH = sys.argv[1:3]

def plain(value):
    return bytes(value).hex() if isinstance(value, bytes) else [type(value).__name__, str(value)]

def entry(e):
    return {str(k): plain(v) for k, v in e.items() if k != 'checksum'}

def page(query, size):
    found = model.find(dict(query, mountpoints=['/']), size)
    seen = []
    for i in range(found.length):
        found.seek(i)
        seen.append(entry(found.read()))
    return seen

out = {
    'all': page({}, 7),
    'smallest first': page({'order_by': ['-filesize']}, 50),
    'by title': page({'order_by': ['+title']}, 3),
    'some': page({'query': 'dra'}, 10),
    'two words': page({'query': 'my lo'}, 10),
    'images': page({'mime_type': ['image/png', 'image/jpeg']}, 10),
    'starred': page({'keep': 1}, 10),
    'since': page({'timestamp': {'start': 1700000000, 'end': 1800000000}}, 10),
    'activities': sorted(str(a) for a in model.get_unique_values('activity')),
    'entries': {}, 'files': {},
}
for e in out['all']:
    uid = e['uid'][1]
    out['entries'][uid] = entry(model.get(uid))
    path = model.get_file(uid)
    if path is not None:
        with open(path, 'rb') as f:
            out['files'][uid] = [hashlib.sha256(f.read()).hexdigest(), str(path).rpartition('.')[2][:8]]
print(json.dumps(out))
`

// look has it look, as the child would.
func look(t *testing.T, x *bed.XO, service string, path dbus.ObjectPath) map[string]any {
	t.Helper()
	cmd := x.Command(t.Context(), "/usr/bin/python3", "-W", "ignore", "-c", looker, service, string(path))
	var errOut strings.Builder
	cmd.Stderr = &errOut
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, errOut.String())
	}
	var seen map[string]any
	must(t, json.Unmarshal(b, &seen))
	return seen
}

func snapshotPath(id string) dbus.ObjectPath {
	return dbus.ObjectPath("/org/laptop/Backup/snapshots/" + strings.ReplaceAll(id, "-", "_"))
}

// TestJarabeLooksIntoASnapshot: Sugar's own Journal sees in the object of the
// Journal here, and in that of a snapshot, just what it sees in Sugar's datastore;
// in the snapshot still when the Journal has changed.
func TestJarabeLooksIntoASnapshot(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	uids, _ := fill(t, x, 40)
	must(t, x.Settle(t.Context()))
	// Sugar's index knows some types that are forgotten on disk: as after a restart.
	must(t, x.StopService(t.Context(), bed.DataStoreName))
	must(t, os.Remove(filepath.Join(x.Datastore, "index_updated")))
	want := indexed(t, x)
	done(t, x, "Backup")
	id := filepath.Base(snapshotDirs(t, s)[0])
	for _, path := range []dbus.ObjectPath{"/org/laptop/Backup/journal", snapshotPath(id)} {
		compareLooks(t, path, want, look(t, x, bed.BackupName, path))
	}

	must(t, x.Update(t.Context(), uids[0], bed.Sample{Props: map[string][]byte{"title": []byte("drawn since"), "timestamp": []byte("1799999999")}}))
	must(t, x.Delete(t.Context(), uids[1]))
	must(t, x.Settle(t.Context()))
	now := look(t, x, bed.DataStoreName, "/org/laptop/sugar/DataStore")
	compareLooks(t, "the Journal, changed", now, look(t, x, bed.BackupName, "/org/laptop/Backup/journal"))
	compareLooks(t, "the snapshot, later", want, look(t, x, bed.BackupName, snapshotPath(id)))
	if reflect.DeepEqual(now, want) {
		t.Fatal("nothing has changed")
	}

	// The list is kept: without the school all but what was never asked for is there.
	must(t, s.Stop())
	var found []map[string]dbus.Variant
	var count uint32
	must(t, x.Backup().CallWithContext(t.Context(), "org.laptop.Backup.Find", 0, id, map[string]dbus.Variant{"query": dbus.MakeVariant("dra*")}, []string{"title", "preview"}).Store(&found, &count))
	if len(found) == 0 || int(count) != len(found) {
		t.Errorf("%d of %d", len(found), count)
	}
	if left, err := os.ReadDir(filepath.Join(x.Profile, "data")); err != nil || len(left) > 0 {
		t.Errorf("files that nobody has removed: %v, %v", left, err)
	}
}

// indexed waits until Sugar's datastore has built its index, and looks into it.
func indexed(t *testing.T, x *bed.XO) map[string]any {
	t.Helper()
	_, err := x.Find(t.Context())
	must(t, err)
	awaitThat(t, "Sugar's index", func() bool {
		_, err := os.Stat(filepath.Join(x.Datastore, "index_updated"))
		return err == nil
	})
	awaitThat(t, "the index's use", func() bool {
		var found []map[string]dbus.Variant
		var n uint32
		must(t, x.DataStore().CallWithContext(context.Background(), bed.DataStoreName+".find", 0,
			map[string]dbus.Variant{"uid": dbus.MakeVariant("none")}, []string{"uid"}).Store(&found, &n))
		return n == 0
	})
	return look(t, x, bed.DataStoreName, "/org/laptop/sugar/DataStore")
}

func awaitThat(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// untie brings entries that are equal in what they are sorted by into one order: a
// snapshot does not know the one that Sugar's index had.
func untie(entries any, key string) {
	list, _ := entries.([]any)
	value := func(i int, key string) string { return fmt.Sprint(list[i].(map[string]any)[key]) }
	for from := 0; from < len(list); {
		to := from + 1
		for to < len(list) && value(to, key) == value(from, key) {
			to++
		}
		slices.SortFunc(list[from:to], func(a, b any) int {
			return strings.Compare(fmt.Sprint(a.(map[string]any)["uid"]), fmt.Sprint(b.(map[string]any)["uid"]))
		})
		from = to
	}
}

func compareLooks(t *testing.T, where any, want, got map[string]any) {
	t.Helper()
	for what, key := range map[string]string{"smallest first": "filesize", "by title": "title"} {
		untie(want[what], key)
		untie(got[what], key)
	}
	for what := range want {
		if reflect.DeepEqual(got[what], want[what]) {
			continue
		}
		t.Errorf("%v: %s differs", where, what)
		if list, ok := want[what].([]any); ok {
			other, _ := got[what].([]any)
			t.Logf("%d entries, want %d", len(other), len(list))
			for i := range list {
				if i >= len(other) || !reflect.DeepEqual(list[i], other[i]) {
					t.Fatalf("entry %d: %.600v\nwant %.600v", i, slices.Concat(other[min(i, len(other)):]), list[i])
				}
			}
			continue
		}
		t.Fatalf("got %.900v\nwant %.900v", got[what], want[what])
	}
}
