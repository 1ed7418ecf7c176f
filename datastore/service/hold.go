package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// patience is how long a datastore may take to end. One that does not would
// otherwise hold up whoever waits for it, and with it every backup.
const patience = 30 * time.Second

// poll is how often things are looked at that nobody announces: the end of a
// process that is not our child, and who queues for a name.
const poll = 20 * time.Millisecond

// Hold stops Sugar's datastore, if it runs, and keeps it from being started
// until release is called: its bus name is ours meanwhile, and whoever calls it
// gets an error. The next call after release starts it again. A datastore that
// does not end within half a minute is an error: it keeps its name.
//
// No activation can slip in between: the name passes from the service to us in
// the bus's own queue. An activation that was already on its way when nobody
// had the name queues behind us; it is stopped as soon as it does.
func (c *Client) Hold(ctx context.Context) (release func() error, err error) {
	h := &hold{Client: c, done: make(chan struct{}), end: make(chan struct{})}
	ctx, cancel := context.WithTimeoutCause(ctx, c.patience, errStuck)
	defer cancel()
	if err := h.acquire(ctx); err != nil {
		return nil, fmt.Errorf("cannot stop Sugar's datastore: %w", err)
	}
	go h.watch()
	return h.release, nil
}

type hold struct {
	*Client
	end  chan struct{} // closed: watch has to end
	done chan struct{} // closed: watch has ended
}

func (h *hold) acquire(ctx context.Context) error {
	acquired := make(chan *dbus.Signal, 16)
	h.conn.Signal(acquired)
	defer h.conn.RemoveSignal(acquired)

	reply, err := h.conn.RequestName(Name, 0)
	if err != nil {
		return err
	}
	switch reply {
	case dbus.RequestNameReplyPrimaryOwner:
		return nil
	case dbus.RequestNameReplyAlreadyOwner:
		return errHeld
	}
	if err := h.takeOver(ctx, acquired); err != nil {
		_, releaseErr := h.conn.ReleaseName(Name) // leaves the queue
		return errors.Join(err, releaseErr)
	}
	return nil
}

var (
	errHeld  = errors.New("it is already held")
	errStuck = errors.New("that takes too long")
)

// takeOver ends whoever is before us in the queue for the name.
func (h *hold) takeOver(ctx context.Context, acquired <-chan *dbus.Signal) error {
	var owner string
	if err := h.bus(ctx, "GetNameOwner", Name).Store(&owner); err == nil {
		if err := h.stop(ctx, owner); err != nil {
			return err
		}
	} // else it has just ended: NameAcquired is on its way
	return awaitName(ctx, acquired)
}

func awaitName(ctx context.Context, signals <-chan *dbus.Signal) error {
	for {
		select {
		case s, ok := <-signals:
			if !ok {
				return errors.New("the session bus is gone")
			}
			if s.Name == "org.freedesktop.DBus.NameAcquired" && len(s.Body) == 1 && s.Body[0] == Name {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop ends the process of a connection and waits until it is gone. It is not
// killed: that would be a power cut to whatever it is writing.
func (h *hold) stop(ctx context.Context, owner string) error {
	var pid uint32
	if err := h.bus(ctx, "GetConnectionUnixProcessID", owner).Store(&pid); err != nil {
		var refused dbus.Error
		if errors.As(err, &refused) && refused.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" {
			return nil // gone already
		}
		return err
	}
	if int(pid) == os.Getpid() {
		return errHeld
	}
	if err := syscall.Kill(int(pid), syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for alive(int(pid)) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d does not end: %w", pid, context.Cause(ctx))
		}
	}
	return nil
}

// alive tells whether a process runs; one that only waits for its parent to
// notice its end does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	// The name of the program, in brackets, may hold anything.
	stat := string(b)
	_, rest, _ := strings.Cut(stat[max(0, strings.LastIndexByte(stat, ')')):], " ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// watch stops services that queue behind us.
func (h *hold) watch() {
	defer close(h.done)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-h.end:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			_ = h.stopQueue(ctx) // release tries again, and reports
			cancel()
		}
	}
}

func (h *hold) stopQueue(ctx context.Context) error {
	var owners []string
	if err := h.bus(ctx, "ListQueuedOwners", Name).Store(&owners); err != nil {
		return err
	}
	for _, owner := range owners {
		if owner == h.conn.Names()[0] {
			continue
		}
		if err := h.stop(ctx, owner); err != nil {
			return err
		}
	}
	return nil
}

// release lets the service start again. It may be called once.
func (h *hold) release() error {
	close(h.end)
	<-h.done
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := h.stopQueue(ctx)
	_, releaseErr := h.conn.ReleaseName(Name)
	if err = errors.Join(err, releaseErr); err != nil {
		return fmt.Errorf("cannot let Sugar's datastore start again: %w", err)
	}
	return nil
}
