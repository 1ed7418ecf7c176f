package transfer

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMemory holds the children to what an XO can spare.
func TestMemory(t *testing.T) {
	from, to := grow(t, 10_000, 600), t.TempDir()
	big, err := os.Create(filepath.Join(from, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := big.Truncate(500 << 20); err != nil {
		t.Fatal(err)
	}
	big.Close()
	for range 2 {
		sent, received, err1, err2 := move(t, Dir(from, nil), Job{Receive: to, Delete: true})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		t.Logf("sending %d MB, receiving %d MB", sent.Memory>>20, received.Memory>>20)
	}
}
