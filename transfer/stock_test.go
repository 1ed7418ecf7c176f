package transfer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testServer is what a remote shell runs for a stock rsync: a command "rsync
// --server …", answered by a child of ours.
func testServer(dir string, command []string) int {
	ctx := context.Background()
	job := Dir(dir, nil)
	job.Args = command[1:]
	p, err := Start(ctx, job, nil)
	if err == nil {
		_, err = p.Run(ctx, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// stock runs the distribution's rsync, for which "xs:" is the folder from.
func stock(t *testing.T, from string, args ...string) (string, error) {
	t.Helper()
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		t.Skip("no rsync here")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// rsync calls it as: shell HOST rsync --server …
	shell := filepath.Join(t.TempDir(), "shell")
	script := fmt.Sprintf("#!/bin/sh\nshift\nGORACE=atexit_sleep_ms=0 TRANSFER_TEST_SERVER='%s' exec '%s' \"$@\"\n", from, exe)
	if err := os.WriteFile(shell, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), rsync, append([]string{"-e", shell}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

func TestStockRsync(t *testing.T) {
	from := grow(t, 50, 3000)
	for _, options := range []string{"-a", "-av", "-rt", "-rtp", "-aP", "-a --delete", "-ac", "-aW", "-aI", "-a --stats", "-a --timeout=60", "-avvv", "-aq", "-ai", "-a --partial", "-a --bwlimit=100000", "-a --link-dest=../other"} {
		t.Run(options, func(t *testing.T) {
			to := t.TempDir()
			for range 2 {
				out, err := stock(t, from, append(strings.Fields(options), "xs:./", to)...)
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if !strings.Contains(options, "p") && !strings.Contains(options, "a") {
					continue // modes are the receiver's
				}
				same(t, from, to)
			}
		})
	}
	t.Run("-an", func(t *testing.T) {
		to := t.TempDir()
		out, err := stock(t, from, "-avn", "xs:./", to)
		if err != nil || !strings.Contains(out, "00-000") || len(snapshot(t, to)) != 1 {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("a folder in the folder", func(t *testing.T) {
		to := t.TempDir()
		if out, err := stock(t, from, "-a", "xs:07/", to); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		same(t, filepath.Join(from, "07"), to)
	})
	t.Run("without a slash", func(t *testing.T) {
		to := t.TempDir()
		if out, err := stock(t, from, "-a", "xs:07", to); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		same(t, filepath.Join(from, "07"), filepath.Join(to, "07"))
	})
	t.Run("one file", func(t *testing.T) {
		to := t.TempDir()
		name := filepath.Base(firstFile(t, filepath.Join(from, "07")))
		if out, err := stock(t, from, "-a", "xs:07/"+name, to); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		same(t, filepath.Join(from, "07", name), filepath.Join(to, name))
	})
	for want, args := range map[string][]string{
		"option -z is not":           {"-az", "xs:./", "TO"},
		"option -H is not":           {"-aH", "xs:./", "TO"},
		"option \"--inplace\"":       {"-a", "--inplace", "xs:./", "TO"},
		"option -R is not":           {"-aR", "xs:./", "TO"},
		"option -L is not":           {"-aL", "xs:./", "TO"},
		"option \"--numeric-ids\"":   {"-a", "--numeric-ids", "xs:./", "TO"},
		"--remove-source-files":      {"-a", "--remove-source-files", "xs:./", "TO"},
		"option -R is not supported": {"-a", "--files-from=:/etc/passwd", "xs:./", "TO"},
		"filter rules":               {"-a", "--exclude=*.data", "xs:./", "TO"},
		`"../": not a path`:          {"-a", "xs:../", "TO"},
		`"07/../../": not a path`:    {"-a", "xs:07/../../", "TO"},
		`"/etc/passwd": not a`:       {"-a", "xs:/etc/passwd", "TO"},
		`no such path: "none"`:       {"-a", "xs:none", "TO"},
		"may only read":              {"-a", from, "xs:./"},
		"asks for 2 paths":           {"-a", "xs:07", ":08", "TO"},
	} {
		t.Run(want, func(t *testing.T) {
			to := t.TempDir()
			for i, a := range args {
				args[i] = strings.ReplaceAll(a, "TO", to)
			}
			out, err := stock(t, from, args...)
			if err == nil || !strings.Contains(out, want) {
				t.Errorf("%v: %s", err, out)
			}
			if len(snapshot(t, to)) != 1 {
				t.Errorf("it got something: %v", snapshot(t, to))
			}
		})
	}
}

func firstFile(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(all) == 0 {
		t.Fatal(dir, err)
	}
	return all[0]
}
