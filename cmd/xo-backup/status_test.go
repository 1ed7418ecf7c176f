package main

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/dbus"
)

func TestStatus(t *testing.T) {
	b, e := bed(t)
	e.set(func(e *engine) { e.status = dbus.Status{State: dbus.StateUnregistered, StateReason: "Not yet."} })
	stdout, _, code := run(t, b, "status")
	for _, want := range []string{"not registered", "Not yet.", "Last backup:  never", "Next:         xo-backup register"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("exit status %d, no %q in\n%s", code, want, stdout)
		}
	}
	e.set(func(e *engine) {
		e.status = dbus.Status{State: dbus.StateFirstBoot, StateReason: "A Journal is at school."}
	})
	stdout, _, _ = run(t, b, "status")
	for _, want := range []string{"State:        new: it may have a backup at school", "Why:          A Journal is at school.", "Next:         xo-backup recover\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
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
