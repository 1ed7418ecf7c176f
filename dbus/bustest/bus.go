// Package bustest starts a real dbus-daemon for a test, and its tools against it.
package bustest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// Patience is how long a test waits for what must happen.
const Patience = 20 * time.Second

// Bus is a private session bus.
type Bus struct {
	Address string
	process *os.Process
	dir     string // of its activation files
	env     []string
}

// Start starts a bus that ends with the test. What it activates gets this
// environment besides the test's own.
func Start(t testing.TB, env ...string) *Bus {
	t.Helper()
	dir := t.TempDir()
	b := &Bus{dir: filepath.Join(dir, "services")}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "session.conf")
	err := os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir=`+dir+`</listen>
  <auth>EXTERNAL</auth>
  <servicedir>`+b.dir+`</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	b.Address, b.process = strings.TrimSpace(line), cmd.Process
	b.env = append(append(os.Environ(), env...), "DBUS_SESSION_BUS_ADDRESS="+b.Address)
	return b
}

// Activate makes the bus start a program when its name is called.
func (b *Bus) Activate(t testing.TB, name, program string) {
	t.Helper()
	err := os.WriteFile(filepath.Join(b.dir, name+".service"), []byte("[D-BUS Service]\nName="+name+"\nExec="+program+"\n"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	conn := b.Connect(t)
	defer conn.Close()
	if err := conn.BusObject().Call("org.freedesktop.DBus.ReloadConfig", 0).Err; err != nil {
		t.Fatal(err)
	}
}

// Kill ends the bus at once.
func (b *Bus) Kill() { b.process.Kill() }

// Connect is a new connection.
func (b *Bus) Connect(t testing.TB, options ...godbus.ConnOption) *godbus.Conn {
	t.Helper()
	conn, err := godbus.Connect(b.Address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Owner of a name, or "".
func (b *Bus) Owner(conn *godbus.Conn, name string) (owner string) {
	conn.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, name).Store(&owner)
	return owner
}

// Command is a program on this bus.
func (b *Bus) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = b.env
	return cmd
}

// Run runs a program on this bus to its end.
func (b *Bus) Run(t testing.TB, name string, args ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	out, err := b.Command(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// Send runs dbus-send.
func (b *Bus) Send(t testing.TB, dest, path, method string, args ...string) (string, error) {
	t.Helper()
	return b.Run(t, "dbus-send", append([]string{"--session", "--print-reply", "--dest=" + dest, path, method}, args...)...)
}

// Await a condition that others bring about.
func Await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}
