package transfer

import (
	"context"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// 2,000 small files, 20 MB: a Journal of 1,000 entries.
const (
	benchFiles = 2000
	benchSize  = 10_000
)

func BenchmarkFirst(b *testing.B) { benchmark(b, true, move2) }
func BenchmarkAgain(b *testing.B) { benchmark(b, false, move2) }

// Unconfined is gokrazy in this process, with all of its fsyncs.
func BenchmarkFirstUnconfined(b *testing.B) { benchmark(b, true, moveUnconfined) }
func BenchmarkAgainUnconfined(b *testing.B) { benchmark(b, false, moveUnconfined) }

func move2(b *testing.B, from, to string) {
	sent, received, err1, err2 := move(b, Dir(from, nil), Job{Receive: to, Delete: true})
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	if err := syncDisk(to); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(sent.Memory>>10), "sendKB")
	b.ReportMetric(float64(received.Memory>>10), "receiveKB")
}

// syncDisk is what the parent does once: see synced.
func syncDisk(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

func moveUnconfined(b *testing.B, from, to string) {
	left, right := pipe(b)
	fsys, err := openDir(b.Context(), Dir(from, nil).Spec, nil)
	if err != nil {
		b.Fatal(err)
	}
	sent := make(chan error)
	go func() {
		_, err := send(context.Background(), fsys, Job{}, left, newWriter(left))
		sent <- err
	}()
	job := Job{Receive: to, Delete: true, Limits: Limits{}.withDefaults()}
	if _, err := receive(b.Context(), job, nil, right, newWriter(right)); err != nil {
		b.Fatal(err)
	}
	if err := <-sent; err != nil {
		b.Fatal(err)
	}
}

func benchmark(b *testing.B, first bool, move func(*testing.B, string, string)) {
	from := grow(b, benchFiles, benchSize)
	// A new folder for each first time: ext4 is slow at making files where many
	// have just been removed.
	fresh := func() string {
		to := b.TempDir()
		if err := syncDisk(to); err != nil {
			b.Fatal(err)
		}
		return to
	}
	to := fresh()
	if !first {
		move(b, from, to)
	}
	var spent time.Duration
	for b.Loop() {
		before := cpuTime()
		move(b, from, to)
		spent += cpuTime() - before
		if first {
			b.StopTimer()
			to = fresh()
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "cpu-ms/op")
}

// cpuTime is what this process and its children have used: on a busy machine
// it says more than the clock.
func cpuTime() (sum time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if unix.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return sum
}
