package main

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/dbus"
)

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
	out, code := terminal(t, b, "", "now")
	if code != 0 || !regexp.MustCompile(`(?s)Looking.*Sending, \S+ MB of 100 MB, \d+ seconds left +\d+% \|█.*All is safe\.`).MatchString(out) {
		t.Errorf("exit status %d\n%q", code, out)
	}
	for input, want := range map[string]string{"n\n": "Nothing was changed.", "\n": "Nothing was changed.", "yes\n": "replace true"} {
		out, code := terminal(t, b, input, "restore", "--replace")
		if !strings.Contains(out, "will be replaced by snapshot the latest") || !strings.Contains(out, want) || (code == 0) != (input == "yes\n") {
			t.Errorf("%q: exit status %d\n%s", input, code, out)
		}
	}
	if out, code := terminal(t, b, "", "restore", "--replace", "--yes"); code != 0 || strings.Contains(out, "Go on?") {
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
