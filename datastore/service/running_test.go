package service_test

import (
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A restore that held the datastore's name took itself for the datastore, and
// waited two seconds an entry for a flag that nobody would set.
func TestRunningIsNotOurselves(t *testing.T) {
	x := bed.XOFor(t, bed.Options{Binaries: bed.Binaries{Daemon: "/bin/false"}})
	c := service.New(x.Conn)
	running := func(want bool, when string) {
		t.Helper()
		if got, err := c.Running(t.Context()); err != nil || got != want {
			t.Errorf("%s: running %t, %v", when, got, err)
		}
	}
	running(false, "before it was ever called")
	if _, err := x.Find(t.Context()); err != nil {
		t.Fatal(err)
	}
	running(true, "after a call")
	release, err := c.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	running(false, "while we hold its name")
	if err := release(); err != nil {
		t.Fatal(err)
	}
	running(false, "after that")
	if _, err := x.Find(t.Context()); err != nil {
		t.Fatal(err)
	}
	running(true, "after another call")
}
