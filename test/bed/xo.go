package bed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// Options of an XO. The zero value is an unregistered XO-1 of a child called
// Amara, with an empty Journal.
type Options struct {
	Binaries Binaries
	Nick     string // Amara
	Color    string
	Group    string
	Serial   string // SHC00500001
	UUID     string
	Key      string   // kind of owner.key as ssh-keygen -t takes it: dsa, in PEM, as an XO's
	KeyNew   bool     // in OpenSSH's new format instead of PEM
	Wrap     []string // a command that the daemon is started by, say strace
	Env      []string // further environment of everything on the bus
	// Bare is an XO whose Sugar was never started: no profile, no key, nobody's
	// name. Serial and UUID are the firmware's then, which may have none.
	Bare bool
}

func (o *Options) defaults() {
	set := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	set(&o.Nick, "Amara")
	set(&o.Color, "#FF2B34,#00A0FF")
	set(&o.Group, "4th Grade")
	set(&o.Key, "dsa")
	if !o.Bare {
		set(&o.Serial, "SHC00500001")
		set(&o.UUID, "5b2e8a3c-9d41-4f6e-8a70-1c0de0500001")
	}
}

// XO is a child's laptop: a home, a profile, a session bus.
type XO struct {
	Dir       string // everything of it is below
	Home      string
	Profile   string // …/.sugar/default
	Datastore string // …/.sugar/default/datastore
	Address   string // of its bus
	Conn      *dbus.Conn
	Options   Options

	env []string
	bus *exec.Cmd
	log *os.File
}

