package bed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// mark is the environment variable by which a process is known to belong to
// one XO or XS: what the bus starts is not our child, but inherits it.
const mark = "XO_BED"

// marked lists the live processes that carry mark=id.
func marked(id string) []int {
	want := []byte(mark + "=" + id)
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for v := range bytes.SplitSeq(environ, []byte{0}) {
			if bytes.Equal(v, want) {
				if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
					pids = append(pids, pid)
				}
				break
			}
		}
	}
	return pids
}

// endMarked waits until no process carries the mark any more. Those that are
// still there after grace are killed, and named in the error.
func endMarked(id string, grace time.Duration) error {
	deadline := time.Now().Add(grace)
	for _, pid := range marked(id) {
		_ = awaitExit(pid, time.Until(deadline))
	}
	left := marked(id)
	if len(left) == 0 {
		return nil
	}
	var names []string
	for _, pid := range left {
		names = append(names, describe(pid))
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	for _, pid := range left {
		_ = awaitExit(pid, 5*time.Second)
	}
	return fmt.Errorf("still running and killed: %s", strings.Join(names, "; "))
}

func describe(pid int) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	words := strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
	return fmt.Sprintf("%d (%s)", pid, words)
}

// awaitExit waits until a process, ours or not, is gone.
func awaitExit(pid int, timeout time.Duration) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(timeout)
	for {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("process %d: %w", pid, err)
		case n > 0:
			return nil
		default:
			return fmt.Errorf("process %s is still there after %v", describe(pid), timeout)
		}
	}
}

// until polls a condition that nothing announces.
func until(ctx context.Context, what string, done func() (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
