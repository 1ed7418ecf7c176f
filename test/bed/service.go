package bed

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names on an XO's bus.
const (
	DataStoreName = "org.laptop.sugar.DataStore"
	BackupName    = "org.laptop.Backup"
)

// ServicePID is the process that owns a name on the bus, 0 if none does.
func (x *XO) ServicePID(ctx context.Context, name string) (int, error) {
	var pid uint32
	err := x.Conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", 0, name).Store(&pid)
	var e dbus.Error
	if errors.As(err, &e) && e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" {
		return 0, nil
	}
	return int(pid), err
}

// StopService ends whoever owns a name, and waits until it is gone.
func (x *XO) StopService(ctx context.Context, name string) error {
	return x.endService(ctx, name, syscall.SIGTERM)
}

// KillService ends it at once, as a crash does.
func (x *XO) KillService(ctx context.Context, name string) error {
	return x.endService(ctx, name, syscall.SIGKILL)
}

func (x *XO) endService(ctx context.Context, name string, signal syscall.Signal) error {
	pid, err := x.ServicePID(ctx, name)
	if err != nil || pid == 0 {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := awaitExit(pid, 20*time.Second); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	// The bus hears of it a moment later than the kernel.
	return until(ctx, name, func() (bool, error) {
		now, err := x.ServicePID(ctx, name)
		return now != pid, err
	})
}

// Service is an object of a name on the bus. Calling it activates the name.
func (x *XO) Service(name string, path dbus.ObjectPath) dbus.BusObject {
	return x.Conn.Object(name, path)
}

// DataStore is Sugar's datastore.
func (x *XO) DataStore() dbus.BusObject {
	return x.Service(DataStoreName, "/org/laptop/sugar/DataStore")
}

// Backup is our daemon's one object.
func (x *XO) Backup() dbus.BusObject { return x.Service(BackupName, "/org/laptop/Backup") }

// Result is what Wait answers for a job.
type Result struct{ Result, ErrorName, Message string }

// OK is an error unless the job is done.
func (r Result) OK() error {
	if r.Result != "done" {
		return fmt.Errorf("job %s: %s %s", r.Result, r.ErrorName, r.Message)
	}
	return nil
}

// Job calls a method of org.laptop.Backup that answers a job, and waits for
// the job's end.
func (x *XO) Job(ctx context.Context, method string, args ...any) (Result, error) {
	var job dbus.ObjectPath
	if err := x.Backup().CallWithContext(ctx, "org.laptop.Backup."+method, 0, args...).Store(&job); err != nil {
		return Result{}, fmt.Errorf("%s: %w", method, err)
	}
	return x.Wait(ctx, job)
}

// Wait waits for the end of a job.
func (x *XO) Wait(ctx context.Context, job dbus.ObjectPath) (Result, error) {
	var r Result
	err := x.Backup().CallWithContext(ctx, "org.laptop.Backup.Wait", 0, job).Store(&r.Result, &r.ErrorName, &r.Message)
	if err != nil {
		return Result{}, fmt.Errorf("Wait: %w", err)
	}
	return r, nil
}

// Register makes the XO known to the school server that it is configured for.
func (x *XO) Register(ctx context.Context) error {
	return x.Backup().CallWithContext(ctx, "org.laptop.Backup.Register", 0).Err
}
