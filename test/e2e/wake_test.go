package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

const packaging = "../../packaging/"

// unitLine runs a line of the timer's unit, as systemd does.
func unitLine(t *testing.T, x *bed.XO, key string) error {
	t.Helper()
	unit, err := os.ReadFile(packaging + "systemd/xo-backupd-schedule.service")
	must(t, err)
	found := regexp.MustCompile(`(?m)^` + key + `=(.+)$`).FindStringSubmatch(string(unit))
	if found == nil {
		t.Fatalf("the unit has no %s", key)
	}
	words := strings.Fields(found[1])
	out, err := x.Command(t.Context(), words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Logf("%s: %v: %s", key, err, out)
	}
	return err
}

// What the timer's unit calls makes a backup; where Sugar does not run it calls
// nothing, and starts nothing.
func TestTimer(t *testing.T) {
	t.Parallel()
	x, _ := scheduled(t, "unix:path=/nonexistent")
	if err := unitLine(t, x, "ExecCondition"); err == nil {
		t.Error("Sugar is said to run")
	}
	if pid, err := x.ServicePID(t.Context(), bed.DataStoreName); pid != 0 || err != nil {
		t.Errorf("Sugar's datastore was started: %v", err)
	}
	added := watchJobs(t, x)
	must(t, unitLine(t, x, "ExecStart"))
	r, err := x.Wait(t.Context(), <-added)
	must(t, err)
	must(t, r.OK())

	_, err = x.Find(t.Context())
	must(t, err)
	must(t, unitLine(t, x, "ExecCondition"))
}

// Where no systemd can, the session's shell asks, for as long as it lasts. It asks
// nobody where there is no bus, or systemd's own.
func TestSessionAsks(t *testing.T) {
	t.Parallel()
	x, _ := scheduled(t, "unix:path=/nonexistent")
	bin := filepath.Join(x.Dir, "bin")
	must(t, os.Mkdir(bin, 0o700))
	// An hour is short, and leaves a trace.
	must(t, os.WriteFile(filepath.Join(bin, "sleep"), []byte("#!/bin/sh\necho >>\"$0.log\"; exec /bin/sleep 0.1\n"), 0o700))
	session := func(env ...string) *exec.Cmd {
		script, err := filepath.Abs(packaging + "xinitrc/60-xo-backupd.sh")
		must(t, err)
		cmd := x.Command(t.Context(), "sh", "-c", ". "+script+"; read it")
		cmd.Env = append(append(cmd.Env, "PATH="+bin+":/usr/bin:/bin"), env...)
		return cmd
	}
	for _, env := range []string{"DBUS_SESSION_BUS_ADDRESS=", "DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(x.Dir, "run/bus")} {
		must(t, ignoreEOF(session(env).Run()))
	}
	if _, err := os.Stat(filepath.Join(bin, "sleep.log")); !os.IsNotExist(err) {
		t.Errorf("it waits for what it cannot reach: %v", err)
	}

	added := watchJobs(t, x)
	cmd := session()
	end, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	r, err := x.Wait(t.Context(), <-added)
	must(t, err)
	must(t, r.OK())
	must(t, end.Close())
	must(t, ignoreEOF(cmd.Wait())) // and Close sees that nothing of it is left
}

// ignoreEOF: read fails at the end of what it reads, and so does the shell.
func ignoreEOF(err error) error {
	if _, failed := err.(*exec.ExitError); failed {
		return nil
	}
	return err
}
