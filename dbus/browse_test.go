package dbus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

const (
	snapshotID1   = "2026-11-23T21-30-05Z"
	snapshotNode1 = SnapshotsPath + "/2026_11_23T21_30_05Z"
	datastore     = "org.laptop.sugar.DataStore"
)

// shelf is an engine that says what it was asked, as a title.
func shelf() *fake {
	turtle := func(said string) map[string]any {
		return map[string]any{"uid": uid, "title": said, "timestamp": int32(1795469405), "filesize": int32(-1), "preview": []byte("\x89PNG\x00\xff")}
	}
	known := func(snapshot, asked string) error {
		switch {
		case snapshot != "" && snapshot != snapshotID1:
			return word{NoSnapshot, "There is no snapshot " + snapshot + "."}
		case asked != uid:
			return word{NoEntry, "There is no entry " + asked + "."}
		}
		return nil
	}
	return &fake{
		find: func(_ context.Context, snapshot string, query map[string]any, properties []string) ([]map[string]any, int, error) {
			return []map[string]any{turtle(fmt.Sprintf("%s:%v:%q", snapshot, query, properties)), {}}, 70000, known(snapshot, uid)
		},
		findIDs: func(snapshot string, query map[string]any) ([]string, error) {
			return []string{uid, fmt.Sprintf("%s:%v", snapshot, query)}, known(snapshot, uid)
		},
		props:    func(snapshot, uid string) (map[string]any, error) { return turtle(snapshot), known(snapshot, uid) },
		filename: func(snapshot, uid string) (string, error) { return "/tmp/" + snapshot + uid, known(snapshot, uid) },
		unique:   func(snapshot, property string) ([]string, error) { return []string{snapshot, property}, nil },
		reindex: func(context.Context, func(Progress)) (Outcome, error) {
			return Outcome{Message: "3 entries are indexed."}, nil
		},
		restoreOne: func(_ context.Context, snapshot, asked string, _ func(Progress)) (Outcome, error) {
			return Outcome{Message: "back from " + snapshot}, known(snapshot, asked)
		},
		export: func(_ context.Context, snapshot, asked, path string, _ func(Progress)) (Outcome, error) {
			return Outcome{Message: snapshot + " in " + path}, known(snapshot, asked)
		},
	}
}

