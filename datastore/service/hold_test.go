package service_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// hammer calls the datastore without a pause, as the Journal would.
func hammer(t *testing.T, x *bed.XO) (stop func()) {
	t.Helper()
	conn, err := x.Connect()
	must(t, err)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
				conn.Object(service.Name, "/org/laptop/sugar/DataStore").Call(service.Name+".find", 0,
					map[string]dbus.Variant{}, []string{"uid"})
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		conn.Close()
	}
}

func TestHold(t *testing.T) {
	x := startXO(t)
	client := service.New(x.Conn)
	other, err := x.Connect()
	must(t, err)
	defer other.Close()
	pid := func() int {
		t.Helper()
		pid, err := x.ServicePID(t.Context(), service.Name)
		must(t, err)
		return pid
	}
	alive := func(pid int) bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && len(b) > 0
	}
	for range 3 {
		// It does not run.
		if running, err := client.Running(t.Context()); running || err != nil {
			t.Fatal(running, err)
		}
		release, err := client.Hold(t.Context())
		must(t, err)
		if pid() != os.Getpid() {
			t.Errorf("the name is %d's", pid())
		}
		if _, err := client.Hold(t.Context()); err == nil {
			t.Error("held twice")
		}
		if _, err := service.New(other).Hold(t.Context()); err == nil {
			t.Error("held twice, by two")
		}
		must(t, release())

		// It runs.
		finds(t, x, 0)
		was := pid()
		release, err = client.Hold(t.Context())
		must(t, err)
		if alive(was) {
			t.Error("it still runs")
		}
		must(t, release())

		// It is being started, and called without a pause.
		stop := hammer(t, x)
		for range 3 {
			release, err = client.Hold(t.Context())
			must(t, err)
			for range 20 {
				if pid() != os.Getpid() {
					t.Error("somebody else has the name")
				}
				time.Sleep(5 * time.Millisecond)
			}
			must(t, release())
		}
		stop()
		finds(t, x, 0)
		// One that was started while we held the name may be next in its queue.
		await(t, "the last of them to end", func() bool {
			must(t, x.StopService(t.Context(), service.Name))
			running, err := client.Running(t.Context())
			must(t, err)
			return !running
		})
	}
	// Nobody is waited for longer than one wants to.
	finds(t, x, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Hold(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if pid() == os.Getpid() {
		t.Error("the name stayed with us")
	}
}

// A datastore that does not end keeps its name, and nobody waits for ever.
func TestHoldOfAStuckService(t *testing.T) {
	x := startXO(t)
	finds(t, x, 0)
	pid, err := x.ServicePID(t.Context(), service.Name)
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	_, err = service.New(x.Conn).Impatient(50 * time.Millisecond).Hold(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does not end") || errors.Is(err, context.DeadlineExceeded) {
		t.Error(err) // a deadline would be taken for the school server's
	}
	must(t, syscall.Kill(pid, syscall.SIGCONT))
	release, err := service.New(x.Conn).Hold(t.Context())
	must(t, err)
	must(t, release())
	finds(t, x, 0)
}
