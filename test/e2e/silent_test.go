package e2e

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A server that falls silent without a word, as one does whose Wi-Fi drops or
// whose disk hangs, keeps a person waiting for less than a minute: before a
// backup, midway through one, and midway through a restore.
func TestServerFallsSilent(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	fill(t, x, 10)
	big, err := x.Create(t.Context(), bed.Sample{
		Props: map[string][]byte{"title": []byte("large")},
		Data:  bytes.Repeat([]byte("0123456789abcdef"), 8<<20),
	})
	must(t, err)
	must(t, x.Settle(t.Context()))
	before := onDisk(t, x)

	silent := func(begin func() (wait func() bed.Result)) {
		t.Helper()
		wait := begin()
		must(t, syscall.Kill(s.PID(), syscall.SIGSTOP))
		since := time.Now()
		r := wait()
		must(t, syscall.Kill(s.PID(), syscall.SIGCONT))
		if r.ErrorName != "org.laptop.Backup.Error.ServerUnavailable" {
			t.Fatalf("%+v", r)
		}
		if d := time.Since(since); d > time.Minute {
			t.Errorf("a person waited %v", d)
		}
		t.Log(r.Message)
	}
	midway := func(method string, args ...any) func() func() bed.Result {
		return func() func() bed.Result {
			path := start(t, x, method, args...)
			awaitBytes(t, x, path, 4<<20)
			return func() bed.Result {
				r, err := x.Wait(t.Context(), path)
				must(t, err)
				return r
			}
		}
	}
	silent(func() func() bed.Result {
		return func() bed.Result { return job(t, x, "Backup") }
	})
	silent(midway("Backup"))
	eventually(t, x, "Backup")

	must(t, x.WipeJournal(t.Context()))
	_, err = x.Find(t.Context())
	must(t, err)
	silent(midway("Restore", ""))
	eventually(t, x, "Restore", "")
	after, err := x.ReadJournal(t.Context())
	must(t, err)
	if err := before.Diff(after, "checksum"); err != nil { // see holds
		t.Error(err)
	}
	if len(after[big].Data) != 128<<20 {
		t.Error("the large entry is not whole")
	}
}

// eventually does a job of which the server may still think that it is under way.
func eventually(t *testing.T, x *bed.XO, method string, args ...any) {
	t.Helper()
	var r bed.Result
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		if r = job(t, x, method, args...); r.Result == "done" {
			return
		}
	}
	t.Fatalf("%s: %+v", method, r)
}
