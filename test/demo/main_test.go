package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// The demo shows what it says, and leaves no process and no file behind; also when
// it is interrupted.
func TestDemo(t *testing.T) {
	programs := filepath.Dir(bed.Programs(t).Daemon)
	demo := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command("go", "build", "-o", demo, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	// What outlives the demo becomes our child.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		interrupt string // once it says so; "": never
		status    int
	}{
		{"whole", "", 0},
		{"interrupted", "$ xo-backup now", 130},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmp, err := os.MkdirTemp("", "d-") // short: see bed
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(tmp)
			cmd := exec.Command(demo, "--bin", programs, "--entries", "20")
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
			said, status := show(t, cmd, c.interrupt)
			if status != c.status {
				t.Errorf("exit status %d, not %d", status, c.status)
			}
			if whole := strings.Contains(said, "brought back, byte for byte"); whole != (c.status == 0) {
				t.Errorf("it shows that all came back: %t", whole)
			}
			if left := children(t); len(left) > 0 {
				t.Errorf("processes left behind: %v", left)
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("files left behind: %v %v", left, err)
			}
			if t.Failed() {
				t.Log(said)
			}
		})
	}
}

// show runs a command to its end and answers what it said and its exit status; it
// is interrupted after the first line that has this in it.
func show(t *testing.T, cmd *exec.Cmd, interrupt string) (said string, status int) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said += lines.Text() + "\n"
		if interrupt != "" && strings.Contains(lines.Text(), interrupt) {
			interrupt = ""
			_ = cmd.Process.Signal(syscall.SIGINT)
		}
	}
	_ = cmd.Wait() // its status says it
	return said + errs.String(), cmd.ProcessState.ExitCode()
}

// children are the processes whose parent we are, with their names.
func children(t *testing.T) (names []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		b, _ := os.ReadFile(file) // it may be gone by now
		// pid (name) state parent …; the name can hold anything
		name, rest, _ := strings.Cut(string(b), ") ")
		var state string
		var parent int
		if _, err := fmt.Sscan(rest, &state, &parent); err == nil && parent == os.Getpid() && state != "Z" {
			names = append(names, name+")")
		}
	}
	return names
}
