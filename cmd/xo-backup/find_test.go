package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/dbus"
)

const uid = "01234567-89ab-cdef-0123-456789abcdef"

// library is the part of the engine that is looked into.
type library struct {
	books sync.Mutex
	found []map[string]any
	count int
	err   error

	snapshot   string // what was asked for last
	query      map[string]any
	properties []string
}

func (l *library) fill(change func(l *library)) {
	l.books.Lock()
	defer l.books.Unlock()
	change(l)
}

func (l *library) Find(_ context.Context, snapshot string, query map[string]any, properties []string) (found []map[string]any, count int, err error) {
	l.fill(func(l *library) {
		l.snapshot, l.query, l.properties = snapshot, query, properties
		found, count, err = l.found, l.count, l.err
	})
	return found, count, err
}

func (l *library) UniqueValues(context.Context, string, string) ([]string, error) {
	return []string{"", "org.laptop.Oficina", "org.laptop.TurtleArtActivity", "org.laptop.PaintActivity", "org.sugarlabs.TurtlePondActivity"}, nil
}

func (l *library) RestoreEntry(_ context.Context, snapshot, uid string, progress func(dbus.Progress)) (dbus.Outcome, error) {
	return l.work("Restored", snapshot, uid, "", progress)
}

func (l *library) ExportEntry(_ context.Context, snapshot, uid, path string, progress func(dbus.Progress)) (dbus.Outcome, error) {
	return l.work("Exported", snapshot, uid, path, progress)
}

func (l *library) work(did, snapshot, uid, path string, progress func(dbus.Progress)) (o dbus.Outcome, err error) {
	progress(dbus.Progress{Phase: "fetching", Entries: 1})
	time.Sleep(30 * time.Millisecond) // for the signal to be read
	l.fill(func(l *library) { err = l.err })
	return dbus.Outcome{Message: fmt.Sprintf("%s %q of %q %s.", did, uid, snapshot, path)}, err
}

func (*library) FindIDs(context.Context, string, map[string]any) ([]string, error) { return nil, nil }
func (*library) Filename(context.Context, string, string) (string, error)          { return "", nil }
func (*library) Properties(context.Context, string, string) (map[string]any, error) {
	return nil, nil
}
func (*library) Reindex(context.Context, func(dbus.Progress)) (dbus.Outcome, error) {
	return dbus.Outcome{}, nil
}

