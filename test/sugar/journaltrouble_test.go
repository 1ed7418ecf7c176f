package sugar

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// hideDaemon takes the daemon away, as if it were not installed; what it answers
// brings it back.
func (k *keeper) hideDaemon(t *testing.T) (back func()) {
	t.Helper()
	file := filepath.Join(k.Dir, "services", bed.BackupName+".service")
	must(0, os.Rename(file, file+".away"))(t)
	k.reloadBus(t)
	must(0, k.KillService(t.Context(), bed.BackupName))(t)
	return func() {
		t.Helper()
		must(0, os.Rename(file+".away", file))(t)
		k.reloadBus(t)
	}
}

func (k *keeper) reloadBus(t *testing.T) {
	t.Helper()
	must(0, k.Conn.BusObject().CallWithContext(t.Context(), "org.freedesktop.DBus.ReloadConfig", 0).Err)(t)
}

// daemonIs waits until the daemon's State is that.
func (k *keeper) daemonIs(t *testing.T, state string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		v := must(k.Backup().GetProperty("org.laptop.Backup.State"))(t)
		if v.Value() == state {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("State is %v, not %s", v.Value(), state)
		}
	}
}

// journalQuiet checks that nothing of ours was raised in the shell.
func journalQuiet(t *testing.T, s *bed.Shell) {
	t.Helper()
	for _, ours := range []string{"xobackup/", "journal/listview.py", "journal/listmodel.py", "could not be shown"} {
		if strings.Contains(s.Log(), ours) {
			t.Errorf("the shell's log has %s", ours)
		}
	}
}

// Whatever is missing is said in words, and a second try finds it.
func TestJournalTrouble(t *testing.T) {
	long(t)
	t.Parallel()
	k := keeperFor(t, 40)
	k.register(t)
	k.backUp(t)
	k.lose(t, "My castle", "Mi dibujo")
	shell := shellFor(t, k.XO, bed.ShellOptions{})

	bringBack := k.hideDaemon(t)
	journalSteps(t, shell, `
		open
		press Restore from school server
		see backup service does not answer
		shoot journal-absent`)
	bringBack()
	journalSteps(t, shell, `
		press Retry
		day 45 entries
		pause 2`)

	// What was not looked at yet is fetched when it comes into sight. (The eyes of this
	// test see more than what is in sight: so there is a pause instead.)
	bringBack = k.hideDaemon(t)
	journalSteps(t, shell, `
		scroll 40
		see backup service does not answer`)
	journalSteps(t, shell, `
		search poem
		see backup service does not answer`)
	bringBack()
	journalSteps(t, shell, `
		press Retry
		entry A poem
		noentry My castle
		search
		entry My castle
		choose My castle
		choose Mi dibujo
		see 2 of 45`)

	must(0, k.XS.Stop())(t)
	journalSteps(t, shell, `
		press Bring back
		see Nothing came back
		see not in reach
		shoot journal-away
		see 2 of 45`)
	must(0, k.XS.Start(t.Context()))(t)
	journalSteps(t, shell, `
		press Bring back
		closed
		see 2 entries are back`)
	k.has(t)

	// One that is stopped dead keeps nobody waiting.
	pid := must(k.ServicePID(t.Context(), bed.BackupName))(t)
	must(0, syscall.Kill(pid, syscall.SIGSTOP))(t)
	journalSteps(t, shell, `
		press Restore from school server
		see One moment
		press Close
		closed
		journal A poem`)
	must(0, syscall.Kill(pid, syscall.SIGCONT))(t)
	journalQuiet(t, shell)
}

// A restore goes on without its window, over the daemon's end and its death, and ends
// with the school server or when it is told to.
func TestJournalGoesOn(t *testing.T) {
	long(t)
	t.Parallel()
	k := keeperFor(t, 15) // with a video
	line := must(bed.NewLine(k.XS))(t)
	t.Cleanup(func() { _ = line.Close() })
	must(0, k.PointAtLine(line))(t)
	k.register(t)
	k.backUp(t)
	shell := shellFor(t, k.XO, bed.ShellOptions{})
	journalSteps(t, shell, "open")

	for _, c := range []struct {
		name      string
		meanwhile func() error // in the middle of it
		steps     string
		back      bool
	}{
		{"closed", func() error {
			journalSteps(t, shell, `
				press Close
				closed`)
			return nil
		}, `see Everything is back`, true},
		{"upgraded", func() error { return k.StopService(t.Context(), bed.BackupName) }, `
			closed
			see Everything is back`, true},
		{"died", func() error { return k.KillService(t.Context(), bed.BackupName) }, `
			closed
			see Everything is back`, true},
		{"stopped", func() error {
			journalSteps(t, shell, `
				shoot journal-progress
				press Stop
				see Not everything is back
				see It was cancelled
				press Close`)
			return nil
		}, `closed`, false},
		{"server gone", k.XS.Kill, `
			see Waiting for the school server
			shoot journal-waiting
			press Stop
			see Not everything is back
			see It was cancelled
			press Close`, false},
	} {
		t.Log(c.name)
		k.lose(t, "My castle", "Dibujos del mar")
		reached := line.SSH.StandStill(3_000_000)
		journalSteps(t, shell, `
			press Restore from school server
			day 20 entries
			press Bring everything back
			see ^Stop$`)
		select {
		case <-reached:
		case <-time.After(20 * time.Second):
			t.Fatal("no restore runs")
		}
		must(0, c.meanwhile())(t)
		line.SSH.GoOn()
		journalSteps(t, shell, c.steps)
		if k.XS.PID() == 0 {
			must(0, k.XS.Start(t.Context()))(t)
		}
		k.daemonIs(t, "idle")
		if !c.back {
			must(k.Job(t.Context(), "Restore", ""))(t)
		}
		k.has(t)
	}
	journalQuiet(t, shell)
}
