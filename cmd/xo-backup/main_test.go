package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// program is the real one.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "xo-backup")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "xo-backup")
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

// engine does what a test wants; the service in front of it is the real one.
type engine struct {
	mu      sync.Mutex
	status  dbus.Status
	err     error // of all that asks the server
	list    []dbus.Snapshot
	trusted string

	work    func(ctx context.Context, progress func(dbus.Progress)) (dbus.Outcome, error)
	restore func(progress func(dbus.Progress)) (dbus.Outcome, error) // nil: done

	library
	gate
}

func (e *engine) set(change func(e *engine)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *engine) problem() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *engine) Register(context.Context) error { return e.problem() }

func (e *engine) TrustServer(_ context.Context, fingerprint string) error {
	e.set(func(e *engine) { e.trusted = fingerprint })
	return e.problem()
}

func (e *engine) CheckServer(context.Context) (dbus.Availability, error) {
	return dbus.Availability{}, e.problem()
}

func (e *engine) ListSnapshots(context.Context) ([]dbus.Snapshot, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list, e.err
}

func (e *engine) Saved(context.Context, []string) ([]string, error) { return nil, e.problem() }

func (e *engine) Backup(ctx context.Context, _ string, progress func(dbus.Progress)) (dbus.Outcome, error) {
	e.mu.Lock()
	work := e.work
	e.mu.Unlock()
	return work(ctx, progress)
}

func (e *engine) HeldBack(context.Context) (string, time.Duration) { return "", 0 }

func (e *engine) Restore(ctx context.Context, r dbus.RestoreRequest, progress func(dbus.Progress)) (dbus.Outcome, error) {
	e.mu.Lock()
	restore := e.restore
	e.mu.Unlock()
	if restore != nil {
		return restore(progress)
	}
	return dbus.Outcome{Message: fmt.Sprintf("Restored %q, replace %v, deleted %v.", r.Snapshot, r.Replace, r.Deleted)}, nil
}

func (e *engine) PendingRestore() (dbus.RestoreRequest, bool) { return dbus.RestoreRequest{}, false }
func (e *engine) IsPending(dbus.RestoreRequest) bool          { return false }
func (e *engine) Recover(context.Context) error               { return nil }
func (e *engine) AbandonRestore(context.Context) error        { return nil }
func (e *engine) ResumeRestore(context.Context, bool, func(dbus.Progress)) (dbus.Outcome, error) {
	return dbus.Outcome{}, nil
}

func (e *engine) Status() dbus.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

type problem struct{ name, message string }

func (p problem) Error() string                 { return p.message }
func (p problem) BackupError() (string, string) { return p.name, p.message }

// bed is a bus with the service on it.
func bed(t *testing.T) (*bustest.Bus, *engine) {
	b, e := bustest.Start(t), &engine{}
	serve(t, b, e)
	return b, e
}

// serve starts a service, which ends with the test if it is not stopped before.
func serve(t *testing.T, b *bustest.Bus, e *engine) (stop func()) {
	t.Helper()
	s := dbus.New(dbus.Config{Version: "1.2.3", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	conn, err := s.Connect(b.Address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx, conn, e) }()
	stop = sync.OnceFunc(func() {
		end()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	asker := b.Connect(t)
	bustest.Await(t, "the service", func() bool { return b.Owner(asker, dbus.BusName) != "" })
	return stop
}

// terminal answers what the program says on one where somebody types the input.
func terminal(t *testing.T, b *bustest.Bus, input string, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bustest.Patience)
	defer cancel()
	cmd := b.Command(ctx, "script", "-qefc", program+" "+strings.Join(args, " "), "/dev/null")
	cmd.Stdin = strings.NewReader(input)
	said, _ := cmd.Output()
	return strings.ReplaceAll(string(said), "\r\n", "\n"), cmd.ProcessState.ExitCode()
}

// run answers what the program says and how it ends.
func run(t *testing.T, b *bustest.Bus, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bustest.Patience)
	defer cancel()
	cmd := b.Command(ctx, program, args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	cmd.Run()
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func TestUsage(t *testing.T) {
	b := bustest.Start(t) // nobody on it
	for _, c := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"", 0, "xo-backup keeps your Journal safe", ""},
		{"--help", 0, "Exit status: 0 done", ""},
		{"help restore", 0, "With --replace the whole Journal", ""},
		{"now --help", 0, "Ctrl-C leaves it to go on", ""},
		{"--version", 0, "xo-backup 1.2.3", ""},
		{"backup", 2, "", `unknown command "backup"`},
		{"--nonsense", 2, "", "unknown flag: --nonsense"},
		{"now later", 2, "", "xo-backup: "},
		{"restore --snapshot", 2, "", "--snapshot"},
		{"restore 2026", 2, "", "a snapshot is given as --snapshot 2026"},
		{"restore --replace --entry x", 2, "", "give one of them"},
		{"find boat --since tomorrow", 2, "", "--since takes a day like 2026-11-23"},
		{"find boat --limit -1", 2, "", "--limit is a number of entries"},
		{"find boat --limit many", 2, "", "--limit"},
		{"help find", 0, "The beginning of a word is enough", ""},
		{"export", 2, "", "export needs the UID of an entry"},
		{"export x", 2, "", "and the name of a file"},
		{"export x a b.xoj", 2, "", `"b.xoj" is too much`},
		{"export --help", 0, "Take one entry along as a file", ""},
		{"recover 1234 5678 --account SHC1", 2, "", "a CODE says itself which account it is for"},
		{"recover --later --not-me", 2, "", "--later and --not-me are two answers"},
		{"recover --afresh 12345678", 2, "", "--afresh says that no Journal is to come back"},
		{"recover --not-me --account SHC1", 2, "", "--not-me says that no Journal is to come back"},
		{"recover --help", 0, "Type it as it is written", ""},
		{"status", 1, "", "The backup service xo-backupd is not installed"},
		{"now --json", 1, `"error_name":"org.freedesktop.DBus.Error.ServiceUnknown"`, ""},
	} {
		stdout, stderr, code := run(t, b, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit status %d\n%s%s", c.args, code, stdout, stderr)
		}
	}
	cmd := exec.Command(program, "status")
	cmd.Env = []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent"}
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "no session bus") {
		t.Errorf("without a bus: %s", out)
	}
}

func TestRestore(t *testing.T) {
	b, _ := bed(t)
	for args, want := range map[string]string{
		"restore": `Restored "", replace false, deleted true.`,
		"restore --snapshot 2026-11-23T21-30-05Z":           `Restored "2026-11-23T21-30-05Z", replace false, deleted true.`,
		"restore --snapshot 2026-11-23T21-30-05Z --replace": `Restored "2026-11-23T21-30-05Z", replace true, deleted true.`,
	} {
		if stdout, stderr, code := run(t, b, strings.Fields(args)...); code != 0 || strings.TrimSpace(stdout) != want {
			t.Errorf("%s: exit status %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if _, stderr, code := run(t, b, "restore", "--snapshot", "../x"); code != 1 || !strings.Contains(stderr, `"../x" is not the name of a snapshot`) {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
}
