package dbus

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// takeOver locks the state, so that one service at a time works with it, on
// whatever bus. A service that is leaving holds the lock until it is gone; what
// was asked of its name meanwhile waits, at the bus, for us.
func (s *Service) takeOver(ctx context.Context, conn *godbus.Conn) (io.Closer, error) {
	// The folder itself is locked: that needs no room on the disk.
	if err := os.MkdirAll(s.cfg.StateDir, 0o700); err != nil {
		s.log.Warn("the state cannot be kept on disk", "error", err)
		return io.NopCloser(nil), nil
	}
	dir, err := os.Open(s.cfg.StateDir)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lockTime)
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return dir, nil
		}
		if err != unix.EWOULDBLOCK {
			// A file system without locks: the name on the bus has to do.
			s.log.Warn("the state cannot be locked", "error", err)
			return dir, nil
		}
		var owned bool
		if err := conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, BusName).Store(&owned); err != nil {
			dir.Close()
			return nil, fmt.Errorf("asking the bus who has the name %s: %w", BusName, err)
		}
		if owned {
			dir.Close()
			return nil, ErrAlreadyRunning
		}
		if time.Now().After(deadline) {
			dir.Close()
			return nil, fmt.Errorf("another xo-backupd, on another bus, works with %s", s.cfg.StateDir)
		}
		select {
		case <-ctx.Done():
			dir.Close()
			return nil, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
