package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// small mounts a small disk of its own over a folder.
func small(t *testing.T, dir, options string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let us mount a small disk: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
}

// A Journal that is larger than the disk that is left: what a child would miss
// most comes back, 50 MiB stay free, the rest stays at school and is named.
func TestJournalLargerThanTheDisk(t *testing.T) {
	const reserve = 50 << 20
	for _, live := range []bool{true, false} {
		t.Run(map[bool]string{true: "running", false: "not running"}[live], func(t *testing.T) {
			t.Parallel()
			x, _ := pair(t, bed.Options{})
			// The oldest is starred and comes in parts; the newer ones are larger
			// than the others, which fill what those leave.
			uids := []string{sized(t, x, 0, "1", 20<<20)}
			for i := range 16 {
				uids = append(uids, sized(t, x, i+1, "0", map[bool]int{true: 1 << 20, false: 8 << 20}[i < 12]))
			}
			must(t, x.Settle(t.Context()))
			done(t, x, "Backup")
			must(t, x.WipeJournal(t.Context()))
			ontoSmallDisk(t, x, "110m")
			if live {
				_, err := x.Find(t.Context())
				must(t, err)
			}

			leastFree := watchFree(t, x.Profile)
			r := job(t, x, "Restore", "")
			least, left := leastFree(), free(t, x.Profile)
			if r.Result != "partial" || !strings.Contains(r.Message, "school") {
				t.Fatalf("restore: %+v", r)
			}
			if least < reserve {
				t.Errorf("at one time %d bytes were free, %d less than 50 MiB", least, reserve-least)
			}
			// A large file needs room for one part more while it is put together.
			if left > reserve+10<<20 {
				t.Errorf("with %d MiB left nothing more came", left>>20)
			}
			if live {
				must(t, x.Settle(t.Context())) // the optimizer adds checksums, a while later
			}
			after, err := x.ReadJournal(t.Context())
			must(t, err)
			for i, came := range map[int]bool{0: true, 16: true, 15: true, 13: false, 12: true, 1: false} {
				if _, ok := after[uids[i]]; ok != came {
					t.Errorf("entry %d came back: %t", i, ok)
				}
			}
			t.Logf("%d of %d came back, %d KiB are free, at one time %d: %s", len(after), len(uids), left>>10, least>>10, r.Message)

			// A replace is whole or not at all.
			failed(t, x, "DiskFull", "RestoreWithOptions", "", options("mode", "replace"))
			again, err := x.ReadJournal(t.Context())
			must(t, err)
			if err := after.Diff(again); err != nil {
				t.Errorf("a replace that did not fit changed something: %v", err)
			}
		})
	}
}

// sized makes an entry with a file of that size, the i-th in time.
func sized(t *testing.T, x *bed.XO, i int, keep string, size int) (uid string) {
	t.Helper()
	uid, err := x.Create(t.Context(), bed.Sample{
		Props: map[string][]byte{"title": fmt.Appendf(nil, "%d", i), "keep": []byte(keep), "timestamp": fmt.Appendf(nil, "%d", 1_000_000_000+i)},
		Data:  bytes.Repeat(fmt.Appendf(nil, "%08d", i), size/8),
	})
	must(t, err)
	return uid
}

// ontoSmallDisk moves the profile onto a disk of its own.
func ontoSmallDisk(t *testing.T, x *bed.XO, size string) {
	t.Helper()
	must(t, x.StopService(t.Context(), bed.BackupName))
	profile := filepath.Join(t.TempDir(), "profile")
	must(t, os.CopyFS(profile, os.DirFS(x.Profile)))
	small(t, x.Profile, "size="+size)
	must(t, os.CopyFS(x.Profile, os.DirFS(profile)))
	for _, key := range []string{"owner.key", "backup.key"} {
		must(t, os.Chmod(filepath.Join(x.Profile, key), 0o600))
	}
}

// free is how many bytes of a disk anyone may still write.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Bavail) * st.Bsize
}

// watchFree looks at a disk again and again until it is asked how few bytes were
// free.
func watchFree(t *testing.T, dir string) (least func() int64) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	fewest := free(t, dir)
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			var st unix.Statfs_t
			if unix.Statfs(dir, &st) == nil {
				fewest = min(fewest, int64(st.Bavail)*st.Bsize)
			}
			time.Sleep(time.Millisecond)
		}
	})
	return func() int64 {
		stop()
		watching.Wait()
		return fewest
	}
}

// The server's disk is full: the laptop is told, what was safe stays, and once
// there is room the backup is made.
func TestServerDiskFull(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "library")
	small(t, root, "size=24m")
	s := bed.XSFor(t, bed.ServerOptions{Root: root, Env: []string{"XS_BACKUPD_MIN_FREE_MB=1", "XS_BACKUPD_MIN_FREE_INODES=10"}})
	x := bed.XOFor(t, bed.Options{})
	register(t, x, s)
	_, before := fill(t, x, 10)
	done(t, x, "Backup")
	big, err := x.Create(t.Context(), bed.Sample{
		Props: map[string][]byte{"title": []byte("too large")},
		Data:  bytes.Repeat([]byte("0123456789abcdef"), 3<<20),
	})
	must(t, err)
	must(t, x.Settle(t.Context()))
	r := failed(t, x, "ServerRefused", "Backup")
	t.Logf("full: %s", r.Message)
	if out, err := s.Run(t.Context(), "verify"); err != nil {
		t.Errorf("verify: %v %s", err, out)
	}
	must(t, exec.Command("mount", "-o", "remount,size=200m", root).Run())
	done(t, x, "Backup")
	must(t, x.WipeJournal(t.Context()))
	done(t, x, "Restore", "")
	must(t, x.Delete(t.Context(), big))
	holds(t, x, before)
}

// A backup needs no free disk on the laptop.
func TestBackupWithAFullLaptop(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "disk")
	small(t, home, "size=24m,nr_inodes=20000")
	s := bed.XSFor(t, bed.ServerOptions{})
	x, err := bed.StartXO(t.Context(), filepath.Join(home, "xo"), bed.Options{Binaries: bed.Programs(t)})
	must(t, err)
	t.Cleanup(func() { must(t, x.Close()) })
	register(t, x, s)
	_, before := fill(t, x, 20)
	must(t, x.StopService(t.Context(), bed.DataStoreName))
	f, err := os.Create(filepath.Join(home, "ballast"))
	must(t, err)
	for buf := make([]byte, 4096); err == nil; {
		_, err = f.Write(buf)
	}
	f.Close()
	r := job(t, x, "Backup")
	if r.Result != "done" {
		t.Fatalf("with a full disk: %+v", r)
	}
	must(t, os.Remove(filepath.Join(home, "ballast")))
	must(t, x.WipeJournal(t.Context()))
	must(t, exec.Command("mount", "-o", "remount,size=300m", home).Run())
	done(t, x, "Restore", "")
	holds(t, x, before)
}
