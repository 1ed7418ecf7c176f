package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
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

	work func(ctx context.Context, progress func(dbus.Progress)) (dbus.Outcome, error)
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

func (e *engine) Restore(ctx context.Context, r dbus.RestoreRequest, progress func(dbus.Progress)) (dbus.Outcome, error) {
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
	s := dbus.New(dbus.Config{Version: "1.2.3", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	conn := b.Connect(t, s.ConnOptions()...)
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx, conn, e) }()
	t.Cleanup(func() {
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	asker := b.Connect(t)
	bustest.Await(t, "the service", func() bool { return b.Owner(asker, dbus.BusName) != "" })
	return b, e
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

// TestOutcomes: what is said of each end of a backup, and the exit status.
func TestOutcomes(t *testing.T) {
	b, e := bed(t)
	const name = "org.laptop.Backup.Error."
	for _, c := range []struct {
		outcome        dbus.Outcome
		err            error
		code           int
		stdout, stderr string // regular expressions
		json           string
	}{
		{dbus.Outcome{Message: "All is safe."}, nil, 0, `(?s)^Sending, .*\nAll is safe.\n$`, `^$`, `"result":"done","error_name":"","message":"All is safe.","progress":1,"entries":7,"entries_skipped":2,"bytes":12000000}`},
		{dbus.Outcome{}, nil, 0, `The backup is done.`, `^$`, `"result":"done"`},
		{dbus.Outcome{Partial: true, Message: "Two are missing."}, nil, 4, `Two are missing.\n$`, `^$`, `"result":"partial"`},
		{dbus.Outcome{}, problem{"ServerBusy", "Busy."}, 3, ``, `^xo-backup: Busy.\n$`, `"error_name":"` + name + `ServerBusy","message":"Busy."`},
		{dbus.Outcome{}, problem{"ServerUnavailable", "Away."}, 3, ``, `Away`, `"result":"failed"`},
		{dbus.Outcome{}, problem{"ServerRefused", "No."}, 1, ``, `No`, `"result":"failed"`},
		{dbus.Outcome{}, problem{"NotRegistered", "Who?"}, 1, ``, `^xo-backup: Who\?\nNext: xo-backup register\n$`, `"result":"failed"`},
		{dbus.Outcome{}, problem{"WrongServer", "Hm."}, 1, ``, `Next: xo-backup register --trust FINGERPRINT`, `"result":"failed"`},
		{dbus.Outcome{}, context.Canceled, 1, ``, `It was cancelled`, `"result":"cancelled"`},
	} {
		e.set(func(e *engine) {
			e.work = func(_ context.Context, progress func(dbus.Progress)) (dbus.Outcome, error) {
				progress(dbus.Progress{Phase: "sending", Bytes: 12e6, BytesDone: 3e6, Entries: 7, EntriesSkipped: 2})
				time.Sleep(30 * time.Millisecond) // for the signal to be read
				return c.outcome, c.err
			}
		})
		stdout, stderr, code := run(t, b, "now")
		if code != c.code || !regexp.MustCompile(c.stdout).MatchString(stdout) || !regexp.MustCompile(c.stderr).MatchString(stderr) {
			if c.err != context.Canceled || !strings.Contains(stderr, "cancelled") {
				t.Errorf("%v %v: exit status %d\n%q\n%q", c.outcome, c.err, code, stdout, stderr)
			}
		}
		stdout, stderr, code = run(t, b, "--json", "now")
		if code != c.code || !strings.Contains(stdout, c.json) || strings.Count(stdout, "\n") != 1 || !json.Valid([]byte(stdout)) || stderr != "" {
			t.Errorf("%v %v: exit status %d\n%q\n%q", c.outcome, c.err, code, stdout, stderr)
		}
	}
}

// TestNothingChanged: a backup that had nothing to send and one that could not
// begin tell a script as much as any other.
func TestNothingChanged(t *testing.T) {
	b, e := bed(t)
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, `{"job":"/org/laptop/Backup/jobs/1","operation":"backup","result":"done","error_name":"","message":"Nothing has changed.","progress":1,"entries":0,"entries_skipped":0,"bytes":0}`},
		{problem{"NotRegistered", "Who?"}, `{"job":"/org/laptop/Backup/jobs/2","operation":"backup","result":"failed","error_name":"org.laptop.Backup.Error.NotRegistered","message":"Who?","progress":0,"entries":0,"entries_skipped":0,"bytes":0}`},
	} {
		e.set(func(e *engine) {
			e.work = func(context.Context, func(dbus.Progress)) (dbus.Outcome, error) {
				return dbus.Outcome{Message: "Nothing has changed."}, c.err
			}
		})
		if stdout, _, _ := run(t, b, "now", "--json"); stdout != c.want+"\n" {
			t.Errorf("%s, not\n%s", stdout, c.want)
		}
	}
}

func TestStatus(t *testing.T) {
	b, e := bed(t)
	e.set(func(e *engine) { e.status = dbus.Status{State: dbus.StateUnregistered, StateReason: "Not yet."} })
	stdout, _, code := run(t, b, "status")
	for _, want := range []string{"not registered", "Not yet.", "Last backup:  never", "Next:         xo-backup register"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("exit status %d, no %q in\n%s", code, want, stdout)
		}
	}
	hold := make(chan struct{})
	e.set(func(e *engine) {
		e.status = dbus.Status{State: dbus.StateIdle, Server: "http://xs", Account: "SHF1", Serial: "SHF2",
			LastBackup: time.Now().Add(-3 * time.Hour).Unix(), LastResult: "7 entries are safe.", Entries: 7}
		e.work = func(ctx context.Context, progress func(dbus.Progress)) (dbus.Outcome, error) {
			progress(dbus.Progress{Phase: "fetching", Entries: 4, EntriesDone: 1})
			select {
			case <-hold:
			case <-ctx.Done():
			}
			return dbus.Outcome{}, ctx.Err()
		}
	})
	if out, err := b.Send(t, dbus.BusName, string(dbus.Path), dbus.Interface+".Backup"); err != nil {
		t.Fatal(out)
	}
	stdout, _, code = run(t, b, "status")
	for _, want := range []string{"backing up", "http://xs", "SHF1", "SHF2", "(3 hours ago)", "Entries:        7", "7 entries are safe.",
		"Running:        backup: Fetching, 1 of 4 entries, 25 %"} {
		if !strings.Contains(stdout, want) || code != 0 {
			t.Errorf("exit status %d, no %q in\n%s", code, want, stdout)
		}
	}
	stdout, _, _ = run(t, b, "status", "--json")
	var s standing
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || s.State != "backing-up" || s.Entries != 7 || len(s.Jobs) != 1 || s.Jobs[0].Progress != 0.25 {
		t.Errorf("%v\n%s", err, stdout)
	}
	// Busy is not the server's.
	if _, stderr, code := run(t, b, "restore"); code != 1 || !strings.Contains(stderr, "A backup is running") || !strings.Contains(stderr, "Next: xo-backup status") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	if stdout, stderr, code := run(t, b, "cancel"); code != 0 || stdout != "The backup was cancelled.\n" {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	if stdout, _, code := run(t, b, "cancel"); code != 0 || stdout != "Nothing runs.\n" {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	if stdout, _, code := run(t, b, "cancel", "--json"); code != 0 || stdout != "[]\n" {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
}

func TestListAndRegister(t *testing.T) {
	b, e := bed(t)
	if stdout, _, code := run(t, b, "list"); code != 0 || !strings.Contains(stdout, "nothing of this Journal yet") {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	if stdout, _, _ := run(t, b, "list", "--json"); stdout != "[]\n" {
		t.Errorf("%q", stdout)
	}
	taken := time.Now().Add(-49 * time.Hour)
	e.set(func(e *engine) {
		e.list = []dbus.Snapshot{{ID: "2026-11-23T21-30-05Z", Seq: 2, Time: taken.Unix(), Confirmed: taken.Add(48 * time.Hour).Unix(), Entries: 200, Bytes: 12_345_678, Account: "SHF1"},
			{ID: "2026-11-22T21-30-05Z", Seq: 1, Time: 86400, Entries: 1, Bytes: 999}}
		e.status = dbus.Status{Server: "http://xs", Account: "SHF1"}
	})
	stdout, _, code := run(t, b, "list")
	if code != 0 || !regexp.MustCompile(`2026-11-23T21-30-05Z +\d{4}-\d\d-\d\d \d\d:\d\d \(2 days ago\) +200 +12 MB +\S+ \S+ \(60 minutes ago\)\n2026-11-22T21-30-05Z +1970-01-02 \d\d:\d\d +1 +999 B +\n$`).MatchString(stdout) {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	stdout, _, _ = run(t, b, "list", "--json")
	var list []snapshot
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) != 2 || list[0].Bytes != 12_345_678 || list[1].Time != 86400 {
		t.Errorf("%v\n%s", err, stdout)
	}
	if stdout, _, code := run(t, b, "register"); code != 0 || stdout != "This laptop is registered with http://xs as SHF1.\n" {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	if stdout, _, code := run(t, b, "register", "--trust", "SHA256:x", "--json"); code != 0 || stdout != `{"result":"done","server":"http://xs","account":"SHF1"}`+"\n" || e.trusted != "SHA256:x" {
		t.Errorf("exit status %d\n%s", code, stdout)
	}
	e.set(func(e *engine) { e.err = problem{"ServerUnavailable", "Away."} })
	for _, verb := range []string{"register", "list"} {
		if _, stderr, code := run(t, b, verb); code != 3 || stderr != "xo-backup: Away.\n" {
			t.Errorf("%s: exit status %d\n%s", verb, code, stderr)
		}
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
	if _, stderr, code := run(t, b, "restore", "--entry", "x"); code != 1 || !strings.Contains(stderr, "cannot do that yet") {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
	if _, stderr, code := run(t, b, "restore", "--snapshot", "../x"); code != 1 || !strings.Contains(stderr, `"../x" is not the name of a snapshot`) {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
}

// TestTerminal: a bar with the time left, a question before a replace.
func TestTerminal(t *testing.T) {
	b, e := bed(t)
	e.set(func(e *engine) {
		e.work = func(_ context.Context, progress func(dbus.Progress)) (dbus.Outcome, error) {
			progress(dbus.Progress{Phase: "looking"})
			time.Sleep(150 * time.Millisecond)
			for i := range 20 {
				progress(dbus.Progress{Phase: "sending", Bytes: 100e6, BytesDone: int64(i) * 2e6})
				time.Sleep(100 * time.Millisecond)
			}
			return dbus.Outcome{Message: "All is safe."}, nil
		}
	})
	terminal := func(input string, args ...string) (string, int) {
		ctx, cancel := context.WithTimeout(context.Background(), bustest.Patience)
		defer cancel()
		cmd := b.Command(ctx, "script", "-qefc", program+" "+strings.Join(args, " "), "/dev/null")
		cmd.Stdin = strings.NewReader(input)
		out, _ := cmd.Output()
		return string(out), cmd.ProcessState.ExitCode()
	}
	out, code := terminal("", "now")
	if code != 0 || !regexp.MustCompile(`(?s)Looking.*Sending, \S+ MB of 100 MB, \d+ seconds left +\d+% \|█.*All is safe\.`).MatchString(out) {
		t.Errorf("exit status %d\n%q", code, out)
	}
	for input, want := range map[string]string{"n\n": "Nothing was changed.", "\n": "Nothing was changed.", "yes\n": "replace true"} {
		out, code := terminal(input, "restore", "--replace")
		if !strings.Contains(out, "will be replaced by snapshot the latest") || !strings.Contains(out, want) || (code == 0) != (input == "yes\n") {
			t.Errorf("%q: exit status %d\n%s", input, code, out)
		}
	}
	if out, code := terminal("", "restore", "--replace", "--yes"); code != 0 || strings.Contains(out, "Go on?") {
		t.Errorf("exit status %d\n%s", code, out)
	}
}

// TestInterrupt: Ctrl-C ends the waiting, not the backup.
func TestInterrupt(t *testing.T) {
	b, e := bed(t)
	hold, began := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	e.set(func(e *engine) {
		e.work = func(ctx context.Context, progress func(dbus.Progress)) (dbus.Outcome, error) {
			progress(dbus.Progress{Phase: "sending"})
			close(began)
			<-hold
			ended <- ctx.Err()
			return dbus.Outcome{}, nil
		}
	})
	cmd := b.Command(context.Background(), program, "now")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-began
	// It waits by now: it has shown the phase.
	if _, err := stdout.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "The backup goes on without you: 'xo-backup status'") {
		t.Errorf("exit status %d\n%s", code, &stderr)
	}
	close(hold)
	if err := <-ended; err != nil {
		t.Errorf("the backup suffered: %v", err)
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 9951: "10 kB", 999_499: "999 kB", 999_600: "1.0 MB", 12_345_678: "12 MB", 1 << 40: "1.1 TB", 1<<64 - 1: "18 EB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) is %s, not %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 seconds", time.Second: "1 second", 89 * time.Second: "89 seconds", 90 * time.Second: "2 minutes", 89 * time.Minute: "89 minutes", 2 * time.Hour: "2 hours", 36 * time.Hour: "2 days", 24 * 40 * time.Hour: "40 days"} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) is %s, not %s", d, got, want)
		}
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for at, want := range map[int64]string{0: "never", 1: "1970-01-01 00:00", now.Unix() - 60: "2026-11-23 11:59 (60 seconds ago)", now.Unix() + 3600: "2026-11-23 13:00"} {
		if got := date(at, now); got != want {
			t.Errorf("date(%d) is %s, not %s", at, got, want)
		}
	}
}
