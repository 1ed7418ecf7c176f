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

// members lists the live processes that belong to an XO or XS: those that
// carry mark=id, and those in the process group of its first process, since
// our programs hide their environment from their own children.
func members(id string, group int) []int {
	want := []byte(mark + "=" + id)
	var pids []int
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		pgid, _ := unix.Getpgid(pid)
		environ, _ := os.ReadFile(filepath.Join(folder, "environ"))
		in := group != 0 && pgid == group && !zombie(pid)
		for v := range bytes.SplitSeq(environ, []byte{0}) {
			in = in || bytes.Equal(v, want)
		}
		if in {
			pids = append(pids, pid)
		}
	}
	return pids
}

func zombie(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ") // pid (name) state …
	return stat == nil || strings.HasPrefix(state, "Z")
}

// endMembers waits until no process of an XO or XS is left. Those that are
// still there after grace are killed, and named in the error.
func endMembers(id string, group int, grace time.Duration) error {
	deadline := time.Now().Add(grace)
	for _, pid := range members(id, group) {
		_ = awaitExit(pid, time.Until(deadline))
	}
	left := members(id, group)
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
