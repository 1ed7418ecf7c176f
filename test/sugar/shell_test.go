// Package sugar tests what plugs into Sugar's shell, in the real shell, with the
// real datastore, daemon and school server, by clicks.
package sugar

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// shellFor starts a shell that ends with the test, and waits for its Journal.
func shellFor(t *testing.T, x *bed.XO, o bed.ShellOptions) *bed.Shell {
	t.Helper()
	s := startShell(t, x, o)
	if err := s.AwaitJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// long is a test that make test leaves to make test-all: a shell wants much of the
// machine, which has the other tests to do, too.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("long: make test-all")
	}
}

func startShell(t *testing.T, x *bed.XO, o bed.ShellOptions) *bed.Shell {
	t.Helper()
	sources, err := filepath.Abs("../../sugar")
	if err != nil {
		t.Fatal(err)
	}
	s, err := bed.StartShell(t.Context(), x, sources, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the shell said:\n%s", s.Log())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// drive runs a script of the folder drive beside the shell; args are its own. The
// pictures that it makes go to the folder of the environment variable SHOTS; without
// one there are none.
func drive(t *testing.T, s *bed.Shell, script string, args ...string) {
	t.Helper()
	cmd := s.Command(t.Context(), "/usr/bin/python3", append([]string{filepath.Join(must(filepath.Abs("drive"))(t), script+".py")}, args...)...)
	cmd.Env = append(cmd.Env, "SHOTS="+os.Getenv("SHOTS"), fmt.Sprint("SHELL_PID=", s.PID()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestShellStarts(t *testing.T) {
	x := bed.XOFor(t, bed.Options{})
	drive(t, shellFor(t, x, bed.ShellOptions{}), "start")
}
