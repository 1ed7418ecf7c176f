package cleanroot

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// bus is a session bus in a root: it starts what is installed there.
type bus struct {
	cmd  *exec.Cmd
	conn *dbus.Conn
}

const busConfig = `<busconfig>
  <type>session</type>
  <listen>unix:path=/run/session</listen>
  <standard_session_servicedirs/>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

func (r *Root) startBus(t *testing.T) *bus {
	t.Helper()
	must(t, os.WriteFile(r.Path("run/session.conf"), []byte(busConfig), 0o644))
	b := &bus{cmd: r.Command("/usr/bin/dbus-daemon", "--config-file=/run/session.conf", "--nofork", "--print-address")}
	b.cmd.Stderr = t.Output()
	b.cmd.WaitDelay = 5 * time.Second // for a daemon that goes on writing
	out, err := b.cmd.StdoutPipe()
	must(t, err)
	must(t, b.cmd.Start())
	t.Cleanup(func() { b.stop(t) })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the session bus does not start: %v", err)
	}
	b.conn, err = dbus.Connect("unix:path=" + r.Path("run/session"))
	must(t, err)
	return b
}

// stop ends the bus, and with it the daemon.
func (b *bus) stop(t *testing.T) {
	t.Helper()
	if b.cmd.ProcessState != nil {
		return // it was stopped
	}
	if b.conn != nil {
		if pid, err := b.pid(); err == nil {
			b.leave(t, pid)
		}
		b.conn.Close()
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

// daemon asks for the daemon, which starts it, checks its version and that it
// knows its configuration, and answers its process.
func (b *bus) daemon(t *testing.T, version string) int {
	t.Helper()
	backup := b.conn.Object("org.laptop.Backup", "/org/laptop/Backup")
	for name, want := range map[string]string{"Version": version, "Server": "http://school.example"} {
		got, err := backup.GetProperty("org.laptop.Backup." + name)
		if err != nil {
			t.Fatalf("%s of the daemon: %v", name, err)
		}
		if got.Value() != want {
			t.Errorf("the daemon's %s is %v, not %s", name, got, want)
		}
	}
	pid, err := b.pid()
	must(t, err)
	return pid
}

func (b *bus) pid() (int, error) {
	var pid uint32
	err := b.conn.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, "org.laptop.Backup").Store(&pid)
	return int(pid), err
}

// leave has the daemon end, as it does by itself when it has nothing to do.
func (b *bus) leave(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGTERM))
	for range 100 {
		if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); os.IsNotExist(err) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("daemon %d does not end", pid)
}
