package sugar

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Whatever becomes of the daemon, the shell says so, and goes on.

func TestNoDaemon(t *testing.T) {
	t.Parallel()
	x := bed.XOFor(t, bed.Options{Binaries: bed.Binaries{Daemon: "/bin/false"}})
	noColour(t, x)
	s := shellFor(t, x, bed.ShellOptions{})
	do(t, s, "frame School backup", "see service does not answer", "shoot frame-absent", "click Try again", "see service does not answer", "key F6")
	do(t, s, atSchool(restores, "see service does not answer", "shoot panel-absent", "click ^Retry$", "see service does not answer")...)
	calm(t, s)
}

// noColour has a profile without the child's colours.
func noColour(t *testing.T, x *bed.XO) {
	t.Helper()
	check(t, x.Command(t.Context(), "gsettings", "set", "org.sugarlabs.user", "color", "").Run())
}

func TestDaemonCrashes(t *testing.T) {
	long(t)
	t.Parallel()
	x, xs, line := pupil(t, 24)
	check(t, xs.Kill())
	s := shellFor(t, x, bed.ShellOptions{})
	do(t, s, "frame School backup", "see never")
	check(t, xs.Start(t.Context()))
	reached := line.SSH.StandStill(1 << 20)
	do(t, s, "click Back up now", "see Saving your Journal at school")
	await(t, "the line to stand still", reached)
	check(t, x.KillService(t.Context(), bed.BackupName))
	line.SSH.HangUp()
	line.SSH.GoOn()
	do(t, s, "click Back up now", "see Last backup: today")
	calm(t, s)
}

// A daemon that answers nothing at all does not take the shell with it.
func TestDaemonHangs(t *testing.T) {
	long(t)
	t.Parallel()
	x, _, _ := pupil(t, 1)
	s := shellFor(t, x, bed.ShellOptions{Without: alone})
	pid, err := x.ServicePID(t.Context(), bed.BackupName)
	check(t, err)
	check(t, syscall.Kill(pid, syscall.SIGSTOP))
	defer syscall.Kill(pid, syscall.SIGCONT)
	began := time.Now()
	do(t, s, atSchool(restores, "see takes long to answer", "shoot panel-long")...)
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("the panel stood still for %v", took)
	}
	check(t, syscall.Kill(pid, syscall.SIGCONT))
	do(t, s, "click ^Retry$", "see no backup of this Journal yet")
	calm(t, s)
}

// strange is a daemon of another age: it has the name, and answers as nobody expects.
type strange map[string]dbus.Variant

func (d strange) GetAll(string) (map[string]dbus.Variant, *dbus.Error) { return d, nil }
func (strange) BackupWithOptions(map[string]dbus.Variant) (string, *dbus.Error) {
	return "no path", nil
}
func (strange) Backup() (uint32, *dbus.Error)                           { return 7, nil }
func (strange) CheckServer() (string, *dbus.Error)                      { return "yes", nil }
func (strange) Restore(string) (dbus.ObjectPath, *dbus.Error)           { return "/nowhere", nil }
func (strange) ListSnapshots() ([]map[string]dbus.Variant, *dbus.Error) { return oddities, nil }
func (strange) FindBackups() ([]map[string]dbus.Variant, *dbus.Error)   { return oddities, nil }
func (strange) Wait(dbus.ObjectPath) (result, name, message string, err *dbus.Error) {
	return "", "", "", dbus.MakeFailedError(os.ErrInvalid)
}

var oddities = []map[string]dbus.Variant{
	{}, {"time": dbus.MakeVariant("noon"), "entries": dbus.MakeVariant(int64(-1)), "id": dbus.MakeVariant(3)},
	{"account": dbus.MakeVariant(true), "nick": dbus.MakeVariant(1.5), "color": dbus.MakeVariant("blue")},
}

func TestDaemonUpgraded(t *testing.T) {
	long(t)
	t.Parallel()
	x, _, _ := pupil(t, 1)
	s := shellFor(t, x, bed.ShellOptions{})
	do(t, s, "frame School backup", "see Back up now")
	check(t, x.StopService(t.Context(), bed.BackupName))
	d := strange{
		"State": dbus.MakeVariant("idle"), "LastBackup": dbus.MakeVariant(int64(1) << 60), "Jobs": dbus.MakeVariant([]string{"", "x"}),
		"Entries": dbus.MakeVariant("many"),
	}
	conn, err := x.Connect()
	check(t, err)
	defer conn.Close()
	for _, name := range []string{bed.BackupName, "org.freedesktop.DBus.Properties"} {
		check(t, conn.Export(d, "/org/laptop/Backup", name))
	}
	_, err = conn.RequestName(bed.BackupName, dbus.NameFlagReplaceExisting)
	check(t, err)
	for _, signal := range []string{".JobRemoved", ".ClaimChanged", ".JobAdded"} {
		check(t, conn.Emit("/org/laptop/Backup", bed.BackupName+signal, 1, "two"))
	}
	check(t, conn.Emit("/org/laptop/Backup", "org.freedesktop.DBus.Properties.PropertiesChanged", bed.BackupName,
		map[string]dbus.Variant{"State": dbus.MakeVariant(5)}, []string{}))
	do(t, s, "click Back up now", "see service does not answer", "key F6")
	do(t, s, atSchool(restores, "see will not be emptied", "choose 0 entries")...)
	calm(t, s)
}

func TestTwoShells(t *testing.T) {
	long(t)
	t.Parallel()
	x, _, _ := pupil(t, 4)
	a := shellFor(t, x, bed.ShellOptions{})
	time.Sleep(time.Second) // Sugar itself does not start twice in a second: its logs have the second's name
	b := startShell(t, x, bed.ShellOptions{})
	do(t, b, "frame School backup", "click Back up now", "see today")
	do(t, a, "frame School backup", "see today")
	calm(t, a)
	calm(t, b)
}

// A translation that is broken is as good as none.
func TestBrokenTranslation(t *testing.T) {
	long(t)
	t.Parallel()
	dir := t.TempDir()
	mo := filepath.Join(dir, "es", "LC_MESSAGES", "xo-backupd.mo")
	check(t, os.MkdirAll(filepath.Dir(mo), 0o700))
	check(t, os.WriteFile(mo, []byte("\xde\x12\x04\x95 and nothing else"), 0o600))
	x := bed.XOFor(t, bed.Options{})
	cmd := x.Command(t.Context(), "/usr/bin/python3", "-B", "-c", "from xobackup.words import _; print(_('Cancel'))")
	cmd.Env = append(cmd.Env, "LANGUAGE=es", "TEXTDOMAINDIR="+dir, "PYTHONPATH="+must(filepath.Abs("../../sugar"))(t))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "Cancel\n") || strings.Contains(string(out), "Traceback") {
		t.Errorf("%v: %s", err, out)
	}
}
