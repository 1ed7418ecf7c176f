package dbus

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

func trigger(name string) map[string]string { return map[string]string{"trigger": name} }

// TestHeldBack: who asks for a backup that is held back learns why; nobody else is
// told of anything, and nothing is written. A person is not held back.
func TestHeldBack(t *testing.T) {
	b := bustest.Start(t)
	e := &fake{held: func() (string, time.Duration) { return "The battery is at 22 %.", 0 }}
	s := serve(t, b, e, Config{})
	c := newClient(t, b)
	signals := c.signals()
	file := filepath.Join(s.cfg.StateDir, historyFile)
	seen := map[godbus.ObjectPath]bool{}
	for _, name := range []string{TriggerSchedule, TriggerNetwork} {
		for range historySize {
			job := c.job("BackupWithOptions", trigger(name))
			if r := c.wait(job); r != (result3{ResultDone, "", "The battery is at 22 %."}) {
				t.Errorf("%v", r)
			}
			if seen[job] {
				t.Errorf("%s was given twice", job)
			}
			seen[job] = true
			if got := c.get(job, JobInterface, "ErrorMessage"); got != "The battery is at 22 %." {
				t.Errorf("%v", got)
			}
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
	manual := c.job("Backup")
	if r := c.wait(manual); r.message != "All is safe." {
		t.Errorf("%v", r)
	}
	for {
		signal := <-signals
		if signal.Name == Interface+".JobAdded" {
			if signal.Body[0] != manual {
				t.Errorf("%v", signal)
			}
			break
		}
		if strings.HasPrefix(signal.Name, Interface) {
			t.Errorf("%v", signal)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(kept), "battery") {
		t.Errorf("%v %s", err, kept)
	}
	// The results that matter are not pushed out by those that do not.
	for range historySize {
		c.job("BackupWithOptions", trigger(TriggerSchedule))
	}
	if r := c.wait(manual); r.message != "All is safe." {
		t.Errorf("%v", r)
	}
}

// TestNetworkCame: the backup that waited for it begins, by itself; one that runs is
// not begun twice.
func TestNetworkCame(t *testing.T) {
	b := bustest.Start(t)
	var offline atomic.Bool
	offline.Store(true)
	hold := make(chan struct{})
	e := &fake{
		held: func() (string, time.Duration) {
			if offline.Load() {
				return "There is no network.", 0
			}
			return "", 0
		},
		backup: func(_ context.Context, trigger string, _ func(Progress)) (Outcome, error) {
			<-hold
			return Outcome{Message: trigger}, nil
		},
	}
	s := serve(t, b, e, Config{})
	c := newClient(t, b)
	c.wait(c.job("BackupWithOptions", trigger(TriggerSchedule)))
	s.NetworkCame()
	if jobs := c.get(Path, Interface, "Jobs").([]godbus.ObjectPath); len(jobs) != 0 {
		t.Errorf("it runs without a network: %v", jobs)
	}
	offline.Store(false)
	s.NetworkCame()
	jobs := c.get(Path, Interface, "Jobs").([]godbus.ObjectPath)
	if len(jobs) != 1 {
		t.Fatalf("%v", jobs)
	}
	s.NetworkCame()
	if again := c.job("BackupWithOptions", trigger(TriggerSchedule)); again != jobs[0] {
		t.Errorf("%s beside %v", again, jobs)
	}
	close(hold)
	if r := c.wait(jobs[0]); r.message != TriggerNetwork {
		t.Errorf("%v", r)
	}
	s.end()
	s.NetworkCame() // too late, and no harm
}

// TestAsksAgain: what soon passes is waited for, but not for ever.
func TestAsksAgain(t *testing.T) {
	b := bustest.Start(t)
	var asked, passes atomic.Int32
	passes.Store(3)
	e := &fake{held: func() (string, time.Duration) {
		if asked.Add(1) > passes.Load() {
			return "", 0
		}
		return "The laptop is busy.", time.Millisecond
	}}
	s := serve(t, b, e, Config{})
	c := newClient(t, b)
	c.job("BackupWithOptions", trigger(TriggerSchedule))
	bustest.Await(t, "the backup", func() bool {
		kept, _ := os.ReadFile(filepath.Join(s.cfg.StateDir, historyFile))
		return strings.Contains(string(kept), "All is safe.")
	})
	bustest.Await(t, "its end", func() bool { return len(c.get(Path, Interface, "Jobs").([]godbus.ObjectPath)) == 0 })
	if n := asked.Load(); n != 4 {
		t.Errorf("asked %d times", n)
	}
	asked.Store(0)
	passes.Store(1000)
	c.job("BackupWithOptions", trigger(TriggerSchedule))
	bustest.Await(t, "the last question", func() bool { return asked.Load() == 1+triesAgain })
}

// TestHeldBackLeaves: a service that holds a backup back leaves as any other does.
func TestHeldBackLeaves(t *testing.T) {
	b := bustest.Start(t)
	e := &fake{held: func() (string, time.Duration) { return "The battery is at 22 %.", time.Hour }}
	s := serve(t, b, e, Config{IdleExit: 50 * time.Millisecond})
	newClient(t, b).job("BackupWithOptions", trigger(TriggerSchedule))
	if err := s.wait(); err != nil {
		t.Error(err)
	}
}
