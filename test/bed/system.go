package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// States of NetworkManager.
const (
	Disconnected    uint32 = 20
	ConnectedLocal  uint32 = 50
	ConnectedGlobal uint32 = 70
)

const (
	upower      = "org.freedesktop.UPower"
	upowerPath  = dbus.ObjectPath("/org/freedesktop/UPower")
	displayPath = dbus.ObjectPath("/org/freedesktop/UPower/devices/DisplayDevice")
	network     = "org.freedesktop.NetworkManager"
	networkPath = dbus.ObjectPath("/org/freedesktop/NetworkManager")
	mock        = "org.freedesktop.DBus.Mock"
)

// System is a system bus of its own with python3-dbusmock's UPower and
// NetworkManager: a laptop on mains, connected.
type System struct {
	Address string

	dir  string
	bus  *exec.Cmd
	log  *os.File
	conn *dbus.Conn
}

// StartSystem starts one under dir, which it makes and Close removes.
func StartSystem(ctx context.Context, dir string) (*System, error) {
	s := &System{dir: dir}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *System) start(ctx context.Context) (err error) {
	if err := os.MkdirAll(filepath.Join(s.dir, "services"), 0o700); err != nil {
		return err
	}
	config := filepath.Join(s.dir, "bus.conf")
	if err := os.WriteFile(config, []byte(busConfig("system", filepath.Join(s.dir, "services"))), 0o600); err != nil {
		return err
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "bus.log")); err != nil {
		return err
	}
	env := []string{mark + "=" + s.dir, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + s.dir, "PYTHONDONTWRITEBYTECODE=1"}
	if s.bus, s.Address, err = runBus(ctx, config, env, s.log); err != nil {
		return err
	}
	if s.conn, err = dbus.Connect(s.Address); err != nil {
		return err
	}
	for name, template := range map[string]string{upower: "upower", network: "networkmanager"} {
		if err := s.standIn(ctx, name, template, append(env, "DBUS_SYSTEM_BUS_ADDRESS="+s.Address)); err != nil {
			return err
		}
	}
	// The template is older than this property.
	return s.conn.Object(network, networkPath).CallWithContext(ctx, mock+".AddProperty", 0,
		network, "Metered", dbus.MakeVariant(uint32(4))).Err
}

// standIn starts one of dbusmock's, and waits until it has its name.
func (s *System) standIn(ctx context.Context, name, template string, env []string) error {
	cmd := exec.Command("/usr/bin/python3", "-m", "dbusmock", "--system", "--template", template)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, s.dir, s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: s.bus.Process.Pid, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return until(ctx, name, func() (owned bool, err error) {
		err = s.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned)
		return owned, err
	})
}

// OnBattery puts the laptop on its battery, which has so much left.
func (s *System) OnBattery(percent float64) error {
	return errors.Join(
		s.set(upower, displayPath, upower+".Device", "Percentage", percent),
		s.set(upower, upowerPath, upower, "OnBattery", true),
	)
}

// OnMains charges it.
func (s *System) OnMains() error { return s.set(upower, upowerPath, upower, "OnBattery", false) }

// Network changes the state of the network, and says so as NetworkManager does.
func (s *System) Network(state uint32) error {
	if err := s.set(network, networkPath, network, "State", state); err != nil {
		return err
	}
	return s.conn.Object(network, networkPath).Call(mock+".EmitSignal", 0,
		network, "StateChanged", "u", []any{dbus.MakeVariant(state)}).Err
}

// Metered tells whether what is sent costs money.
func (s *System) Metered(yes bool) error {
	value := uint32(4) // probably not
	if yes {
		value = 1
	}
	return s.set(network, networkPath, network, "Metered", value)
}

func (s *System) set(name string, path dbus.ObjectPath, iface, property string, value any) error {
	if err := s.conn.Object(name, path).SetProperty(iface+"."+property, dbus.MakeVariant(value)); err != nil {
		return fmt.Errorf("%s: %w", property, err)
	}
	return nil
}

// Log is what the bus and those on it have said.
func (s *System) Log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "bus.log"))
	return string(b)
}

// Close ends it all. The stand-ins end with their bus.
func (s *System) Close() error {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	group := 0
	if s.bus != nil {
		group = s.bus.Process.Pid
		_ = s.bus.Process.Signal(syscall.SIGTERM)
		_ = s.bus.Wait()
	}
	err := endMembers(s.dir, group, 10*time.Second)
	if s.log != nil {
		_ = s.log.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
