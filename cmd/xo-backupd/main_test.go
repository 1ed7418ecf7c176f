package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// program is the real one, as it is installed.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "xo-backupd")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "xo-backupd")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=1.2.3", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// home is an environment of its own.
func home(t *testing.T, more ...string) []string {
	dir := t.TempDir()
	return append([]string{
		"HOME=" + dir, "SUGAR_HOME=", "SUGAR_PROFILE=", "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XDG_CACHE_HOME=",
		"GSETTINGS_BACKEND=memory", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", "XO_BACKUPD_SERVER=http://127.0.0.1:1", // where nobody listens
	}, more...)
}

type daemon struct {
	*exec.Cmd
	stderr bytes.Buffer
}

func start(t *testing.T, b *bustest.Bus, args ...string) *daemon {
	t.Helper()
	d := &daemon{Cmd: b.Command(context.Background(), program, args...)}
	d.Stderr = &d.stderr
	d.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Process.Kill(); d.Wait() })
	conn := b.Connect(t)
	bustest.Await(t, "the daemon", func() bool { return b.Owner(conn, dbus.BusName) != "" })
	return d
}

func (d *daemon) exit(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(bustest.Patience, func() { d.Process.Kill() })
	defer timer.Stop()
	d.Wait()
	return d.ProcessState.ExitCode()
}

func TestVersionAndHelp(t *testing.T) {
	for args, want := range map[string]string{"--version": "xo-backupd 1.2.3\n", "--help": "--config FILE", "-h": "idle_exit"} {
		out, err := exec.Command(program, args).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	for _, c := range []struct {
		args []string
		code int
	}{{[]string{"--nonsense"}, 2}, {[]string{"x"}, 2}, {[]string{"--config", "/nonexistent"}, 1}, {[]string{"--server", "x"}, 1}} {
		var stderr bytes.Buffer
		cmd := exec.Command(program, c.args...)
		cmd.Stderr = &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.HasPrefix(stderr.String(), "xo-backupd: ") {
			t.Errorf("%v: exit status %d, %q", c.args, code, &stderr)
		}
	}
	// Without a bus it does not start one.
	cmd := exec.Command(program)
	cmd.Env = append(home(t), "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/bus")
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "session bus") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSecondDaemon(t *testing.T) {
	b := bustest.Start(t, home(t)...)
	first := start(t, b)
	began := time.Now()
	out, err := b.Run(t, program)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, "another xo-backupd has the name org.laptop.Backup on this bus") {
		t.Errorf("%v\n%s", err, out)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if out, err := b.Send(t, dbus.BusName, string(dbus.Path), dbus.Interface+".Backup"); err != nil {
		t.Errorf("the first one is gone: %v\n%s", err, out)
	}
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := first.exit(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM\n%s", code, &first.stderr)
	}
}

func TestBusGone(t *testing.T) {
	b := bustest.Start(t, home(t)...)
	d := start(t, b)
	b.Kill()
	if code := d.exit(t); code != 0 {
		t.Errorf("exit status %d\n%s", code, &d.stderr)
	}
}

// TestWrongServerConfigured: the daemon that the bus starts says on standard
// error what is wrong, and the caller hears that it did not start.
func TestWrongConfigured(t *testing.T) {
	b := bustest.Start(t, home(t, "XO_BACKUPD_SERVER=nonsense")...)
	b.Activate(t, dbus.BusName, program)
	out, err := b.Send(t, dbus.BusName, string(dbus.Path), dbus.Interface+".Backup")
	if err == nil || !strings.Contains(out, "org.freedesktop.DBus.Error.Spawn.ChildExited") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNobodyIsLost: clients call a daemon that leaves whenever it can; the bus
// starts it again and again, and each call is answered. No number of a job comes
// twice in all these lives.
func TestNobodyIsLost(t *testing.T) {
	b := bustest.Start(t, home(t, "XO_BACKUPD_IDLE_EXIT=3ms")...)
	b.Activate(t, dbus.BusName, program)
	var (
		mu    sync.Mutex
		lives = map[string]int{}
		added = map[godbus.ObjectPath]int{}
	)
	watcher := b.Connect(t)
	signals := make(chan *godbus.Signal, 10000)
	watcher.Signal(signals)
	if err := watcher.AddMatchSignal(godbus.WithMatchInterface(dbus.Interface), godbus.WithMatchMember("JobAdded")); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(6 * time.Second)
	var clients sync.WaitGroup
	for i := range 3 {
		conn := b.Connect(t)
		r := rand.New(rand.NewPCG(1, uint64(i)))
		clients.Go(func() {
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(context.Background(), bustest.Patience)
				call := func(path godbus.ObjectPath, method string, args ...any) *godbus.Call {
					return conn.Object(dbus.BusName, path).CallWithContext(ctx, method, 0, args...)
				}
				var err error
				if r.IntN(4) == 0 {
					var job godbus.ObjectPath
					if err = call(dbus.Path, dbus.Interface+".Backup").Store(&job); err == nil {
						err = call(dbus.Path, dbus.Interface+".Wait", job).Err
					}
				} else {
					err = call(dbus.Path, "org.freedesktop.DBus.Properties.Get", dbus.Interface, "State").Err
				}
				cancel()
				if err != nil {
					t.Errorf("a call was lost: %v", err)
				}
				if owner := b.Owner(conn, dbus.BusName); owner != "" {
					mu.Lock()
					lives[owner]++
					mu.Unlock()
				}
				// About as long as the daemon waits before it leaves.
				time.Sleep(time.Duration(r.IntN(8000)) * time.Microsecond)
			}
		})
	}
	clients.Wait()
	for len(signals) > 0 {
		s := <-signals
		if job, ok := s.Body[0].(godbus.ObjectPath); ok { // else one of the bus itself
			added[job]++
		}
	}
	for job, n := range added {
		if n > 1 {
			t.Errorf("%s was given %d times", job, n)
		}
	}
	if len(lives) < 5 || len(added) < 10 {
		t.Errorf("%d lives and %d jobs prove nothing", len(lives), len(added))
	}
	t.Logf("%d lives, %d jobs", len(lives), len(added))
	bustest.Await(t, "the last one to leave", func() bool { return b.Owner(watcher, dbus.BusName) == "" })
}

// TestIdleMemory: the figure that an XO-1 can spare.
func TestIdleMemory(t *testing.T) {
	b := bustest.Start(t, home(t)...)
	d := start(t, b)
	for range 20 {
		for _, method := range []string{"Backup", "CheckServer", "ListSnapshots", "Register"} {
			b.Send(t, dbus.BusName, string(dbus.Path), dbus.Interface+"."+method) // all fail
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if kB, err := strconv.Atoi(string(found[1])); err != nil || kB > 16<<10 {
		t.Errorf("idle, it takes %s kB", found[1])
	}
	t.Logf("VmRSS %s kB", found[1])
}

// TestActivation: the first call is answered while the datastore would still
// load its Python.
func TestActivation(t *testing.T) {
	b := bustest.Start(t, home(t, "XO_BACKUPD_IDLE_EXIT=1ms")...)
	b.Activate(t, dbus.BusName, program)
	conn := b.Connect(t)
	best := time.Hour
	for range 10 {
		bustest.Await(t, "the daemon to leave", func() bool { return b.Owner(conn, dbus.BusName) == "" })
		began := time.Now()
		if err := conn.Object(dbus.BusName, dbus.Path).Call("org.freedesktop.DBus.Properties.Get", 0, dbus.Interface, "State").Err; err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	t.Logf("answered after %v", best)
	if best > 500*time.Millisecond {
		t.Errorf("answered after %v at best", best)
	}
}
