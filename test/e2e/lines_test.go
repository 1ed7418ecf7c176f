package e2e

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// cutLine is an XS behind a line that can be cut, and an XO registered there.
func cutLine(t *testing.T) (*bed.XO, *bed.XS, *bed.Proxy) {
	t.Helper()
	x, s := pair(t, bed.Options{})
	must(t, x.StopService(t.Context(), bed.BackupName))
	p, err := bed.NewProxy(s.SSH)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	moveSSH(t, x, s.SSH, p.Addr)
	return x, s, p
}

// A 100 MB entry whose line is cut five times arrives: what came before a cut
// does not come again. And back.
func TestCutFiveTimes(t *testing.T) {
	t.Parallel()
	x, s, p := cutLine(t)
	const size = 100 << 20
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	copy(data, "no two runs of this file are alike")
	uid, err := x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": []byte("film")}, Data: data})
	must(t, err)
	must(t, x.Settle(t.Context()))

	fiveTimes := func(method string, args ...any) {
		t.Helper()
		before := p.Bytes()
		for i := range 5 {
			p.CutAfter(24 << 20)
			failed(t, x, "ServerUnavailable", method, args...)
			if s := property[string](t, x, "State"); s == "backing-up" {
				t.Errorf("after cut %d: %s", i, s)
			}
		}
		p.Mend()
		done(t, x, method, args...)
		// Each cut may cost the part that was under way, and a little talk.
		if moved := p.Bytes() - before; moved > size+5*(9<<20)+(4<<20) {
			t.Errorf("%s: %d MB moved for 100 MB", method, moved>>20)
		}
	}
	fiveTimes("Backup")
	if dirs := snapshotDirs(t, s); len(dirs) != 1 {
		t.Errorf("snapshots: %v", dirs)
	}
	must(t, x.WipeJournal(t.Context()))
	_, err = x.Find(t.Context())
	must(t, err)
	fiveTimes("Restore", "")
	e, err := x.ReadEntry(t.Context(), uid)
	must(t, err)
	if !bytes.Equal(e.Data, data) {
		t.Error("the film is not what it was")
	}
}

// The server is away, stops midway, and is back.
func TestServerAwayAndBack(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	fill(t, x, 30)
	must(t, s.Stop())
	started := time.Now()
	r := failed(t, x, "ServerUnavailable", "Backup")
	if d := time.Since(started); d > time.Minute {
		t.Errorf("a person waited %v", d)
	}
	if !strings.Contains(r.Message, "school server") {
		t.Errorf("message %q", r.Message)
	}
	must(t, s.Start(t.Context()))
	done(t, x, "Backup")

	// Killed midway through a larger backup.
	_, err := x.Create(t.Context(), bed.Sample{
		Props: map[string][]byte{"title": []byte("large")},
		Data:  bytes.Repeat([]byte("0123456789abcdef"), 4<<20),
	})
	must(t, err)
	must(t, x.Settle(t.Context()))
	before := onDisk(t, x)
	dirs := snapshotDirs(t, s)
	path := start(t, x, "Backup")
	awaitBytes(t, x, path, 4<<20)
	must(t, s.Kill())
	if r, err := x.Wait(t.Context(), path); err != nil || r.Result != "failed" {
		t.Fatalf("the backup of a killed server: %+v %v", r, err)
	}
	must(t, s.Start(t.Context()))
	if now := snapshotDirs(t, s); len(now) != len(dirs) {
		t.Errorf("half a backup got a name: %v", now)
	}
	if out, err := s.Run(t.Context(), "verify"); err != nil {
		t.Errorf("verify: %v %s", err, out)
	}
	done(t, x, "Backup")

	// Killed midway through a restore; it goes on by itself when the daemon is
	// started again, and until it is over no backup runs.
	must(t, x.WipeJournal(t.Context()))
	_, err = x.Find(t.Context())
	must(t, err)
	path = start(t, x, "Restore", "")
	awaitBytes(t, x, path, 4<<20)
	must(t, s.Kill())
	if r, err := x.Wait(t.Context(), path); err != nil || r.ErrorName != "org.laptop.Backup.Error.ServerUnavailable" {
		t.Fatalf("the restore from a killed server: %+v %v", r, err)
	}
	must(t, s.Start(t.Context()))
	failed(t, x, "Busy", "Backup")
	must(t, x.StopService(t.Context(), bed.BackupName))
	awaitRestored(t, x)
	holds(t, x, before)
	done(t, x, "Backup")
}

// The daemon is killed at many points of a restore, by each road: it goes on
// where it was after the next start, and nothing is lost or doubled.
func TestKilledDaemonGoesOn(t *testing.T) {
	for _, mode := range []string{"merge", "replace"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			x, _, line := cutLine(t)
			_, before := fill(t, x, 60)
			done(t, x, "Backup")
			must(t, x.WipeJournal(t.Context()))
			_, err := x.Find(t.Context())
			must(t, err)

			// While it fetches: nothing comes any more when the kill does.
			reached := line.StandStill(1 << 20)
			start(t, x, "RestoreWithOptions", "", options("mode", mode))
			for range 3 {
				await(t, reached)
				must(t, x.KillService(t.Context(), bed.BackupName))
				reached = line.StandStill(1 << 20)
				if state := property[string](t, x, "State"); state != "restoring" { // starts it again
					t.Fatalf("killed while it restored, the daemon is %s", state)
				}
			}
			line.GoOn()
			// While it publishes: where it hits is chance, that is the point.
			hits := 0
			for i := range 8 {
				jobs := property[[]objectPath](t, x, "Jobs")
				if len(jobs) == 0 {
					break
				}
				awaitEntries(t, x, jobs[0], 1)
				time.Sleep(time.Duration(i*7) * time.Millisecond)
				must(t, x.KillService(t.Context(), bed.BackupName))
				if property[string](t, x, "State") == "restoring" {
					hits++
				}
			}
			t.Logf("killed 3 times while it fetched, and %d times later", hits)
			if hits == 0 && mode == "merge" { // a replace has only a moment
				t.Error("no kill fell into the publishing")
			}
			awaitRestored(t, x)
			holds(t, x, before)
		})
	}
}

// await waits for what takes seconds at most.
func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("it never came")
	}
}

func awaitRestored(t *testing.T, x *bed.XO) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if property[string](t, x, "State") == "idle" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the restore did not go on: state %s", property[string](t, x, "State"))
}

// awaitBytes waits until a job has moved that much.
func awaitBytes(t *testing.T, x *bed.XO, path objectPath, n uint64) {
	t.Helper()
	for range 2000 {
		if jobProperty[uint64](t, x, path, "BytesDone") >= n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the job never moved %d bytes", n)
}
