package main

import (
	"errors"
	"testing"

	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/xsclient"
)

// A job tells in the end what it came to, whatever it told on its way.
func TestTold(t *testing.T) {
	sending := xsclient.Progress{Phase: "sending", Bytes: 100, BytesDone: 90, Entries: 5, EntriesDone: 4}
	for name, c := range map[string]struct {
		on   []xsclient.Progress
		r    xsclient.Result
		err  error
		want dbus.Progress
	}{
		"nothing changed": {nil, xsclient.Result{Entries: 7}, nil, dbus.Progress{Entries: 7, EntriesDone: 7}},
		"sent": {[]xsclient.Progress{sending}, xsclient.Result{Entries: 7, Skipped: make([]xsclient.Skipped, 1)}, nil,
			dbus.Progress{Phase: "sending", Bytes: 100, BytesDone: 100, Entries: 7, EntriesDone: 7, EntriesSkipped: 1}},
		"restored": {nil, xsclient.Result{Entries: 7, KeptBoth: 2, Mended: make([]xsclient.Skipped, 1), Unlisted: 3}, nil,
			dbus.Progress{Entries: 7, EntriesDone: 7, EntriesSkipped: 6}},
		"failed": {[]xsclient.Progress{sending}, xsclient.Result{}, errors.New("cut off"), dbus.Progress(sending)},
	} {
		var last dbus.Progress
		_, err := told(func(p dbus.Progress) { last = p }, func(progress func(xsclient.Progress)) (xsclient.Result, error) {
			for _, p := range c.on {
				progress(p)
			}
			return c.r, c.err
		})
		if err != c.err || last != c.want {
			t.Errorf("%s: %+v, %v", name, last, err)
		}
	}
}