func TestFind(t *testing.T) {
	b, e := bed(t)
	if stdout, stderr, code := run(t, b, "find", "boat"); code != 0 || stdout != "Nothing is found.\n" || stderr != "" {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	if stdout, _, code := run(t, b, "find", "boat", "--json"); code != 0 || stdout != "[]\n" {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	now := time.Now()
	e.fill(func(l *library) {
		l.count = 137
		l.found = []map[string]any{
			{"uid": uid, "title": "Mi \x1b[31mbarco\nde  papel \u202ehere", "activity": "org.laptop.Oficina", "timestamp": int32(now.Add(-49 * time.Hour).Unix()), "filesize": int32(12345), "keep": "1", "mime_type": "image/png"},
			{"uid": strings.Replace(uid, "0", "1", 1), "title": "一二三四五六七八九十一二三四五六七八九十一二三", "timestamp": "86400", "filesize": "0"},
			{"title": "نص", "activity": "web", "filesize": int32(-1)},
			{},
		}
	})
	stdout, stderr, code := run(t, b, "find", "boat")
	want := regexp.MustCompile(`^WHEN +WHAT +ACTIVITY +SIZE +UID
\d{4}-\d\d-\d\d \d\d:\d\d \(2 days ago\)  Mi \[31mbarco de papel here +Oficina +12 kB +` + uid + `
1970-01-02 \d\d:\d\d +一二三四五六七八九十一二三四五六七八九… +11234567-89ab-cdef-0123-456789abcdef
 +نص +web +
 +

These are 4 of 137; '--limit 0' shows all.
$`)
	if code != 0 || stderr != "" || !want.MatchString(stdout) {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	stdout, _, code = run(t, b, "find", "--json", "boat")
	var list []found
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != 0 || len(list) != 4 || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("exit status %d, %v\n%s", code, err, stdout)
	}
	if f := list[0]; f.UID != uid || f.Title != "Mi \x1b[31mbarco\nde  papel \u202ehere" || f.Filesize != 12345 || !f.Keep || f.MimeType != "image/png" || list[1].Timestamp != 86400 || list[2].Filesize != 0 {
		t.Errorf("%+v", list)
	}
}

func TestFindAsks(t *testing.T) {
	b, e := bed(t)
	order := []string{"+timestamp"}
	for _, c := range []struct {
		args     []string
		snapshot string
		want     map[string]any
	}{
		{[]string{"boat"}, "", map[string]any{"query": "boat*", "limit": int32(20)}},
		{[]string{"paper", " boat  red"}, "", map[string]any{"query": "paper* boat* red*", "limit": int32(20)}},
		{[]string{`"paper boat" AND red`}, "", map[string]any{"query": `"paper boat" AND red`, "limit": int32(20)}},
		{[]string{"--", "-boat"}, "", map[string]any{"query": "-boat*", "limit": int32(20)}},
		{nil, "", map[string]any{"limit": int32(20)}},
		{[]string{"boat", "--limit", "0"}, "", map[string]any{"query": "boat*"}},
		{[]string{"boat", "--limit", "99999999999"}, "", map[string]any{"query": "boat*", "limit": int32(1<<31 - 1)}},
		{[]string{"boat", "--json"}, "", map[string]any{"query": "boat*"}},
		{[]string{"boat", "--json", "--limit", "7"}, "", map[string]any{"query": "boat*", "limit": int32(7)}},
		{[]string{"--limit=0", "--snapshot", "2026-11-23T21-30-05Z", "--activity", "paint"}, "2026-11-23T21-30-05Z", map[string]any{"activity": []string{"org.laptop.PaintActivity"}}},
		{[]string{"--limit=0", "--activity", "Turtle"}, "", map[string]any{"activity": []string{"org.laptop.TurtleArtActivity", "org.sugarlabs.TurtlePondActivity"}}},
		{[]string{"--limit=0", "--activity", "turtle art"}, "", map[string]any{"activity": []string{"org.laptop.TurtleArtActivity"}}},
		{[]string{"--limit=0", "--activity", "org.laptop.Oficina"}, "", map[string]any{"activity": []string{"org.laptop.Oficina"}}},
		{[]string{"--limit=0", "--since", "2026-11-23"}, "", map[string]any{"timestamp": map[string]any{
			"start": time.Date(2026, 11, 23, 0, 0, 0, 0, time.Local).Unix(), "end": int64(1<<31 - 1)}}},
	} {
		_, stderr, code := run(t, b, append([]string{"find"}, c.args...)...)
		c.want["order_by"] = order
		e.fill(func(l *library) {
			if code != 0 || l.snapshot != c.snapshot || !reflect.DeepEqual(l.query, c.want) || len(l.properties) != 9 {
				t.Errorf("%q: exit status %d %s\n%q %#v", c.args, code, stderr, l.snapshot, l.query)
			}
		})
	}
	stdout, _, code := run(t, b, "find", "--activity", "chess")
	if code != 0 || stdout != "Nothing is found: no entry is of an activity like \"chess\".\nThere are: Oficina, TurtleArtActivity, PaintActivity, TurtlePondActivity\n" {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	if stdout, _, code := run(t, b, "find", "--activity", "chess", "--json"); code != 0 || stdout != "[]\n" {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	for args, want := range map[string]string{"--snapshot ../x": `"../x" is not the name of a snapshot`, "--snapshot x --activity y": `"x" is not the ID of a snapshot`} {
		if _, stderr, code := run(t, b, append([]string{"find"}, strings.Fields(args)...)...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("exit status %d\n%s", code, stderr)
		}
	}
}

func TestSince(t *testing.T) {
	zone := time.FixedZone("Lima", -5*3600)
	now := time.Date(2026, 3, 1, 8, 30, 0, 0, zone)
	for day, want := range map[string]string{
		"today": "2026-03-01", "yesterday": "2026-02-28", "0d": "2026-03-01", "7d": "2026-02-22", "2025-12-31": "2025-12-31",
	} {
		got, err := since(day, now)
		if err != nil || got.Format("2006-01-02T15:04:05-07:00") != want+"T00:00:00-05:00" {
			t.Errorf("%s: %v %v", day, got, err)
		}
	}
	for _, day := range []string{"", "d", "-7d", "7.5d", "99999999d", "23.11.2026", "2026-13-01", "week"} {
		if got, err := since(day, now); err == nil {
			t.Errorf("%q: %v", day, got)
		}
	}
}

// TestEntries: one back, one out, and what is said when it does not work.
func TestEntries(t *testing.T) {
	b, e := bed(t)
	here, err := filepath.Abs("boat.xoj")
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"restore --entry " + uid: `Restored "` + uid + `" of "" .`,
		"restore --entry " + uid + " --snapshot 2026-11-23T21-30-05Z":    `Restored "` + uid + `" of "2026-11-23T21-30-05Z" .`,
		"export " + uid + " boat.xoj":                                    `Exported "` + uid + `" of "" ` + here + `.`,
		"export " + uid + " /x/../y.xoj --snapshot 2026-11-23T21-30-05Z": `Exported "` + uid + `" of "2026-11-23T21-30-05Z" /y.xoj.`,
	} {
		stdout, stderr, code := run(t, b, strings.Fields(args)...)
		if code != 0 || stdout != "Fetching, 0 of 1 entries, 0 %\n"+want+"\n" || stderr != "" {
			t.Errorf("%s: exit status %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if stdout, _, code := run(t, b, "export", uid, "boat.xoj", "--json"); code != 0 || !strings.Contains(stdout, `"operation":"export","result":"done"`) {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{problem{"NoEntry", "There is no such entry."}, 1, "xo-backup: There is no such entry.\nNext: xo-backup find TEXT, which shows the UID of each entry\n"},
		{problem{"NoSnapshot", "There is no such snapshot."}, 1, "xo-backup: There is no such snapshot.\nNext: xo-backup list\n"},
		{problem{"ServerUnavailable", "Away."}, 3, "xo-backup: Away.\n"},
		{problem{"DiskFull", "Full."}, 1, "xo-backup: Full.\n"},
	} {
		e.fill(func(l *library) { l.err = c.err })
		for _, args := range []string{"find boat", "restore --entry " + uid, "export " + uid + " boat.xoj"} {
			if _, stderr, code := run(t, b, strings.Fields(args)...); code != c.code || stderr != c.want {
				t.Errorf("%s: exit status %d\n%s", args, code, stderr)
			}
		}
	}
	for args, want := range map[string]string{"restore --entry x": `"x" is not the uid`, "export x y": `"x" is not the uid`} {
		if _, stderr, code := run(t, b, strings.Fields(args)...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit status %d\n%s", args, code, stderr)
		}
	}
}
