package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
	for _, live := range []bool{true, false} {
		t.Run(map[bool]string{true: "running", false: "not running"}[live], func(t *testing.T) {
			t.Parallel()
			x, _ := pair(t, bed.Options{})
			var uids []string
			for i := range 10 {
				keep := "0"
				if i == 0 {
					keep = "1" // the oldest, but starred
				}
				uid, err := x.Create(t.Context(), bed.Sample{
					Props: map[string][]byte{"title": fmt.Appendf(nil, "%d", i), "keep": []byte(keep), "timestamp": fmt.Appendf(nil, "%d", 1_000_000_000+i)},
					Data:  bytes.Repeat(fmt.Appendf(nil, "%08d", i), 1<<20),
				})
				must(t, err)
				uids = append(uids, uid)
			}
			must(t, x.Settle(t.Context()))
			done(t, x, "Backup")
			must(t, x.WipeJournal(t.Context()))
			profile := filepath.Join(t.TempDir(), "profile")
			must(t, os.CopyFS(profile, os.DirFS(x.Profile)))
			must(t, x.StopService(t.Context(), bed.BackupName))
			small(t, x.Profile, "size=110m")
			must(t, os.CopyFS(x.Profile, os.DirFS(profile)))
			for _, key := range []string{"owner.key", "backup.key"} {
				must(t, os.Chmod(filepath.Join(x.Profile, key), 0o600))
			}
			if live {
				_, err := x.Find(t.Context())
				must(t, err)
			}
			r := job(t, x, "Restore", "")
			if r.Result != "partial" {
				t.Fatalf("restore: %+v", r)
			}
			if live {
				must(t, x.Settle(t.Context())) // the optimizer adds checksums, a while later
			}
			after, err := x.ReadJournal(t.Context())
			must(t, err)
			if len(after) == 0 || len(after) == len(uids) {
				t.Fatalf("%d entries came back", len(after))
			}
			if _, ok := after[uids[0]]; !ok {
				t.Error("the starred entry did not come first")
			}
			if _, ok := after[uids[9]]; !ok {
				t.Error("the newest entry did not come before the others")
			}
			if free := freeMiB(t, x.Profile); free < 48 {
				t.Errorf("only %d MiB are free", free)
			}
			if !strings.Contains(r.Message, "school") {
				t.Errorf("message %q", r.Message)
			}
			t.Logf("%d of %d came back: %s", len(after), len(uids), r.Message)

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

func freeMiB(t *testing.T, dir string) int {
	t.Helper()
	var free int
	out := run(t, "stat", "-f", "-c", "%a %S", dir)
	var blocks, size int
	if _, err := fmt.Sscan(out, &blocks, &size); err != nil {
		t.Fatal(err)
	}
	free = blocks * size >> 20
	return free
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
