package dbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// TestSecondService: on the same bus it says so at once; with the same state on
// another bus it is refused too.
func TestSecondService(t *testing.T) {
	b := bustest.Start(t)
	state := t.TempDir()
	first := serve(t, b, &fake{}, Config{StateDir: state})
	for name, dir := range map[string]string{"same state": state, "other state": t.TempDir()} {
		s := New(Config{StateDir: dir, Log: first.cfg.Log})
		if err := s.Run(context.Background(), b.Connect(t, s.ConnOptions()...), &fake{}); !errors.Is(err, ErrAlreadyRunning) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := bustest.Start(t)
	s := New(Config{StateDir: state, Log: first.cfg.Log})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	conn := other.Connect(t, s.ConnOptions()...)
	if err := s.Run(ctx, conn, &fake{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it did not wait for the lock: %v", err)
	}
	if r := newClient(t, b); r.wait(r.job("Backup")).result != ResultDone {
		t.Error("the first one suffered")
	}
}

// TestBusGone: the service ends, and its job is cut off.
func TestBusGone(t *testing.T) {
	b := bustest.Start(t)
	causes := make(chan error, 1)
	e := &fake{restore: func(ctx context.Context, _ RestoreRequest, _ func(Progress)) (Outcome, error) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return Outcome{}, ctx.Err()
	}}
	s := serve(t, b, e, Config{})
	newClient(t, b).job("Restore", "")
	b.Kill()
	if err := s.wait(); err != nil {
		t.Error(err)
	}
	if cause := <-causes; !errors.Is(cause, ErrEnding) {
		t.Errorf("the cause is %v", cause)
	}
}

// TestIdleExit: not while a job runs or somebody waits; then soon.
func TestIdleExit(t *testing.T) {
	b := bustest.Start(t)
	hold := make(chan struct{})
	e := &fake{backup: func(context.Context, string, func(Progress)) (Outcome, error) { <-hold; return Outcome{}, nil }}
	const idle = 50 * time.Millisecond
	s := serve(t, b, e, Config{IdleExit: idle})
	c := newClient(t, b)
	job := c.job("Backup")
	select {
	case <-s.over:
		t.Fatal("it left its job behind")
	case <-time.After(5 * idle):
	}
	began := time.Now()
	close(hold)
	if err := s.wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < idle {
		t.Errorf("it left after %v", took)
	}
	if owner := b.Owner(c.Conn, BusName); owner != "" {
		t.Errorf("the name belongs to %s", owner)
	}
	if _, err := os.Stat(filepath.Join(s.cfg.StateDir, historyFile)); err != nil {
		t.Error(err)
	}
	// The lock is free, and the result there.
	serve(t, b, e, Config{StateDir: s.cfg.StateDir})
	if r := newClient(t, b).wait(job); r.result != ResultDone {
		t.Errorf("%v", r)
	}
}

// TestCalledWhileLeaving: a call that arrives when the service has decided to
// leave is answered, by it.
func TestCalledWhileLeaving(t *testing.T) {
	b := bustest.Start(t)
	s := serve(t, b, &fake{}, Config{IdleExit: time.Hour})
	c := newClient(t, b)
	c.get(Path, Interface, "State") // the gate is open for the first time
	s.activity.drain(context.Background())
	for range 100 {
		before, _ := s.activity.shut(0)
		answered := make(chan error, 1)
		go func() {
			answered <- c.Object(BusName, Path).Call("org.freedesktop.DBus.Properties.Get", godbus.FlagNoAutoStart, Interface, "State").Err
		}()
		bustest.Await(t, "the call", func() bool { return s.activity.calls() != before })
		select {
		case err := <-answered:
			t.Fatalf("answered through a shut gate: %v", err)
		default:
		}
		if s.release(before) {
			t.Fatal("it left")
		}
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		s.activity.drain(context.Background())
	}
}

// TestNumbersNeverRepeat, nor are results lost, across restarts of all kinds.
func TestNumbersNeverRepeat(t *testing.T) {
	b := bustest.Start(t)
	state := t.TempDir()
	file := filepath.Join(state, historyFile)
	e := &fake{backup: func(context.Context, string, func(Progress)) (Outcome, error) {
		return Outcome{}, word{ServerBusy, "Come again."}
	}}
	seen := map[godbus.ObjectPath]string{}
	life := func(name string, jobs int) (all []godbus.ObjectPath) {
		t.Helper()
		s := serve(t, b, e, Config{StateDir: state})
		c := newClient(t, b)
		for range jobs {
			job := c.job("Backup")
			if before, ok := seen[job]; ok {
				t.Errorf("%s: %s was given before, %s", name, job, before)
			}
			seen[job] = name
			all = append(all, job)
			if r := c.wait(job); r != (result3{ResultFailed, ErrorPrefix + ServerBusy, "Come again."}) {
				t.Errorf("%s: %v", name, r)
			}
		}
		s.end()
		return all
	}
	old := life("the first life", 25)
	life("a restart", 0)
	s := serve(t, b, e, Config{StateDir: state})
	c := newClient(t, b)
	for i, job := range old {
		var r result3
		err := c.call("Wait", []any{job}, &r.result, &r.name, &r.message)
		switch kept := i >= len(old)-historySize; {
		case kept && (err != nil || r.name != ErrorPrefix+ServerBusy):
			t.Errorf("the result of %s: %v %v", job, r, err)
		case !kept && errorName(err) != ErrorPrefix+InvalidArgument:
			t.Errorf("the result of %s: %v %v", job, r, err)
		}
	}
	if got := c.get(old[24], JobInterface, "ErrorMessage"); got != "Come again." {
		t.Errorf("ErrorMessage is %v", got)
	}
	s.end()

	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	life("the second life", 3)
	for name, contents := range map[string]string{
		"empty":        "",
		"cut":          string(good[:len(good)/2]),
		"zeros":        strings.Repeat("\x00", 4096),
		"no number":    `{"format":1}`,
		"future":       `{"format":2,"next":100000}`,
		"wrong number": `{"format":1,"next":3,"results":[{"number":9}]}`,
		"wrong type":   `{"format":1,"next":"3"}`,
		"negative":     `{"format":1,"next":-3}`,
		"too many":     `{"format":1,"next":99,"results":[` + strings.Repeat(`{"number":1},`, 30) + `{"number":1}]}`,
	} {
		if err := os.WriteFile(file, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
		life(name, 2)
		life(name+", restarted", 2)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	life("a pipe", 1)
	os.RemoveAll(file)
	if err := os.Symlink("/etc/passwd", file); err != nil {
		t.Fatal(err)
	}
	life("a link", 1)
	if b, err := os.ReadFile("/etc/passwd"); err != nil || !strings.Contains(string(b), "root") {
		t.Error("the link was followed")
	}
	if err := os.WriteFile(file+".new", []byte("what a power cut left"), 0o000); err != nil {
		t.Fatal(err)
	}
	life("a left-over", 1)
}

// TestCrash: a job that the service did not outlive takes its number with it.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	seen := map[uint64]bool{}
	for range 10 {
		h, err := openHistory(dir)
		if err != nil {
			t.Fatal(err)
		}
		for range reserve + 3 { // and never a result
			n, err := h.number()
			if err != nil || seen[n] {
				t.Fatalf("number %d again (%v)", n, err)
			}
			seen[n] = true
		}
	}
}

// TestFullDisk: backups go on, numbers still do not repeat, results are kept as
// soon as there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,nr_inodes=20"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	state := filepath.Join(dir, "state")
	b := bustest.Start(t)
	seen := map[godbus.ObjectPath]bool{}
	life := func(jobs int) (last godbus.ObjectPath) {
		s := serve(t, b, &fake{}, Config{StateDir: state})
		defer s.end()
		c := newClient(t, b)
		for range jobs {
			if last = c.job("Backup"); seen[last] {
				t.Errorf("%s again", last)
			}
			seen[last] = true
			if r := c.wait(last); r.result != ResultDone {
				t.Errorf("%v", r)
			}
		}
		return last
	}
	kept := life(1)
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	life(reserve + 5)
	life(3)
	s := serve(t, b, &fake{}, Config{StateDir: state})
	c := newClient(t, b)
	if r := c.wait(kept); r.result != ResultDone {
		t.Errorf("what was kept is lost: %v", r)
	}
	unkept := c.job("Backup")
	c.wait(unkept)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	c.wait(c.job("Backup"))
	s.end()
	serve(t, b, &fake{}, Config{StateDir: state})
	if r := newClient(t, b).wait(unkept); r.result != ResultDone {
		t.Errorf("room again, and the result is lost: %v", r)
	}
	if left, _ := filepath.Glob(state + "/*"); fmt.Sprint(left) != fmt.Sprint([]string{filepath.Join(state, historyFile)}) {
		t.Errorf("left behind: %v", left)
	}
}

// TestNoState: a state folder that cannot be made stops nothing.
func TestNoState(t *testing.T) {
	b := bustest.Start(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, b, &fake{}, Config{StateDir: filepath.Join(file, "state")})
	c := newClient(t, b)
	if r := c.wait(c.job("Backup")); r.result != ResultDone {
		t.Errorf("%v", r)
	}
}

// TestStatusChanges are told: those of calls, and those that the engine tells of.
func TestStatusChanges(t *testing.T) {
	b := bustest.Start(t)
	e := &fake{status: Status{State: StateUnregistered}}
	e.register = func(context.Context) error {
		e.setStatus(func(s *Status) { s.State, s.Account = StateIdle, "SHF1" })
		return nil
	}
	s := serve(t, b, e, Config{})
	c := newClient(t, b)
	signals := c.signals()
	c.must("Register", nil)
	changed := next(t, signals, "org.freedesktop.DBus.Properties.PropertiesChanged").Body
	if values := changed[1].(map[string]godbus.Variant); changed[0] != Interface || len(values) != 2 || values["State"].Value() != StateIdle || values["Account"].Value() != "SHF1" {
		t.Errorf("%v", changed)
	}
	e.setStatus(func(s *Status) { s.State = StateNewServer })
	s.Changed()
	s.Changed() // once is enough
	e.setStatus(func(s *Status) { s.StateReason = "why" })
	s.Changed()
	for _, want := range []string{"State", "StateReason"} {
		values := next(t, signals, "org.freedesktop.DBus.Properties.PropertiesChanged").Body[1].(map[string]godbus.Variant)
		if _, ok := values[want]; !ok || len(values) != 1 {
			t.Errorf("%v, not %s", values, want)
		}
	}
}

// TestPassOn: what is asked of a name that the engine has for a while is answered
// by whoever has it afterwards.
func TestPassOn(t *testing.T) {
	const (
		name  = "org.laptop.sugar.DataStore"
		iface = "org.laptop.sugar.DataStore"
	)
	b := bustest.Start(t)
	s := serve(t, b, &fake{}, Config{})
	if _, err := s.conn.RequestName(name, 0); err != nil {
		t.Fatal(err)
	}
	caller, owner := b.Connect(t), b.Connect(t)
	before := s.activity.calls()
	find := caller.Object(name, "/org/laptop/sugar/DataStore").Go(iface+".find", 0, nil, map[string]godbus.Variant{"query": godbus.MakeVariant("turtle")}, []string{})
	fail := caller.Object(name, "/org/laptop/sugar/DataStore").Go(iface+".fail", 0, nil)
	// A struct, which godbus cannot pass on.
	inRange := caller.Object(name, "/org/laptop/sugar/DataStore").Go(iface+".find", 0, nil,
		map[string]any{"timestamp": struct{ From, To int32 }{1, 2}, "query": "turtle"}, []string{})
	bustest.Await(t, "the calls", func() bool { return s.activity.calls() == before+3 })
	err := owner.ExportMethodTable(map[string]any{
		"find": func(query map[string]godbus.Variant, properties []string) ([]map[string]godbus.Variant, uint32, *godbus.Error) {
			return []map[string]godbus.Variant{query}, uint32(len(properties)), nil
		},
		"fail": func() *godbus.Error { return godbus.NewError("org.example.Failed", []any{"so it is"}) },
	}, "/org/laptop/sugar/DataStore", iface)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.RequestName(name, 0); err != nil { // queues behind us
		t.Fatal(err)
	}
	if len(find.Done)+len(fail.Done) > 0 {
		t.Fatal("answered while the name was held")
	}
	if _, err := s.conn.ReleaseName(name); err != nil {
		t.Fatal(err)
	}
	var (
		found []map[string]godbus.Variant
		count uint32 = 7
	)
	if err := (<-find.Done).Store(&found, &count); err != nil || len(found) != 1 || found[0]["query"].Value() != "turtle" || count != 0 {
		t.Errorf("%v %d %v", found, count, err)
	}
	if err := (<-inRange.Done).Err; errorName(err) != ErrorPrefix+Busy {
		t.Error(err)
	}
	if !s.conn.Connected() {
		t.Fatal("the bus has ended the connection")
	}
	if err := (<-fail.Done).Err; errorName(err) != "org.example.Failed" || err.Error() != "so it is" {
		t.Error(err)
	}
}
