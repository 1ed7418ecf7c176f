package dbus

import (
	"context"
	"errors"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

const (
	monday  = "2026-11-23T21-30-05Z"
	tuesday = "2026-11-24T21-30-05Z"
)

// TestPendingRestore: what was cut off goes on, as a job that a call for the same
// finds, by the words it was asked in or by what they came to.
func TestPendingRestore(t *testing.T) {
	for name, c := range map[string]struct {
		asked, resolved string
		same, other     []string
	}{
		"the latest":  {"", tuesday, []string{"", tuesday}, []string{monday}},
		"unknown yet": {"", "", []string{""}, []string{tuesday}},
		"that one":    {monday, monday, []string{monday}, []string{"", tuesday}},
	} {
		t.Run(name, func(t *testing.T) {
			b := bustest.Start(t)
			hold := make(chan struct{})
			e := &fake{pending: &RestoreRequest{Snapshot: c.asked, Deleted: true}, resolved: c.resolved}
			e.resume = func(_ context.Context, atOnce bool, _ func(Progress)) (Outcome, error) {
				<-hold
				e.setPending(nil)
				if !atOnce {
					t.Error("it begins with a pause")
				}
				return Outcome{Message: "All is back."}, nil
			}
			serve(t, b, e, Config{})
			client := newClient(t, b)
			running := client.get(Path, Interface, "Jobs").([]godbus.ObjectPath)
			if len(running) != 1 || client.get(Path, Interface, "State") != stateRestoring {
				t.Fatalf("jobs are %v", running)
			}
			for _, snapshot := range c.same {
				if job := client.job("Restore", snapshot); job != running[0] {
					t.Errorf("Restore(%q) is another job", snapshot)
				}
			}
			var job godbus.ObjectPath
			for _, snapshot := range c.other {
				if err := client.call("Restore", []any{snapshot}, &job); errorName(err) != ErrorPrefix+Busy {
					t.Errorf("Restore(%q): %s, %v", snapshot, job, err)
				}
			}
			if err := client.call("Backup", nil); errorName(err) != ErrorPrefix+Busy {
				t.Error(err)
			}
			close(hold)
			if r := client.wait(running[0]); r.result != ResultDone || r.message != "All is back." {
				t.Errorf("%v", r)
			}
			if job := client.job("Backup"); client.wait(job).result != ResultDone {
				t.Error("no backup after it")
			}
		})
	}
}

// TestSameRestoreRuns: while the latest is being restored, its name asks for the
// same.
func TestSameRestoreRuns(t *testing.T) {
	b := bustest.Start(t)
	hold := make(chan struct{})
	e := &fake{resolved: tuesday}
	e.restore = func(_ context.Context, r RestoreRequest, _ func(Progress)) (Outcome, error) {
		e.setPending(&r)
		<-hold
		e.setPending(nil)
		return Outcome{}, nil
	}
	serve(t, b, e, Config{})
	c := newClient(t, b)
	job := c.job("Restore", "")
	bustest.Await(t, "the restore", func() bool { _, ok := e.PendingRestore(); return ok })
	if again := c.job("Restore", tuesday); again != job {
		t.Errorf("%s and %s", job, again)
	}
	close(hold)
	c.wait(job)
}

// stuck is an engine whose restore fails until it is mended; it waits between two
// tries.
func stuck(status Status) (e *fake, mend func()) {
	e = &fake{status: status}
	mended := make(chan struct{})
	try := func() (Outcome, error) {
		select {
		case <-mended:
			e.setPending(nil)
			return Outcome{}, nil
		default:
			return Outcome{}, word{ServerUnavailable, "It is away."}
		}
	}
	e.restore = func(_ context.Context, r RestoreRequest, _ func(Progress)) (Outcome, error) {
		e.setPending(&r)
		return try()
	}
	e.resume = func(ctx context.Context, atOnce bool, progress func(Progress)) (Outcome, error) {
		if atOnce {
			if outcome, err := try(); err == nil {
				return outcome, nil
			}
		}
		progress(Progress{Phase: PhaseWaiting})
		<-ctx.Done()
		return Outcome{}, ctx.Err()
	}
	return e, func() { close(mended) }
}

// waiting answers the job that waits, of which there must be one soon.
func (c client) waiting() godbus.ObjectPath {
	c.t.Helper()
	var jobs []godbus.ObjectPath
	bustest.Await(c.t, "a job that waits", func() bool {
		jobs = c.get(Path, Interface, "Jobs").([]godbus.ObjectPath)
		return len(jobs) == 1 && c.get(jobs[0], JobInterface, "Phase") == PhaseWaiting
	})
	return jobs[0]
}

// TestRestoreWaits: a restore that is cut off tells whoever asked, and goes on in
// a job that waits; whoever asks again has an answer at once.
func TestRestoreWaits(t *testing.T) {
	b := bustest.Start(t)
	e, mend := stuck(Status{State: StateIdle})
	e.setPending(&RestoreRequest{Deleted: true})
	serve(t, b, e, Config{IdleExit: 1}) // while one is pending it does not leave
	c := newClient(t, b)
	seen := map[godbus.ObjectPath]bool{}
	job := c.waiting()
	c.job("Restore", "")
	for range 3 {
		if r := c.wait(job); r.name != ErrorPrefix+ServerUnavailable || r.message != "It is away." || seen[job] {
			t.Fatalf("%s: %v", job, r)
		}
		seen[job] = true
		waits := c.waiting()
		if state := c.get(Path, Interface, "State"); state != stateRestoring {
			t.Errorf("State is %v", state)
		}
		var other godbus.ObjectPath
		if err := c.call("Backup", nil, &other); errorName(err) != ErrorPrefix+Busy || !strings.Contains(err.Error(), "waits") {
			t.Errorf("%v", err)
		}
		if job = c.job("Restore", ""); job != waits {
			t.Errorf("%s beside %s", job, waits)
		}
	}
	c.wait(job)
	c.waiting()
	mend()
	if r := c.wait(c.job("Restore", "")); r.result != ResultDone {
		t.Errorf("%v", r)
	}
}

// TestRegisteringMendsARestore: what it waited for is there.
func TestRegisteringMendsARestore(t *testing.T) {
	for _, method := range []string{"Register", "TrustServer"} {
		b := bustest.Start(t)
		e, mend := stuck(Status{State: StateUnregistered})
		e.setPending(&RestoreRequest{})
		serve(t, b, e, Config{})
		c := newClient(t, b)
		job := c.waiting()
		if state := c.get(Path, Interface, "State"); state != StateUnregistered {
			t.Errorf("State is %v: nobody sees what is missing", state)
		}
		mend()
		args := []any{}
		if method == "TrustServer" {
			args = append(args, "SHA256:x")
		}
		c.must(method, args)
		if r := c.wait(job); r.result != ResultDone {
			t.Errorf("%s: %v", method, r)
		}
	}
}

// TestGiveUp: a restore that waits can be cancelled, and is forgotten then; one
// that the service's end cuts off is not.
func TestGiveUp(t *testing.T) {
	b := bustest.Start(t)
	e, _ := stuck(Status{State: StateIdle})
	e.setPending(&RestoreRequest{Snapshot: monday})
	serve(t, b, e, Config{}).end()
	if _, pending := e.PendingRestore(); !pending {
		t.Fatal("the end of the service has given it up")
	}
	e.abandon = func() error { return errors.New("the disk is gone") }
	s := serve(t, b, e, Config{})
	c := newClient(t, b)
	job := c.waiting()
	c.must("Cancel", []any{job})
	if r := c.wait(job); r.result != ResultFailed || !strings.Contains(r.message, "the disk is gone") {
		t.Errorf("what could not be given up: %v", r)
	}
	s.end()
	e.abandon = nil
	e.setPending(&RestoreRequest{Snapshot: monday})
	serve(t, b, e, Config{})
	job = c.waiting()
	c.must("Cancel", []any{job})
	if r := c.wait(job); r.result != ResultCancelled {
		t.Errorf("%v", r)
	}
	if _, pending := e.PendingRestore(); pending {
		t.Error("it is still pending")
	}
	if r := c.wait(c.job("Backup")); r.result != ResultDone {
		t.Errorf("a backup after it: %v", r)
	}
}

// TestRecover: it comes when the name is ours, and before anybody is let in; a
// second service does not get so far.
func TestRecover(t *testing.T) {
	b := bustest.Start(t)
	c := newClient(t, b)
	entered, leave := make(chan struct{}), make(chan struct{})
	e := &fake{recovers: func(context.Context) error {
		if b.Owner(c.Conn, BusName) == "" {
			t.Error("the name is not ours")
		}
		close(entered)
		<-leave
		return errors.New("no luck")
	}}
	s := serve(t, b, e, Config{})
	<-entered
	for _, dir := range []string{s.cfg.StateDir, t.TempDir()} {
		second := New(Config{StateDir: dir, Log: s.cfg.Log})
		never := &fake{recovers: func(context.Context) error { t.Error("a second service recovers"); return nil }}
		if err := second.Run(t.Context(), b.Connect(t, second.ConnOptions()...), never); !errors.Is(err, ErrAlreadyRunning) {
			t.Error(err)
		}
	}
	before := s.activity.calls()
	answered := c.Object(BusName, Path).Go(Interface+".CheckServer", 0, nil)
	bustest.Await(t, "the call", func() bool { return s.activity.calls() != before })
	if len(answered.Done) > 0 {
		t.Error("answered before it had recovered")
	}
	close(leave)
	if err := (<-answered.Done).Err; err != nil {
		t.Error(err)
	}
}
