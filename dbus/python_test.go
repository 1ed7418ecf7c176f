package dbus

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// python runs a script as Sugar's own programs are run.
func python(t *testing.T, b *bustest.Bus, script string) string {
	t.Helper()
	out, err := b.Run(t, "/usr/bin/python3", "-W", "ignore", "-c", script)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(out)
}

// TestPythonClient asks as Sugar's Journal does, and looks at the types of the
// answers: those of Sugar's datastore.
func TestPythonClient(t *testing.T) {
	b := bustest.Start(t)
	e := shelf()
	queries := make(chan map[string]any, 10)
	find := e.find
	e.find = func(ctx context.Context, snapshot string, query map[string]any, properties []string) ([]map[string]any, int, error) {
		queries <- query
		return find(ctx, snapshot, query, properties)
	}
	serve(t, b, e, Config{})
	const script = `
import dbus
bus = dbus.SessionBus()
UID = '` + uid + `'
for path in ('/org/laptop/Backup/journal', '/org/laptop/Backup/snapshots/2026_11_23T21_30_05Z'):
    ds = dbus.Interface(bus.get_object('org.laptop.Backup', path), 'org.laptop.sugar.DataStore')
    entries, count = ds.find({
        'query': 'dibu* casa*', 'timestamp': {'start': 1, 'end': 1795469405}, 'mime_type': ['image/png', 'image/jpeg'],
        'keep': 1, 'activity': 'org.laptop.Oficina', 'order_by': ['+timestamp'], 'limit': 20, 'offset': 0},
        ['title', 'uid', 'preview'], byte_arrays=True)
    assert type(entries) is dbus.Array and entries.signature == 'a{sv}', repr(entries)
    assert type(count) is dbus.UInt32 and count == 70000, repr(count)
    e = entries[0]
    assert type(e) is dbus.Dictionary and e.signature == 'sv', repr(e)
    kinds = {k: type(v) for k, v in e.items()}
    assert kinds == {'uid': dbus.String, 'title': dbus.String, 'timestamp': dbus.Int32, 'filesize': dbus.Int32,
                     'preview': dbus.ByteArray}, kinds
    assert e['preview'] == b'\x89PNG\x00\xff' and e['filesize'] == -1 and e['uid'] == UID
    assert e['preview'].variant_level == 1 and e['title'].variant_level == 1
    assert type(ds.find({}, [])[0][0]['preview']) is dbus.Array
    ds.find({'timestamp': (1, 2), 'filesize': 7, 'creation_time': [1, 2]}, [])
    ds.find(dbus.Dictionary({'mime_type': dbus.Array(['a', 1], signature='v')}, signature='sv'), [])
    ids = ds.find_ids({'query': 'x'})
    assert type(ids) is dbus.Array and ids.signature == 's' and ids[0] == UID, repr(ids)
    assert ds.get_properties(UID, byte_arrays=True)['preview'] == b'\x89PNG\x00\xff'
    assert type(ds.get_filename(UID)) is dbus.String
    assert ds.get_uniquevaluesfor('activity', dbus.Dictionary({}, signature='ss'))[1] == 'activity'
    assert ds.mounts() == [{'id': 1}] and type(ds.mounts()[0]['id']) is dbus.Int32
    for call, error in ((lambda: ds.get_properties('11111111-89ab-cdef-0123-456789abcdef'), 'NoEntry'),
                        (lambda: ds.get_filename('x'), 'NoEntry'),
                        (lambda: ds.find({'timestamp': (1, 2, 3)}, []), 'InvalidArgument'),
                        (lambda: ds.find({'query': {'a': 1}}, []), 'InvalidArgument'),
                        (lambda: ds.create({'title': 'x'}, '', False), 'ReadOnly'),
                        (lambda: ds.update(UID, {'title': 'x'}, '', False), 'ReadOnly'),
                        (lambda: ds.delete(UID), 'ReadOnly')):
        try:
            call()
        except dbus.DBusException as e:
            assert e.get_dbus_name() == 'org.laptop.Backup.Error.' + error, e.get_dbus_name()
        else:
            raise Exception('no ' + error)
backup = dbus.Interface(bus.get_object('org.laptop.Backup', '/org/laptop/Backup'), 'org.laptop.Backup')
entries, count = backup.Find('', {'query': 'x', 'limit': 1}, ['title'], byte_arrays=True)
assert type(entries) is dbus.Array and type(count) is dbus.UInt32 and type(entries[0]['preview']) is dbus.ByteArray
print('good')
`
	if out := python(t, b, script); out != "good" {
		t.Errorf("%s", out)
	}
	want := map[string]any{
		"query": "dibu* casa*", "timestamp": map[string]any{"start": int32(1), "end": int32(1795469405)},
		"mime_type": []string{"image/png", "image/jpeg"}, "keep": int32(1), "activity": "org.laptop.Oficina",
		"order_by": []string{"+timestamp"}, "limit": int32(20), "offset": int32(0),
	}
	if query := <-queries; !reflect.DeepEqual(query, want) {
		t.Errorf("%#v", query)
	}
	<-queries
	want = map[string]any{"timestamp": []any{int32(1), int32(2)}, "filesize": int32(7), "creation_time": []int32{1, 2}}
	if query := <-queries; !reflect.DeepEqual(query, want) {
		t.Errorf("%#v", query)
	}
	if query := <-queries; !reflect.DeepEqual(query, map[string]any{"mime_type": []string{"a", "1"}}) {
		t.Errorf("%#v", query)
	}
}

