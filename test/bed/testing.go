package bed

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// T is the part of testing.TB that the bed needs; so the programs that import
// it do not import testing.
type T interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Failed() bool
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Programs are the three programs, built once for a test binary, or those of
// the folder XO_BACKUP_BIN.
func Programs(t T) Binaries {
	t.Helper()
	b, err := built()
	if err != nil {
		t.Fatalf("programs: %v", err)
	}
	return b
}

// XOFor starts an XO that ends with the test.
func XOFor(t T, o Options) *XO {
	t.Helper()
	if o.Binaries.Daemon == "" {
		o.Binaries = Programs(t)
	}
	x, err := StartXO(t.Context(), filepath.Join(folder(t), "xo"), o)
	if err != nil {
		t.Fatalf("XO: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			t.Logf("the XO's bus and services said:\n%s", tail(x.Log()))
		}
		if err := x.Close(); err != nil {
			t.Errorf("XO: %v", err)
		}
	})
	return x
}

// XSFor starts a server that ends with the test.
func XSFor(t T, o ServerOptions) *XS {
	t.Helper()
	if o.Binaries.Server == "" {
		o.Binaries = Programs(t)
	}
	s, err := StartXS(t.Context(), filepath.Join(folder(t), "xs"), o)
	if err != nil {
		t.Fatalf("XS: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			t.Logf("the XS said:\n%s", tail(s.Log()))
		}
		if err := s.Close(); err != nil {
			t.Errorf("XS: %v", err)
		}
	})
	return s
}

// SystemFor starts a system bus that ends with the test.
func SystemFor(t T) *System {
	t.Helper()
	s, err := StartSystem(t.Context(), filepath.Join(folder(t), "system"))
	if err != nil {
		t.Fatalf("system bus: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			t.Logf("the system bus said:\n%s", tail(s.Log()))
		}
		if err := s.Close(); err != nil {
			t.Errorf("system bus: %v", err)
		}
	})
	return s
}

// folder is a fresh one with a short name: some paths below it must fit a
// Unix socket's address, and t.TempDir's do not.
func folder(t T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xo-bed-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// tail is the end of a long log.
func tail(log string) string {
	lines := strings.SplitAfter(log, "\n")
	return strings.Join(lines[max(0, len(lines)-200):], "")
}
