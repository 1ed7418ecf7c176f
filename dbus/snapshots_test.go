package dbus

import (
	"context"
	"encoding/xml"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// below lists the objects below SnapshotsPath.
func (c client) below() (names []string) {
	c.t.Helper()
	var text string
	if err := c.Object(BusName, SnapshotsPath).Call("org.freedesktop.DBus.Introspectable.Introspect", 0).Store(&text); err != nil {
		c.t.Fatal(err)
	}
	var d described
	if err := xml.Unmarshal([]byte(text), &d); err != nil {
		c.t.Fatal(err)
	}
	for _, n := range d.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// TestSnapshotNodes: the snapshots are there to be found, newest last, and are
// asked for once in a while only.
func TestSnapshotNodes(t *testing.T) {
	b := bustest.Start(t)
	var asked atomic.Int32
	e := shelf()
	var backedUp atomic.Bool
	e.list = func(ctx context.Context) (list []Snapshot, err error) {
		asked.Add(1)
		if _, ok := ctx.Deadline(); !ok {
			t.Error("asked without a bound on time")
		}
		ids := []string{"2026-11-24T21-30-05Z", snapshotID1, "2026_11_22T21-30-05Z", "odd", ""}
		if backedUp.Load() {
			ids = slices.Insert(ids, 0, "2026-11-25T21-30-05Z")
		}
		for _, id := range ids {
			list = append(list, Snapshot{ID: id})
		}
		return list, nil
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	want := []string{"2026_11_23T21_30_05Z", "2026_11_24T21_30_05Z"}
	for range 5 {
		if names := c.below(); !slices.Equal(names, want) {
			t.Errorf("%v, not %v", names, want)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	out, err := b.Run(t, "gdbus", "introspect", "--session", "--dest", BusName, "--object-path", string(SnapshotsPath), "--recurse")
	if err != nil || strings.Count(out, "node "+string(SnapshotsPath)+"/2026") != 2 || !strings.Contains(out, "get_uniquevaluesfor(in  s property") {
		t.Errorf("gdbus introspect: %v\n%s", err, out)
	}
	// What is there can be opened.
	for _, name := range c.below() {
		if err := c.Object(BusName, SnapshotsPath+"/"+godbus.ObjectPath(name)).Call(datastore+".mounts", 0).Err; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	backedUp.Store(true)
	c.wait(c.job("Backup"))
	if names := c.below(); len(names) != 3 || names[2] != "2026_11_25T21_30_05Z" {
		t.Errorf("after a backup: %v", names)
	}
}

// TestSnapshotNodesAway: no school server is no snapshots, and is not asked again
// by whoever comes right after.
func TestSnapshotNodesAway(t *testing.T) {
	for name, list := range map[string]func(context.Context) ([]Snapshot, error){
		"away":  func(context.Context) ([]Snapshot, error) { return nil, word{ServerUnavailable, "Away."} },
		"panic": func(context.Context) ([]Snapshot, error) { panic("oops") },
		"none":  func(context.Context) ([]Snapshot, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := bustest.Start(t)
			var asked atomic.Int32
			e := &fake{list: func(ctx context.Context) ([]Snapshot, error) {
				asked.Add(1)
				return list(ctx)
			}}
			serve(t, b, e, Config{})
			c := newClient(t, b)
			for range asking + 2 {
				if names := c.below(); len(names) != 0 {
					t.Errorf("%v", names)
				}
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("the server was asked %d times", n)
			}
		})
	}
}
