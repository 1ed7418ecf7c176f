package transfer

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMemory holds the children to what an XO can spare, which has 256 MB for
// all: 10,000 files and one of 500 MB. It also is many more requests than fit
// into the pipes while a large file is on its way.
func TestMemory(t *testing.T) {
	if race {
		withoutRace(t)
		return
	}
	from, to := grow(t, 10_000, 600), t.TempDir()
	big, err := os.Create(filepath.Join(from, "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	if err := big.Truncate(500 << 20); err != nil {
		t.Fatal(err)
	}
	for _, round := range []string{"first", "nothing changed"} {
		sent, received, err1, err2 := move(t, Dir(from, nil), Job{Receive: to, Delete: true})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: sending %d MB, receiving %d MB", round, sent.Memory>>20, received.Memory>>20)
		const least, most = 1 << 20, 36 << 20 // less than the least was not measured
		if min(sent.Memory, received.Memory) < least || max(sent.Memory, received.Memory) > most {
			t.Errorf("%s: sending took %d bytes, receiving %d", round, sent.Memory, received.Memory)
		}
	}
}

// withoutRace runs the test that calls it in a program without the race
// detector, whose own memory would be most of what is measured.
func withoutRace(t *testing.T) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "transfer.test")
	build := exec.Command("go", "test", "-race=false", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), program, "-test.v", "-test.timeout=5m", "-test.run=^"+t.Name()+"$")
	out, err := run.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("without the race detector: %v", err)
	}
}
