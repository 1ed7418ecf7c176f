package dbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// TestJob follows one from its beginning to what is left of it.
func TestJob(t *testing.T) {
	b := bustest.Start(t)
	step := make(chan struct{})
	e := &fake{status: Status{State: StateIdle}}
	e.backup = func(_ context.Context, _ string, progress func(Progress)) (Outcome, error) {
		progress(Progress{Phase: "sending", Bytes: 100 * entryWeight, BytesDone: 50 * entryWeight})
		<-step
		progress(Progress{Phase: "sending", Bytes: 100 * entryWeight, BytesDone: 100 * entryWeight, Entries: 7, EntriesSkipped: 2})
		e.setStatus(func(s *Status) { s.LastBackup = 42; s.Entries = 7 })
		return Outcome{Partial: true, Message: "Two are missing."}, nil
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	signals := c.signals()
	job := c.job("Backup")
	if added := next(t, signals, Interface+".JobAdded"); added.Body[0] != job {
		t.Errorf("JobAdded(%v), not %s", added.Body, job)
	}
	if state := c.get(Path, Interface, "State"); state != stateBackingUp {
		t.Errorf("State is %v", state)
	}
	bustest.Await(t, "progress", func() bool { return c.get(job, JobInterface, "Progress") == 0.5 })
	for name, want := range map[string]any{
		"Operation": OperationBackup, "Phase": "sending", "ProgressValid": true, "Bytes": uint64(100 * entryWeight),
		"Cancelable": true, "Result": "",
	} {
		if got := c.get(job, JobInterface, name); got != want {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
	close(step)
	completed := next(t, signals, JobInterface+".Completed")
	if completed.Body[0] != true || completed.Body[1] != "Two are missing." || completed.Path != job {
		t.Errorf("%s: Completed%v", completed.Path, completed.Body)
	}
	removed := next(t, signals, Interface+".JobRemoved")
	if got, want := fmt.Sprint(removed.Body), fmt.Sprintf("[%s backup partial  Two are missing.]", job); got != want {
		t.Errorf("JobRemoved%s, not %s", got, want)
	}
	changed := next(t, signals, "org.freedesktop.DBus.Properties.PropertiesChanged").Body[1].(map[string]godbus.Variant)
	if len(changed) != 4 || changed["State"].Value() != StateIdle || changed["LastBackup"].Value() != int64(42) ||
		changed["Entries"].Value() != uint32(7) || len(changed["Jobs"].Value().([]godbus.ObjectPath)) != 0 {
		t.Errorf("changed: %v", changed)
	}
	if r := c.wait(job); r != (result3{ResultPartial, "", "Two are missing."}) {
		t.Errorf("Wait answers %v", r)
	}
	// Who was told of the job can still ask it.
	for name, want := range map[string]any{
		"Result": ResultPartial, "Progress": 1.0, "EntriesSkipped": uint32(2), "Cancelable": false, "Operation": OperationBackup,
	} {
		if got := c.get(job, JobInterface, name); got != want {
			t.Errorf("afterwards, %s is %v, not %v", name, got, want)
		}
	}
	if jobs := c.get(Path, Interface, "Jobs"); len(jobs.([]godbus.ObjectPath)) != 0 {
		t.Errorf("Jobs is %v", jobs)
	}
}

// TestOneAtATime: the same again is the same job, something else is Busy, and
// whoever knows that it is over may begin the next.
func TestOneAtATime(t *testing.T) {
	b := bustest.Start(t)
	hold := make(chan struct{})
	e := &fake{
		backup: func(context.Context, string, func(Progress)) (Outcome, error) { <-hold; return Outcome{}, nil },
		restore: func(context.Context, RestoreRequest, func(Progress)) (Outcome, error) {
			<-hold
			return Outcome{}, nil
		},
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	busy := func(method string, args ...any) {
		t.Helper()
		var job godbus.ObjectPath
		if err := c.call(method, args, &job); errorName(err) != ErrorPrefix+Busy {
			t.Errorf("%s%v: %v", method, args, err)
		}
	}
	job := c.job("Backup")
	if again := c.job("BackupWithOptions", map[string]string{"trigger": "network"}); again != job {
		t.Errorf("two backups: %s and %s", job, again)
	}
	busy("Restore", "")
	hold <- struct{}{}
	if r := c.wait(job); r.result != ResultDone {
		t.Errorf("%v", r)
	}
	job = c.job("Restore", "2026-11-23T21-30-05Z")
	if again := c.job("RestoreWithOptions", "2026-11-23T21-30-05Z", map[string]string{"deleted": "true"}); again != job {
		t.Errorf("two restores: %s and %s", job, again)
	}
	busy("Restore", "")
	busy("RestoreWithOptions", "2026-11-23T21-30-05Z", map[string]string{"mode": "replace"})
	busy("Backup")
	hold <- struct{}{}
	c.wait(job)
	for range 50 {
		go func() { hold <- struct{}{} }()
		c.wait(c.job("Backup"))
		go func() { hold <- struct{}{} }()
		c.wait(c.job("Restore", ""))
	}
}

// TestCancel: the engine learns who ended its job.
func TestCancel(t *testing.T) {
	b := bustest.Start(t)
	causes := make(chan error, 1)
	e := &fake{backup: func(ctx context.Context, _ string, _ func(Progress)) (Outcome, error) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return Outcome{}, fmt.Errorf("sending: %w", ctx.Err())
	}}
	state := t.TempDir()
	s := serve(t, b, e, Config{StateDir: state})
	c := newClient(t, b)
	job := c.job("Backup")
	if err := c.Object(BusName, job).Call(JobInterface+".Cancel", 0).Err; err != nil {
		t.Error(err)
	}
	if r := c.wait(job); r != (result3{ResultCancelled, ErrorPrefix + Cancelled, "The backup was cancelled."}) {
		t.Errorf("%v", r)
	}
	if cause := <-causes; !errors.Is(cause, ErrCancelled) {
		t.Errorf("the cause is %v", cause)
	}

	// The end of the service: whoever waits learns of it before it is gone.
	job = c.job("Backup")
	answer := make(chan result3)
	go func() { answer <- c.wait(job) }()
	bustest.Await(t, "a call of Wait", func() bool { s.activity.mu.Lock(); defer s.activity.mu.Unlock(); return s.activity.running == 2 })
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if cause := <-causes; !errors.Is(cause, ErrEnding) {
		t.Errorf("the cause is %v", cause)
	}
	if r := <-answer; r.result != ResultCancelled || !strings.Contains(r.message, "cut off") {
		t.Errorf("%v", r)
	}
	// And so does who asks the next one.
	serve(t, b, e, Config{StateDir: state})
	if r := c.wait(job); r.result != ResultCancelled || !strings.Contains(r.message, "cut off") {
		t.Errorf("%v", r)
	}
}

// TestPanic: a mistake in a call or a job is that call's or job's failure.
func TestPanic(t *testing.T) {
	b := bustest.Start(t)
	e := &fake{
		register: func(context.Context) error { panic("oops") },
		check: func(context.Context) (Availability, error) {
			none := []int{}
			return Availability{Protocols: none[:len(none)+1]}, nil
		},
		backup: func(context.Context, string, func(Progress)) (Outcome, error) { panic(errors.New("ouch")) },
	}
	s := serve(t, b, e, Config{})
	c := newClient(t, b)
	for range 5 { // more often than calls may ask at the same time
		for _, method := range []string{"Register", "CheckServer"} {
			if err := c.call(method, nil); errorName(err) != ErrorPrefix+Failed {
				t.Errorf("%s: %v", method, err)
			}
		}
	}
	if r := c.wait(c.job("Backup")); r.result != ResultFailed || r.name != ErrorPrefix+Failed || !strings.Contains(r.message, "ouch") {
		t.Errorf("%v", r)
	}
	if job := c.job("Restore", ""); c.wait(job).result != ResultDone {
		t.Error("nothing works after a panic")
	}
	if !strings.Contains(s.log.String(), "jobs_test.go") {
		t.Errorf("the log does not tell where:\n%s", s.log)
	}
}

// TestClientGone: a job belongs to nobody.
func TestClientGone(t *testing.T) {
	b := bustest.Start(t)
	hold := make(chan struct{})
	e := &fake{backup: func(ctx context.Context, _ string, _ func(Progress)) (Outcome, error) {
		<-hold
		return Outcome{}, ctx.Err()
	}}
	serve(t, b, e, Config{})
	starter, err := godbus.Connect(b.Address)
	if err != nil {
		t.Fatal(err)
	}
	var job godbus.ObjectPath
	if err := starter.Object(BusName, Path).Call(Interface+".Backup", 0).Store(&job); err != nil {
		t.Fatal(err)
	}
	starter.Object(BusName, Path).Go(Interface+".Wait", 0, make(chan *godbus.Call, 1), job)
	starter.Close()
	c := newClient(t, b)
	hold <- struct{}{}
	if r := c.wait(job); r.result != ResultDone {
		t.Errorf("%v", r)
	}
}

// TestFiftyClients: at once, while one call takes its time.
func TestFiftyClients(t *testing.T) {
	b := bustest.Start(t)
	hold := make(chan struct{})
	e := &fake{
		register: func(ctx context.Context) error {
			select {
			case <-hold:
			case <-ctx.Done():
			}
			return ctx.Err()
		},
		backup: func(_ context.Context, _ string, progress func(Progress)) (Outcome, error) {
			for i := range 1000 {
				progress(Progress{Entries: 1000, EntriesDone: i})
			}
			return Outcome{}, nil
		},
	}
	serve(t, b, e, Config{})
	slow := make(chan error, 1)
	registrar := newClient(t, b)
	go func() { slow <- registrar.call("Register", nil) }()
	var clients sync.WaitGroup
	for range 50 {
		c := newClient(t, b)
		clients.Go(func() {
			for range 5 {
				var all map[string]godbus.Variant
				if err := c.Object(BusName, Path).Call("org.freedesktop.DBus.Properties.GetAll", 0, Interface).Store(&all); err != nil || len(all) != 10 {
					t.Errorf("GetAll: %v %v", all, err)
				}
				if err := c.call("CheckServer", nil, &all); err != nil {
					t.Error(err)
				}
				var text string
				if err := c.Object(BusName, "/").Call("org.freedesktop.DBus.Introspectable.Introspect", 0).Store(&text); err != nil {
					t.Error(err)
				}
				if err := c.call("OpenWeb", nil); errorName(err) != notSupported {
					t.Error(err)
				}
				var job godbus.ObjectPath
				if err := c.call("Backup", nil, &job); err != nil {
					t.Error(err)
					continue
				}
				var r result3
				if err := c.call("Wait", []any{job}, &r.result, &r.name, &r.message); err != nil && errorName(err) != ErrorPrefix+InvalidArgument || err == nil && r.result != ResultDone {
					t.Errorf("%s: %v %v", job, r, err) // InvalidArgument: twenty newer ones since
				}
			}
		})
	}
	clients.Wait()
	close(hold)
	if err := <-slow; err != nil {
		t.Error(err)
	}
}

// TestPatienceOfCalls: no call to the school server outlasts dbus-send's patience.
func TestPatienceOfCalls(t *testing.T) {
	if askTime >= 25*time.Second {
		t.Errorf("a call may take %v", askTime)
	}
	b := bustest.Start(t)
	deadlines := make(chan time.Duration, 1)
	e := &fake{check: func(ctx context.Context) (Availability, error) {
		end, _ := ctx.Deadline()
		deadlines <- time.Until(end)
		return Availability{}, context.DeadlineExceeded
	}}
	serve(t, b, e, Config{})
	if err := newClient(t, b).call("CheckServer", nil); errorName(err) != ErrorPrefix+ServerUnavailable {
		t.Error(err)
	}
	if left := <-deadlines; left <= 0 || left > askTime {
		t.Errorf("%v are left", left)
	}
}
