package dbus

import (
	"context"
	"sync/atomic"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// TestHurry: a person's backup does not wait for as long as the schedule's that
// it finds running.
func TestHurry(t *testing.T) {
	for _, when := range []string{"while it waits", "before it waits"} {
		t.Run(when, func(t *testing.T) {
			b := bustest.Start(t)
			asked, waiting := make(chan struct{}), make(chan struct{})
			e := &fake{backup: func(ctx context.Context, trigger string, progress func(Progress)) (Outcome, error) {
				if trigger == TriggerManual {
					return Outcome{}, word{ServerBusy, "Busy."}
				}
				if when == "before it waits" {
					<-asked
				}
				progress(Progress{Phase: PhaseWaiting})
				close(waiting)
				<-ctx.Done()
				return Outcome{}, ctx.Err()
			}}
			serve(t, b, e, Config{})
			c := newClient(t, b)
			job := c.job("BackupWithOptions", map[string]string{"trigger": TriggerSchedule})
			if when == "while it waits" {
				<-waiting
			}
			if again := c.job("Backup"); again != job {
				t.Errorf("another job: %s", again)
			}
			close(asked)
			if r := c.wait(job); r != (result3{ResultFailed, ErrorPrefix + ServerBusy, "Busy."}) {
				t.Errorf("%v", r)
			}
		})
	}
}

// TestGiveWay: a restore does not wait for the schedule's backup that waits for a
// busy server; one that works is not cut short.
func TestGiveWay(t *testing.T) {
	b := bustest.Start(t)
	waiting, works := make(chan struct{}), make(chan struct{})
	var busy atomic.Bool
	busy.Store(true)
	e := &fake{
		backup: func(ctx context.Context, _ string, progress func(Progress)) (Outcome, error) {
			progress(Progress{Phase: PhaseWaiting})
			if busy.Load() {
				close(waiting)
				<-ctx.Done()
				return Outcome{}, ctx.Err()
			}
			progress(Progress{Phase: "looking"})
			<-works
			return Outcome{Message: "Safe."}, nil
		},
		restore: func(context.Context, RestoreRequest, func(Progress)) (Outcome, error) {
			return Outcome{Message: "Back."}, nil
		},
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	job := c.job("BackupWithOptions", map[string]string{"trigger": TriggerSchedule})
	<-waiting
	if r := c.wait(c.job("Restore", "")); r != (result3{ResultDone, "", "Back."}) {
		t.Errorf("%v", r)
	}
	if r := c.wait(job); r.result != ResultFailed || r.name != ErrorPrefix+Busy {
		t.Errorf("%v", r)
	}

	busy.Store(false)
	job = c.job("BackupWithOptions", map[string]string{"trigger": TriggerSchedule})
	bustest.Await(t, "work", func() bool { return c.get(job, JobInterface, "Phase") == "looking" })
	var restore godbus.ObjectPath
	if err := c.call("Restore", []any{""}, &restore); errorName(err) != ErrorPrefix+Busy {
		t.Errorf("%v", err)
	}
	close(works)
	if r := c.wait(job); r != (result3{ResultDone, "", "Safe."}) {
		t.Errorf("%v", r)
	}
}
