package xs

import (
	"crypto/rand"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/wire"
)

// large is a Journal of so many MB that no other has.
func large(t *testing.T, mb int) string {
	t.Helper()
	dir := journal(t, 2)
	b := make([]byte, mb<<20)
	rand.Read(b)
	writeEntry(t, dir, 9, "large", b)
	return dir
}

// The bug: what current shares with snapshots counted as room, although nothing
// becomes free when it is replaced.
func TestReserveHoldsWhenAllIsReplaced(t *testing.T) {
	const disk, reserve, journal = 64, 24, 24
	b := smallBed(t, "size=64m", func(c *Config) { c.MinFreeMB = reserve })
	if o := b.backup(b.client(), large(t, journal)); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	refusedAs(t, b.backup(b.client(), large(t, journal)).refusal, wire.RefusedFull, "disk is full")
	var st unix.Statfs_t
	if err := unix.Statfs(b.root, &st); err != nil {
		t.Fatal(err)
	}
	if left := int64(st.Bavail) * int64(st.Bsize); left < reserve<<20 {
		t.Errorf("%d kB are left of %d", left>>10, reserve<<10)
	}
	// What was not in a snapshot yet does become free.
	if o := b.backup(b.client(), large(t, disk-reserve-journal-2)); o.refusal != nil {
		t.Errorf("there is room for it: %+v", o.refusal)
	}
}

// The bug: sessions that ran side by side were each promised the same room.
func TestRoomIsPromisedOnce(t *testing.T) {
	b := smallBed(t, "size=64m", func(c *Config) { c.MinFreeMB = 10 })
	mine, others := large(t, 30), large(t, 30)
	held := b.announce(offer(t, mine))
	other := b.other(1)
	if o := b.backup(other, others); o.refusal == nil || o.refusal.Code != wire.RefusedBusy || o.refusal.RetryAfter == 0 {
		t.Errorf("%+v", o)
	}
	if o := b.backup(other, journal(t, 2)); o.refusal != nil {
		t.Errorf("there is room for both: %v", o.refusal)
	}
	held.Close()
	waitFor(t, "the room is given back", func() bool { return b.backup(other, others).refusal == nil })
	refusedAs(t, b.backup(b.client(), mine).refusal, wire.RefusedFull, "there is room for")
}