// StartXO starts an XO under dir, a folder that it makes and that Close
// removes.
func StartXO(ctx context.Context, dir string, o Options) (*XO, error) {
	o.defaults()
	home := filepath.Join(dir, "home")
	x := &XO{
		Dir:     dir,
		Home:    home,
		Profile: filepath.Join(home, ".sugar/default"),
		Options: o,
	}
	x.Datastore = filepath.Join(x.Profile, "datastore")
	x.env = append([]string{
		mark + "=" + dir,
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"LANG=C.UTF-8",
		"HOME=" + home,
		"TMPDIR=" + filepath.Join(dir, "tmp"), // the datastore builds its index there
		"XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"),
		"XDG_CONFIG_HOME=" + filepath.Join(home, ".config"),
		"XDG_DATA_HOME=" + filepath.Join(home, ".local/share"),
		"XDG_CACHE_HOME=" + filepath.Join(home, ".cache"),
		"SUGAR_HOME=" + filepath.Join(home, ".sugar"),
		"SUGAR_PROFILE=default",
		"GSETTINGS_BACKEND=keyfile",
		"DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", // what this machine's battery and network say is not the XO's
	}, o.Env...)

	if err := x.lay(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := x.startBus(ctx); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// lay makes the folders and, unless it is bare, the profile and the settings.
func (x *XO) lay(ctx context.Context) error {
	for _, dir := range []string{"tmp", "run", "services", "home"} {
		if err := os.MkdirAll(filepath.Join(x.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	o := x.Options
	services := map[string]string{
		"org.laptop.sugar.DataStore": "/usr/bin/datastore-service",
		"org.laptop.Backup":          strings.Join(append(append([]string{}, o.Wrap...), o.Binaries.Daemon), " "),
	}
	files := map[string]string{"bus.conf": busConfig("session", filepath.Join(x.Dir, "services"))}
	for name, command := range services {
		files["services/"+name+".service"] = "[D-BUS Service]\nName=" + name + "\nExec=" + command + "\n"
	}
	if err := errors.Join(x.write(files), x.firmware()); err != nil {
		return err
	}
	if o.Bare {
		return nil
	}
	return errors.Join(x.write(map[string]string{
		"home/.sugar/default/identifiers/sn":   o.Serial,
		"home/.sugar/default/identifiers/uuid": o.UUID,
	}), x.Wizard(ctx))
}

// write writes files below the XO's folder.
func (x *XO) write(files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(x.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// The socket has an abstract name, which tmpdir asks for: a path would have to
// be shorter than 108 bytes.
func busConfig(kind, services string) string {
	return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>` + kind + `</type>
  <keep_umask/>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <servicedir>` + services + `</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_message_size">1000000000</limit>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="service_start_timeout">60000</limit>
  <limit name="max_replies_per_connection">50000</limit>
</busconfig>
`
}

func (x *XO) startBus(ctx context.Context) error {
	var err error
	if x.log, err = os.OpenFile(filepath.Join(x.Dir, "bus.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	x.bus, x.Address, err = runBus(ctx, filepath.Join(x.Dir, "bus.conf"), x.env, x.log)
	if err != nil {
		return err
	}
	x.env = append(x.env, "DBUS_SESSION_BUS_ADDRESS="+x.Address)
	x.Conn, err = x.Connect()
	return err
}

// runBus starts a dbus-daemon and answers its address.
func runBus(ctx context.Context, config string, env []string, log *os.File) (*exec.Cmd, string, error) {
	cmd := exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--print-address=1", "--config-file="+config)
	cmd.Env, cmd.Stderr, cmd.SysProcAttr = env, log, apart()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	line, err := readLine(ctx, out)
	if err != nil {
		return cmd, "", fmt.Errorf("dbus-daemon: %w", err)
	}
	return cmd, strings.TrimSpace(line), nil
}

// apart keeps a child out of our process group, so that Ctrl-C reaches us
// alone and we end things in order, and ties its life to ours.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// readLine reads one line, or what ctx leaves it time for.
func readLine(ctx context.Context, r io.Reader) (string, error) {
	type answer struct {
		line string
		err  error
	}
	c := make(chan answer, 1)
	go func() { // ends with the process that r is the output of
		line, err := bufio.NewReader(r).ReadString('\n')
		c <- answer{line, err}
	}()
	select {
	case a := <-c:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Connect makes a further connection to the XO's bus.
func (x *XO) Connect() (*dbus.Conn, error) { return dbus.Connect(x.Address) }

// Env is the environment of a program that runs on this XO.
func (x *XO) Env() []string { return append([]string{}, x.env...) }

// Command is a program that runs on this XO.
func (x *XO) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = x.Env(), x.Home, apart()
	return cmd
}

// Configure writes the daemon's configuration file; the daemon reads it when it
// starts.
func (x *XO) Configure(toml string) error {
	return x.write(map[string]string{"home/.config/xo-backupd/config.toml": toml})
}

// PointAt configures the XO for a school server.
func (x *XO) PointAt(s *XS) error {
	return x.Configure(fmt.Sprintf("server = %q\nregistration = %q\n", s.URL(), s.RegistrationURL()))
}

// Log is what the bus and the services on it have said.
func (x *XO) Log() string {
	b, _ := os.ReadFile(filepath.Join(x.Dir, "bus.log"))
	return string(b)
}

// Close ends the bus, with it all that is on it, and removes the folder. It is
// an error if something did not end by itself.
func (x *XO) Close() error { return x.closeWithin(endTime) }

// endTime is how long what is on a bus may take to end when the bus does.
const endTime = 10 * time.Second

func (x *XO) closeWithin(grace time.Duration) error {
	return errors.Join(x.end(grace), os.RemoveAll(x.Dir))
}

// end ends the bus and all that is on it.
func (x *XO) end(grace time.Duration) error {
	if x.Conn != nil {
		_ = x.Conn.Close()
	}
	group := 0
	if x.bus != nil {
		group = x.bus.Process.Pid
		_ = x.bus.Process.Signal(syscall.SIGTERM)
		_ = x.bus.Wait()
	}
	err := endMembers(x.Dir, group, grace)
	if x.log != nil {
		_ = x.log.Close()
	}
	return err
}
