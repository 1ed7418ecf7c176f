package main

import (
	"context"
	"fmt"
	"sync/atomic"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/browse"
	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/xsclient"
)

// listener hears what Sugar's datastore says about its entries.
type listener struct {
	browser atomic.Pointer[browse.Browser]
}

func (l *listener) hear(m *godbus.Message) {
	b := l.browser.Load()
	if b == nil {
		return
	}
	if uid, ok := service.Changed(m); ok {
		b.Changed(uid)
	} else if service.Restarted(m) {
		b.Stale()
	}
}

func (e engine) Find(ctx context.Context, snapshot string, query map[string]any, properties []string) ([]map[string]any, int, error) {
	return e.browser.Find(ctx, snapshot, query, properties)
}

func (e engine) FindIDs(ctx context.Context, snapshot string, query map[string]any) ([]string, error) {
	return e.browser.FindIDs(ctx, snapshot, query)
}

func (e engine) Properties(ctx context.Context, snapshot, uid string) (map[string]any, error) {
	return e.browser.Properties(ctx, snapshot, uid)
}

func (e engine) Filename(ctx context.Context, snapshot, uid string) (string, error) {
	return e.browser.Filename(ctx, snapshot, uid)
}

func (e engine) UniqueValues(ctx context.Context, snapshot, property string) ([]string, error) {
	return e.browser.UniqueValues(ctx, snapshot, property)
}

func (e engine) Reindex(ctx context.Context, progress func(dbus.Progress)) (dbus.Outcome, error) {
	n, err := e.browser.Reindex(ctx, func(done int) {
		if done%100 == 0 {
			progress(dbus.Progress{Phase: "indexing", EntriesDone: done})
		}
	})
	progress(dbus.Progress{Phase: "indexing", Entries: n, EntriesDone: n})
	return dbus.Outcome{Message: fmt.Sprintf("%d entries can be found.", n)}, err
}

func (e engine) RestoreEntry(ctx context.Context, snapshot, uid string, progress func(dbus.Progress)) (dbus.Outcome, error) {
	defer e.browser.Stale()
	return told(progress, func(progress func(xsclient.Progress)) (xsclient.Result, error) {
		return e.client.RestoreEntry(ctx, snapshot, uid, progress)
	})
}

func (e engine) ExportEntry(ctx context.Context, snapshot, uid, path string, progress func(dbus.Progress)) (dbus.Outcome, error) {
	return told(progress, func(progress func(xsclient.Progress)) (xsclient.Result, error) {
		return e.client.ExportEntry(ctx, snapshot, uid, path, progress)
	})
}
