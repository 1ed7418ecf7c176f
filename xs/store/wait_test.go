package store

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// threads of this process.
func threads(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(b), "Threads:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The bug: each registration that waited for accounts.log held a thread of the
// system in flock, so that strangers could end the server, which Go does at
// 10,000 threads.
func TestWaitingHoldsNoThread(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	f := testFolder(t, s)
	other, err := testStore(t, dir).lockLog(t.Context()) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	before := threads(t)
	ctx, giveUp := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			_, err := s.Register(ctx, Registration{Serial: "SHC2", UUID: "u", Key: testKey(2)}, 10)
			if i%3 == 0 {
				err = s.AddKey(ctx, f.ID, Key{Kind: Owner}, testKey(3), "SHC00000001")
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	if now := threads(t); now > before+50 {
		t.Errorf("300 that wait hold %d threads", now-before)
	}
	giveUp()
	wg.Wait()
	other.Close()
	if id, err := s.Register(t.Context(), Registration{Serial: "SHC2", UUID: "u", Key: testKey(2)}, 10); err != nil || id != "SHC2" {
		t.Error(id, err)
	}
}
