package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestMemory holds the children to what an XO can spare, which has 256 MB for
// all: 10,000 files and one of 500 MB. It also is many more requests than fit
// into the pipes while a large file is on its way.
func TestMemory(t *testing.T) {
	from, to := grow(t, 10_000, 600), t.TempDir()
	big, err := os.Create(filepath.Join(from, "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	size := int64(500 << 20)
	if race { // memory is not looked at, and each byte takes long
		size = 50 << 20
	}
	if err := big.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, round := range []string{"first", "nothing changed"} {
		sent, received, err1, err2 := move(t, Dir(from, nil), Job{Receive: to, Delete: true})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: sending %d MB, receiving %d MB", round, sent.Memory>>20, received.Memory>>20)
		const most = 36 << 20
		if !race && (sent.Memory > most || received.Memory > most) {
			t.Errorf("%s: sending took %d bytes, receiving %d", round, sent.Memory, received.Memory)
		}
	}
}
