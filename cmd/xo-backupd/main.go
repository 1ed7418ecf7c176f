// Command xo-backupd backs a Sugar Journal up to the school server and brings
// it back. It serves org.laptop.Backup on the session bus, which starts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/xsclient"
)

// version is set by the linker.
var version = "devel"

func main() {
	xsclient.TransferChild().Main()
	debug.SetGCPercent(40) // memory is dearer than time, of which little is spent here
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the whole program; it answers the exit status.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	cfg, err := loadConfig(args, environ)
	var usage *usageError
	switch {
	case errors.As(err, &usage) && usage.asked != "":
		fmt.Fprint(stdout, usage.asked)
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "xo-backupd: %v\nTry 'xo-backupd --help'.\n", err)
		return 2
	case err == nil:
		err = serve(ctx, cfg, slog.New(slog.NewTextHandler(stderr, nil)))
	}
	if err != nil {
		fmt.Fprintf(stderr, "xo-backupd: %v\n", err)
		return 1
	}
	return 0
}

// serve puts the parts together and runs them. Nothing here may take time: who
// called us waits for it.
func serve(ctx context.Context, cfg *config, log *slog.Logger) error {
	places, err := findPlaces(cfg.getenv)
	if err != nil {
		return err
	}
	home, err := profile.Find(cfg.getenv)
	if err != nil {
		return err
	}
	var heard listener
	service := dbus.New(dbus.Config{Version: version, StateDir: places.state, IdleExit: cfg.IdleExit, Log: log, Incoming: heard.hear})
	conn, err := connect(service, cfg.getenv("DBUS_SESSION_BUS_ADDRESS"))
	if err != nil {
		return fmt.Errorf("connecting to the session bus: %w", err)
	}
	e, err := newEngine(cfg, home, places, conn, service, log)
	if err != nil {
		conn.Close()
		return err
	}
	heard.browser.Store(e.browser)
	if err := e.byItself.laptop.Watch(service.NetworkCame); err != nil {
		log.Warn("nobody tells when the network comes", "error", err)
	}
	return errors.Join(service.Run(ctx, conn, e), e.close())
}

// connect never starts a bus: a daemon without callers is of no use.
func connect(service *dbus.Service, address string) (*godbus.Conn, error) {
	if address != "" && address != "autolaunch:" {
		return service.Connect(address)
	}
	// Where godbus finds it.
	conn, err := godbus.SessionBusPrivateNoAutoStartup(service.ConnOptions()...)
	if err != nil {
		return nil, err
	}
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
