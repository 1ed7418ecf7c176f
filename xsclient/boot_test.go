package xsclient

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/wire"
)

// How long ago the last backup was is known without any clock, until the machine is
// started anew; also by the next daemon.
func TestLastBackup(t *testing.T) {
	home := t.TempDir()
	kernel := filepath.Join(home, "root/proc")
	must(t, os.MkdirAll(filepath.Join(kernel, "sys/kernel/random"), 0o755))
	running := func(id, uptime string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(kernel, "sys/kernel/random/boot_id"), []byte(id+"\n"), 0o644))
		must(t, os.WriteFile(filepath.Join(kernel, "uptime"), []byte(uptime+" 7.00\n"), 0o644))
	}
	cfg := Config{Profile: profile.Profile{Dir: home}, Root: filepath.Join(home, "root"), StateDir: filepath.Join(home, "state")}
	c := client(t, cfg)
	running("one", "100.50")
	if at, since, known := c.LastBackup(); !at.IsZero() || since != 0 || known {
		t.Errorf("before the first: %v %v %v", at, since, known)
	}
	c.recordBackup(t.Context(), "", Result{Snapshot: wire.Snapshot{Time: 1795469405, Confirmed: 1795555805}}, nil)
	for _, step := range []struct {
		id, uptime string
		since      time.Duration
		known      bool
	}{
		{"one", "100.50", 0, true},
		{"one", "3700.99", time.Hour, true},
		{"two", "3700.99", 0, false},
		{"one", "99.00", 0, false}, // no such thing happens, and it is no time to come
		{"one", "soon", 0, false},
	} {
		running(step.id, step.uptime)
		at, since, known := client(t, cfg).LastBackup()
		if at.Unix() != 1795555805 || since != step.since || known != step.known {
			t.Errorf("%s %s: %v %v %v", step.id, step.uptime, at, since, known)
		}
	}
	// One that fails leaves it as it was.
	running("two", "5.00")
	c.recordBackup(t.Context(), "", Result{}, unavailable("Away.", nil))
	if _, _, known := c.LastBackup(); known {
		t.Error("a backup that failed counts")
	}
}
