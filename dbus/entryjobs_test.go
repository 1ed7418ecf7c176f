package dbus

import (
	"context"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// TestEntryJobs: jobs about single entries, and the index's, are jobs as others
// are.
func TestEntryJobs(t *testing.T) {
	const other = "11111111-89ab-cdef-0123-456789abcdef"
	b := bustest.Start(t)
	work := func(ctx context.Context, progress func(Progress)) (Outcome, error) {
		progress(Progress{Phase: "fetching", Entries: 1})
		<-ctx.Done()
		return Outcome{}, ctx.Err()
	}
	e := &fake{
		reindex: work,
		restoreOne: func(ctx context.Context, _, _ string, progress func(Progress)) (Outcome, error) {
			return work(ctx, progress)
		},
		export: func(ctx context.Context, _, _, _ string, progress func(Progress)) (Outcome, error) {
			return work(ctx, progress)
		},
		status: Status{State: StateIdle},
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	for _, k := range []struct {
		operation, called, state string
		call                     []any
		others                   [][]any
	}{
		{OperationRestoreEntry, "restore of an entry", stateRestoring, []any{"RestoreEntry", "", uid}, [][]any{
			{"RestoreEntry", "", other}, {"RestoreEntry", snapshotID1, uid}, {"ExportEntry", "", uid, "/x"}, {"Reindex"}, {"Backup"}, {"Restore", ""}}},
		{OperationExport, "export", StateIdle, []any{"ExportEntry", "", uid, "/x"}, [][]any{
			{"ExportEntry", "", uid, "/y"}, {"ExportEntry", "", other, "/x"}, {"RestoreEntry", "", uid}, {"Backup"}}},
		{OperationReindex, "rebuilding of the index", StateIdle, []any{"Reindex"}, [][]any{
			{"Restore", ""}, {"RestoreEntry", "", uid}}},
	} {
		signals := c.signals()
		method := k.call[0].(string)
		job := c.job(method, k.call[1:]...)
		bustest.Await(t, "progress", func() bool { return c.get(job, JobInterface, "Phase") == "fetching" })
		if operation := c.get(job, JobInterface, "Operation"); operation != k.operation {
			t.Errorf("%s is called %v", method, operation)
		}
		if state := c.get(Path, Interface, "State"); state != k.state {
			t.Errorf("State is %v while a %s runs", state, k.operation)
		}
		if again := c.job(method, k.call[1:]...); again != job {
			t.Errorf("%v twice: %s and %s", k.call, job, again)
		}
		for _, other := range k.others {
			var second godbus.ObjectPath
			err := c.call(other[0].(string), other[1:], &second)
			if errorName(err) != ErrorPrefix+Busy || !strings.Contains(err.Error(), k.called+" is running") {
				t.Errorf("%v while a %s runs: %v", other, k.operation, err)
			}
		}
		c.must("Cancel", []any{job})
		if r := c.wait(job); r != (result3{ResultCancelled, ErrorPrefix + Cancelled, "The " + k.called + " was cancelled."}) {
			t.Errorf("%v", r)
		}
		if removed := next(t, signals, Interface+".JobRemoved").Body; removed[1] != k.operation {
			t.Errorf("JobRemoved%v", removed)
		}
	}
}

// TestEntryAndWaitingBackup: a backup that waits for the school server gives way
// to one entry as it does to a restore.
func TestEntryAndWaitingBackup(t *testing.T) {
	b := bustest.Start(t)
	e := shelf()
	waiting := make(chan struct{})
	e.backup = func(ctx context.Context, _ string, progress func(Progress)) (Outcome, error) {
		progress(Progress{Phase: PhaseWaiting})
		close(waiting)
		<-ctx.Done()
		return Outcome{}, ctx.Err()
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	c.job("BackupWithOptions", map[string]string{"trigger": TriggerSchedule})
	<-waiting
	if r := c.wait(c.job("RestoreEntry", "", uid)); r.result != ResultDone {
		t.Errorf("%v", r)
	}
}