// TestBrowseByDBusSend calls every method of browsing as a shell script does.
func TestBrowseByDBusSend(t *testing.T) {
	b := bustest.Start(t)
	serve(t, b, shelf(), Config{})
	const (
		invalid   = "Error org.laptop.Backup.Error.InvalidArgument: "
		readOnly  = "Error org.laptop.Backup.Error.ReadOnly: "
		noEntry   = "Error org.laptop.Backup.Error.NoEntry: "
		wrongArgs = "Error org.freedesktop.DBus.Error.InvalidArgs: "
		other     = "11111111-89ab-cdef-0123-456789abcdef"
		journal   = string(JournalPath)
		snapshot  = string(snapshotNode1)
		root      = string(Path)
	)
	for _, c := range []struct {
		path, method string
		args         []string
		want         string // parts of the answer
	}{
		{root, "Find", []string{"string:", "dict:string:string:query,turtle,limit,20", "array:string:title,uid"},
			`string ":map\[limit:20 query:turtle\]:\[\\?"title\\?" \\?"uid\\?"\]"|"timestamp" variant int32 1795469405|"filesize" variant int32 -1|"preview" variant array of bytes|89 50 4e 47 00 ff|uint32 70000`},
		{root, "Find", []string{"string:" + snapshotID1, "dict:string:string:", "array:string:"}, `string "2026-11-23T21-30-05Z:map\[\]:\[\]"`},
		{root, "Find", []string{"string:", "dict:string:int32:timestamp,7", "array:string:"}, `map\[timestamp:7\]`},
		{root, "Find", []string{"string:", "dict:string:boolean:keep,true", "array:string:"}, `map\[keep:true\]`},
		{root, "Find", []string{"string:2027-01-01T00-00-00Z", "dict:string:string:", "array:string:"}, "Error org.laptop.Backup.Error.NoSnapshot: There is no snapshot 2027-01-01T00-00-00Z."},
		{root, "Find", []string{"string:../x", "dict:string:string:", "array:string:"}, invalid + `"../x" is not the name of a snapshot`},
		{root, "Find", []string{"string:", "dict:string:objpath:query,/x", "array:string:"}, invalid + `In a query, "query" takes text or a number: it cannot be an object path`},
		{root, "Find", []string{"string:", "string:turtle", "array:string:"}, wrongArgs},
		{root, "Find", []string{"string:", "dict:string:string:", "array:int32:1"}, wrongArgs},
		{root, "Find", []string{"string:", "dict:string:string:query," + strings.Repeat("x", 100_000), "array:string:"}, strings.Repeat("x", 500)},

		{journal, "find", []string{"dict:string:string:query,turtle", "array:string:title"}, `string ":map\[query:turtle\]|uint32 70000`},
		{snapshot, "find", []string{"dict:string:string:mime_type,image/png,order_by,+timestamp", "array:string:"}, `"2026-11-23T21-30-05Z:map\[mime_type:image/png order_by:\+timestamp\]`},
		{journal, "find_ids", []string{"dict:string:string:activity,x"}, `array \[ string "` + uid + `" string ":map\[activity:x\]" \]`},
		{snapshot, "find_ids", []string{"dict:string:string:"}, `string "2026-11-23T21-30-05Z:map\[\]"`},
		{journal, "get_properties", []string{"string:" + uid}, `^method return .* array \[ dict entry|string "title" variant string ""|"timestamp" variant int32 1795469405`},
		{snapshot, "get_properties", []string{"string:" + uid}, `string "title" variant string "2026-11-23T21-30-05Z"`},
		{journal, "get_properties", []string{"string:" + other}, noEntry + "There is no entry " + other},
		{journal, "get_properties", []string{"string:"}, noEntry},
		{journal, "get_properties", []string{"string:../../etc/passwd"}, noEntry + `There is no entry "../../etc/passwd"`},
		{journal, "get_properties", []string{"string:" + strings.Repeat("x", 100_000)}, noEntry},
		{snapshot, "get_filename", []string{"string:" + uid}, `string "/tmp/2026-11-23T21-30-05Z` + uid + `"`},
		{journal, "get_filename", []string{"string:" + other}, noEntry},
		{journal, "get_filename", []string{"string:/"}, noEntry},
		{journal, "get_uniquevaluesfor", []string{"string:activity", "dict:string:string:"}, `array \[ string "" string "activity" \]`},
		{journal, "get_uniquevaluesfor", []string{"string:activity", "dict:string:string:query,x"}, invalid},
		{journal, "mounts", nil, `array \[ array \[ dict entry\( string "id" variant int32 1 \) \] \]`},
		{journal, "create", []string{"dict:string:string:", "string:", "boolean:false"}, readOnly},
		{journal, "update", []string{"string:" + uid, "dict:string:string:", "string:", "boolean:false"}, readOnly},
		{snapshot, "delete", []string{"string:" + uid}, readOnly},
		{journal, "mount", []string{"string:x", "dict:string:string:"}, readOnly},
		{snapshot, "unmount", []string{"string:x"}, readOnly},
		{string(SnapshotsPath) + "/2027_01_01T00_00_00Z", "find_ids", []string{"dict:string:string:"}, "Error org.laptop.Backup.Error.NoSnapshot: "},
		{string(SnapshotsPath) + "/latest", "mounts", nil, "UnknownObject"},
		{string(SnapshotsPath), "mounts", nil, "UnknownInterface"},
		{snapshot + "/x", "mounts", nil, "UnknownObject"},

		{root, "RestoreEntry", []string{"string:", "string:" + uid}, `object path "/org/laptop/Backup/jobs/1"`},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/1"}, `string "done" string "" string "back from "`},
		{root, "RestoreEntry", []string{"string:" + snapshotID1, "string:" + other}, "jobs/2"},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/2"}, `string "failed" string "org.laptop.Backup.Error.NoEntry" string "There is no entry`},
		{root, "RestoreEntry", []string{"string:", "string:x"}, invalid + `"x" is not the uid of a Journal entry`},
		{root, "RestoreEntry", []string{"string:a/b", "string:" + uid}, invalid},
		{root, "ExportEntry", []string{"string:", "string:" + uid, "string:/tmp/./x.xoj"}, "jobs/3"},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/3"}, `string "done" string "" string " in /tmp/x.xoj"`},
		{root, "ExportEntry", []string{"string:", "string:" + uid, "string:x.xoj"}, invalid + `"x.xoj" is not the whole path of a file`},
		{root, "ExportEntry", []string{"string:", "string:" + uid, "string:"}, invalid},
		{root, "ExportEntry", []string{"string:", "string:", "string:/tmp/x.xoj"}, invalid},
		{root, "Reindex", nil, "jobs/4"},
		{root, "Wait", []string{"objpath:/org/laptop/Backup/jobs/4"}, `"3 entries are indexed."`},
	} {
		method := Interface + "." + c.method
		if strings.ToLower(c.method) == c.method {
			method = datastore + "." + c.method
		}
		out, err := b.Send(t, BusName, c.path, method, c.args...)
		if wantError := strings.Contains(c.want, "Error ") || strings.HasPrefix(c.want, "Unknown"); (err != nil) != wantError {
			t.Errorf("%s %.200v: %v", method, c.args, err)
		}
		flat := strings.Join(strings.Fields(out), " ")
		for part := range strings.SplitSeq(c.want, "|") {
			if !regexp.MustCompile(part).MatchString(flat) {
				t.Errorf("%s %.200v: no %q in:\n%.2000s", method, c.args, part, out)
			}
		}
	}
}

// TestQueries: what a query may hold, and what the engine gets of it.
func TestQueries(t *testing.T) {
	type two struct{ From, To int32 }
	type three struct{ A, B, C int32 }
	type variants []godbus.Variant
	v := godbus.MakeVariant
	b := bustest.Start(t)
	got := make(chan map[string]any, 1)
	e := &fake{find: func(_ context.Context, _ string, query map[string]any, _ []string) ([]map[string]any, int, error) {
		got <- query
		return nil, 0, nil
	}}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	long := strings.Repeat("tortuga ", 1<<17)
	for _, k := range []struct {
		key        string
		sent, want any // no want: it is refused
	}{
		{"query", "dibu*", "dibu*"},
		{"query", long, long},
		{"query", v("twice"), "twice"},
		{"query", int32(5), int32(5)},
		{"query", []string{"a"}, nil},
		{"query", two{1, 2}, nil},
		{"query", map[string]int32{"start": 1}, nil},
		{"query", []byte("abc"), nil},
		{"query", godbus.ObjectPath("/x"), nil},
		{"query", godbus.SignatureOf(1), nil},
		{"limit", uint64(1 << 63), uint64(1 << 63)},
		{"limit", int16(-3), int16(-3)},
		{"limit", byte(7), byte(7)},
		{"limit", "20", "20"},
		{"limit", []int32{1}, nil},
		{"offset", -2.5, -2.5},
		{"offset", map[string]string{}, nil},
		{"order_by", "+title", "+title"},
		{"order_by", []string{"+title"}, []string{"+title"}},
		{"order_by", two{1, 2}, nil},
		{"keep", true, true},
		{"mime_type", []string{"a", "b"}, []string{"a", "b"}},
		{"mime_type", []string{}, []string{}},
		{"mime_type", variants{v("a"), v(int32(5)), v(true), v(v("b")), v(false), v(1.5)}, []string{"a", "5", "1", "b", "0", "1.5"}},
		{"mime_type", variants{}, []string{}},
		{"mime_type", variants{v([]string{"a"})}, nil},
		{"mime_type", [][]string{{"a"}}, nil},
		{"mime_type", []two{{1, 2}}, nil},
		{"mime_type", []godbus.ObjectPath{"/x"}, nil},
		{"timestamp", int64(1 << 40), int64(1 << 40)},
		{"timestamp", []int32{1, 2}, []int32{1, 2}},
		{"timestamp", two{1, 2}, []any{int32(1), int32(2)}},
		{"timestamp", struct {
			A godbus.Variant
			B string
		}{v(int32(1)), "2"}, []any{int32(1), "2"}},
		{"timestamp", three{1, 2, 3}, nil},
		{"timestamp", struct{ A, B []int32 }{}, nil},
		{"timestamp", map[string]int32{"start": 1, "end": 2}, map[string]any{"start": int32(1), "end": int32(2)}},
		{"timestamp", map[string]godbus.Variant{"start": v("1"), "end": v(v(2.5))}, map[string]any{"start": "1", "end": 2.5}},
		{"timestamp", map[string]string{}, map[string]any{}},
		{"timestamp", map[int32]string{1: "2"}, nil},
		{"timestamp", map[string]two{"start": {1, 2}}, nil},
		{"timestamp", []two{{1, 2}, {3, 4}}, [][]any{{int32(1), int32(2)}, {int32(3), int32(4)}}},
		{"timestamp", []map[string]int32{{"start": 1}}, []map[string]any{{"start": int32(1)}}},
		{"timestamp", variants{v(two{1, 2}), v(int32(3))}, nil},
		{"mountpoints", []string{"/"}, []string{"/"}},
	} {
		var (
			entries []map[string]godbus.Variant
			count   uint32
		)
		err := c.call("Find", []any{"", map[string]godbus.Variant{k.key: v(k.sent)}, []string{}}, &entries, &count)
		switch {
		case k.want == nil:
			if errorName(err) != ErrorPrefix+InvalidArgument || !strings.Contains(err.Error(), fmt.Sprintf("%q", k.key)) {
				t.Errorf("%s: %.200v: %v", k.key, k.sent, err)
			}
		case err != nil:
			t.Errorf("%s: %.200v: %v", k.key, k.sent, err)
		default:
			if query := <-got; len(query) != 1 || !reflect.DeepEqual(query[k.key], k.want) {
				t.Errorf("%s: %.200v became %.200T %.200[3]v", k.key, k.sent, query[k.key])
			}
		}
	}
	// What the datastore ignores stops nothing.
	if err := c.call("Find", []any{"", map[string]any{"colour": []three{{1, 2, 3}}, "uid": "x"}, []string{}}, new([]map[string]godbus.Variant), new(uint32)); err != nil {
		t.Error(err)
	} else if query := <-got; !reflect.DeepEqual(query, map[string]any{"uid": "x"}) {
		t.Errorf("%v", query)
	}
}

// TestHostileAnswers: nothing that an engine finds is an answer that cannot be
// sent, and none is longer than the machine can bear.
func TestHostileAnswers(t *testing.T) {
	b := bustest.Start(t)
	const bad = "a\xffb\x00c"
	found := make(chan map[string]any, 1)
	e := &fake{
		find: func(context.Context, string, map[string]any, []string) ([]map[string]any, int, error) {
			return []map[string]any{<-found}, -1, nil
		},
		props:    func(string, string) (map[string]any, error) { return map[string]any{bad: bad}, nil },
		findIDs:  func(string, map[string]any) ([]string, error) { return []string{bad, strings.Repeat("x", 9999)}, nil },
		filename: func(string, string) (string, error) { return bad, nil },
		unique:   func(string, string) ([]string, error) { return make([]string, 3<<20), nil },
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	o := c.Object(BusName, JournalPath)
	find := func(entry map[string]any) (list []map[string]godbus.Variant, err error) {
		var count uint32
		found <- entry
		err = o.Call(datastore+".find", 0, map[string]godbus.Variant{}, []string{}).Store(&list, &count)
		return list, err
	}
	list, err := find(map[string]any{bad: []byte(bad), "title": bad, "empty": "", "none": []byte(nil)})
	if err != nil || string(list[0]["a\uFFFDb\uFFFDc"].Value().([]byte)) != bad || list[0]["title"].Value() != "a\uFFFDb\uFFFDc" || len(list[0]) != 4 {
		t.Errorf("%v %v", list, err)
	}
	long := strings.Repeat("é", 1<<20)
	if list, err = find(map[string]any{"description": long}); err != nil || list[0]["description"].Value() != long {
		t.Errorf("a long description: %v", err)
	}
	if _, err = find(map[string]any{"preview": make([]byte, maxAnswer)}); errorName(err) != ErrorPrefix+InvalidArgument || !strings.Contains(err.Error(), "give a limit") {
		t.Error(err)
	}
	if _, err = find(map[string]any{"keep": true}); errorName(err) != ErrorPrefix+Failed || !strings.Contains(err.Error(), "report") {
		t.Error(err)
	}
	var (
		entry map[string]godbus.Variant
		uids  []string
		name  string
	)
	if err := o.Call(datastore+".get_properties", 0, uid).Store(&entry); err != nil || entry["a\uFFFDb\uFFFDc"].Value() != "a\uFFFDb\uFFFDc" {
		t.Error(entry, err)
	}
	if err := o.Call(datastore+".find_ids", 0, map[string]string{}).Store(&uids); err != nil || uids[0] != "a\uFFFDb\uFFFDc" || len(uids[1]) != 9999 {
		t.Error(err)
	}
	if err := o.Call(datastore+".get_filename", 0, uid).Store(&name); err != nil || name != "a\uFFFDb\uFFFDc" {
		t.Error(name, err)
	}
	if err := o.Call(datastore+".get_uniquevaluesfor", 0, "activity", map[string]string{}).Err; errorName(err) != ErrorPrefix+InvalidArgument {
		t.Error(err)
	}
}

// TestBrowsingPanics: as often as it likes.
func TestBrowsingPanics(t *testing.T) {
	b := bustest.Start(t)
	e := shelf()
	e.find = func(context.Context, string, map[string]any, []string) ([]map[string]any, int, error) { panic("oops") }
	e.export = func(context.Context, string, string, string, func(Progress)) (Outcome, error) { panic("ouch") }
	serve(t, b, e, Config{})
	c := newClient(t, b)
	for range looking + 1 {
		for _, snapshot := range []string{"", snapshotID1} {
			if err := c.call("Find", []any{snapshot, map[string]string{}, []string{}}); errorName(err) != ErrorPrefix+Failed {
				t.Error(err)
			}
		}
	}
	if r := c.wait(c.job("ExportEntry", "", uid, "/x")); r.name != ErrorPrefix+Failed || !strings.Contains(r.message, "The export failed by a mistake") {
		t.Errorf("%v", r)
	}
}

// TestNothingHangs: while the school server is silent the Journal is still there to
// be looked into, and the server to be asked.
func TestNothingHangs(t *testing.T) {
	b := bustest.Start(t)
	e := shelf()
	hangs := make(chan struct{}, 10)
	e.find = func(ctx context.Context, snapshot string, _ map[string]any, _ []string) ([]map[string]any, int, error) {
		if snapshot == "" {
			if _, ok := ctx.Deadline(); !ok {
				return nil, 0, errors.New("no deadline")
			}
			return nil, 7, nil
		}
		hangs <- struct{}{}
		<-ctx.Done()
		return nil, 0, ctx.Err()
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	for range browsing + 2 {
		c.Object(BusName, snapshotNode1).Go(datastore+".find", 0, nil, map[string]string{}, []string{})
	}
	for range browsing {
		<-hangs
	}
	var count uint32
	c.must("Find", []any{"", map[string]string{}, []string{}}, new([]map[string]godbus.Variant), &count)
	if count != 7 || len(hangs) != 0 {
		t.Errorf("%d entries, %d more that hang", count, len(hangs))
	}
	c.must("CheckServer", nil, new(map[string]godbus.Variant))
}

// TestSlowJournal: the Journal's slowness is not blamed on the school server.
func TestSlowJournal(t *testing.T) {
	b := bustest.Start(t)
	e := shelf()
	e.find = func(context.Context, string, map[string]any, []string) ([]map[string]any, int, error) {
		return nil, 0, fmt.Errorf("reading: %w", context.DeadlineExceeded)
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	for snapshot, want := range map[string]string{"": Busy, snapshotID1: ServerUnavailable} {
		if err := c.call("Find", []any{snapshot, map[string]string{}, []string{}}); errorName(err) != ErrorPrefix+want {
			t.Errorf("%q: %v", snapshot, err)
		}
	}
}