// TestJarabe: the model of Sugar's Journal, pointed at an object of ours, pages
// through it and opens entries without knowing that it is no datastore.
func TestJarabe(t *testing.T) {
	const entries = 130
	b := bustest.Start(t)
	if out, err := b.Run(t, "/usr/bin/python3", "-W", "ignore", "-c", "import jarabe.journal.model"); err != nil {
		t.Skipf("no Sugar here: %s", out)
	}
	e := shelf()
	e.find = func(_ context.Context, _ string, query map[string]any, _ []string) (page []map[string]any, count int, err error) {
		if query["query"] != "tor* casa*" {
			return nil, 0, fmt.Errorf("%v", query)
		}
		offset, _ := query["offset"].(int32)
		for i := offset; i < min(offset+query["limit"].(int32), entries); i++ {
			page = append(page, map[string]any{"uid": fmt.Sprintf("%036d", i), "timestamp": entries - i})
		}
		return page, entries, nil
	}
	e.filename = func(string, string) (string, error) { return "", nil }
	serve(t, b, e, Config{})
	const script = `
from dbus.mainloop.glib import DBusGMainLoop
DBusGMainLoop(set_as_default=True)
import jarabe.journal.model as model
model.DS_DBUS_SERVICE = 'org.laptop.Backup'
model.DS_DBUS_PATH = '/org/laptop/Backup/snapshots/2026_11_23T21_30_05Z'
found = model.find({'query': 'tor casa', 'mountpoints': ['/'], 'timestamp': {'start': 1, 'end': 1 << 30}, 'order_by': ['+timestamp']}, 7)
uids = []
for i in range(found.length):
    found.seek(i)
    uids.append(found.read()['uid'])
assert uids == ['%036d' % i for i in range(130)], uids
found.seek(3)
assert found.read()['timestamp'] == 127
assert len(found.find_ids({'query': 'x'})) == 2
entry = model.get('` + uid + `')
assert entry['title'] == '2026-11-23T21-30-05Z' and entry['mountpoint'] == '/', entry
assert model.get_file('` + uid + `') is None
assert model.get_unique_values('activity')[1] == 'activity'
try:
    model.delete('` + uid + `')
except Exception as e:
    assert 'ReadOnly' in str(e), e
else:
    raise Exception('deleted')
print('good')
`
	if out := python(t, b, script); out != "good" {
		t.Errorf("%s", out)
	}
}
