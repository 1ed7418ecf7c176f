package sugar

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// pupil is an XO with a Journal that is registered at an XS, and the line between
// the two.
func pupil(t *testing.T, entries int) (*bed.XO, *bed.XS, *bed.Line) {
	t.Helper()
	s := bed.XSFor(t, bed.ServerOptions{})
	x := bed.XOFor(t, bed.Options{})
	line, err := bed.NewLine(s)
	check(t, err)
	t.Cleanup(func() { check(t, line.Close()) })
	check(t, x.PointAtLine(line))
	check(t, x.Register(t.Context()))
	_, err = x.FillJournal(t.Context(), entries, 1)
	check(t, err)
	return x, s, line
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits for what has to come.
func await[E any](t *testing.T, what string, c <-chan E) (e E) {
	t.Helper()
	select {
	case e = <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
	return e
}

// do is what a child does and sees; see drive/do.py.
func do(t *testing.T, s *bed.Shell, steps ...string) {
	t.Helper()
	drive(t, s, "do", steps...)
}

// calm checks that nothing of ours has raised in the shell. Sugar's own does.
func calm(t *testing.T, s *bed.Shell) {
	t.Helper()
	for _, trace := range regexp.MustCompile(`Traceback.*\n(?:  .*\n)+.*\n`).FindAllString(s.Log(), -1) {
		if strings.Contains(trace, "/xobackup/") || strings.Contains(trace, "/school") {
			t.Errorf("the shell raised: %s", trace)
		}
	}
}

// notices are the summaries of the notifications that the XO is told from now on.
func notices(t *testing.T, x *bed.XO) <-chan string {
	t.Helper()
	conn, err := x.Connect()
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	told, messages := make(chan string, 10), make(chan *dbus.Message, 10)
	check(t, conn.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0,
		[]string{"interface='org.freedesktop.Notifications',member='Notify'"}, uint32(0)).Err)
	conn.Eavesdrop(messages) // only now: it keeps answers from who has called
	go func() {
		for m := range messages {
			if len(m.Body) > 3 {
				told <- fmt.Sprint(m.Body[3])
			}
		}
	}()
	return told
}

// A backup that is cancelled, one whose server goes away, one that is done; and the
// Journal comes back.
func TestFrame(t *testing.T) {
	t.Parallel()
	x, xs, line := pupil(t, 24)
	check(t, xs.Kill()) // so that nothing is saved by itself
	s := shellFor(t, x, bed.ShellOptions{})
	do(t, s, "frame School backup", "see Last backup: never", "shoot frame-never")
	check(t, xs.Start(t.Context()))
	told := notices(t, x)

	stall := func() {
		t.Helper()
		reached := line.SSH.StandStill(1 << 20)
		do(t, s, "click Back up now", "see Saving your Journal at school")
		await(t, "the line to stand still", reached)
	}
	goOn := func() {
		line.SSH.HangUp()
		line.SSH.GoOn()
	}
	stall()
	do(t, s, "shoot frame-saving", "click ^Cancel$", "see Last backup: never")
	goOn()
	stall()
	check(t, xs.Kill())
	goOn()
	do(t, s, "see not in reach")
	check(t, xs.Start(t.Context()))
	do(t, s, "click Back up now", "see Last backup: today", "shoot frame-fresh")

	before, err := x.ReadJournal(t.Context())
	check(t, err)
	for uid := range before {
		check(t, x.Delete(t.Context(), uid))
	}
	do(t, s, "click Bring my Journal back", "see What is in your Journal now stays", "shoot frame-confirm",
		"click Yes, bring it back", "see ^Back up now", "shoot frame-restored")
	back(t, x, before)
	if summary := await(t, "a notification", told); summary != "Your Journal is back" || len(told) > 0 {
		t.Errorf("the child was told: %q, and %d more", summary, len(told))
	}
	calm(t, s)
}

// lastBackup has the daemon know of a last backup of that time.
func lastBackup(t *testing.T, x *bed.XO, at time.Time) {
	t.Helper()
	check(t, x.StopService(t.Context(), bed.BackupName))
	found, err := filepath.Glob(filepath.Join(x.Home, ".*", "*", "xo-backupd", "state.json"))
	check(t, err)
	if len(found) != 1 {
		t.Fatalf("state files: %q", found)
	}
	b, err := os.ReadFile(found[0])
	check(t, err)
	state := map[string]any{}
	check(t, json.Unmarshal(b, &state))
	state["last_backup"] = at.Unix()
	b, err = json.Marshal(state)
	check(t, err)
	check(t, os.WriteFile(found[0], b, 0o600))
}

// The older the last backup, the emptier the icon, and the more it says.
func TestFrameMoods(t *testing.T) {
	long(t)
	t.Parallel()
	x, xs, _ := pupil(t, 1)
	check(t, x.PointAt(xs))
	check(t, xs.Kill()) // nothing is saved meanwhile
	s := shellFor(t, x, bed.ShellOptions{})
	do(t, s, "key F6")
	const day = 24 * time.Hour
	for _, m := range []struct {
		name        string
		ago         time.Duration
		says, looks string
	}{
		{"yesterday", day, "Last backup: yesterday", "#00A0FF 250"},
		{"days", 4 * day, "Last backup: on ", "#00A0FF 100"},
		{"week", 9 * day, "Last backup: on ", "#FFFFFF 30"},
	} {
		lastBackup(t, x, time.Now().Add(-m.ago))
		do(t, s, "click School backup", "see "+m.says, "colour "+m.looks+" School backup", "shoot frame-"+m.name, "key Escape", "gone Last backup")
	}
	do(t, s, "click School backup", "click Back up now", "see not in reach", "shoot frame-failed", "key F6", "shoot frame-warned")
	calm(t, s)
}

// When backups are asked for, and what is told, see drive/keeper.py.
func TestKeeper(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/usr/bin/python3", "-B", "drive/keeper.py")
	cmd.Env = append(os.Environ(), "LANGUAGE=C", "LC_ALL=C.UTF-8", "XDG_CACHE_HOME="+t.TempDir(), "PYTHONPATH="+must(filepath.Abs("../../sugar"))(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
