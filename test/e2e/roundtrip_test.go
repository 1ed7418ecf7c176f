package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// The main job: a Journal that Sugar's own datastore wrote is backed up, lost,
// and comes back byte for byte, by each of the three roads.
func TestBackupWipeRestore(t *testing.T) {
	const entries = 60
	merge := map[string]dbus.Variant{}
	replace := map[string]dbus.Variant{"mode": dbus.MakeVariant("replace")}
	for _, c := range []struct {
		name    string
		options map[string]dbus.Variant
		running bool // Sugar's datastore, during the restore
	}{
		{"merge into a running datastore", merge, true},
		{"merge with no Sugar running", merge, false},
		{"replace under a running datastore", replace, true},
		{"replace with no Sugar running", replace, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x, _ := pair(t, bed.Options{})
			_, before := fill(t, x, entries)
			done(t, x, "Backup")
			must(t, x.WipeJournal(t.Context()))
			if c.running {
				if left, err := x.Find(t.Context()); err != nil || len(left) != 0 {
					t.Fatalf("after the wipe the datastore finds %d entries: %v", len(left), err)
				}
			}
			done(t, x, "RestoreWithOptions", "", c.options)
			if pid, err := x.ServicePID(t.Context(), bed.DataStoreName); err != nil || pid != 0 && !c.running {
				t.Fatalf("the restore started a datastore: %d, %v", pid, err)
			}
			holds(t, x, before)
			must(t, x.Settle(t.Context()))
			if err := before.Diff(onDisk(t, x)); err != nil {
				t.Errorf("what is on disk is not what was there: %v", err)
			}
			if _, err := os.Lstat(filepath.Join(x.Profile, "datastore.restore")); !os.IsNotExist(err) {
				t.Errorf("the staging folder is still there: %v", err)
			}
		})
	}
}

// After a reflash the almost empty Journal is backed up too; a restore that names
// no snapshot takes the fullest of the last two all the same, and what was made
// since stays. A Journal that has only shrunk is no reflash.
func TestRestoreAfterReflash(t *testing.T) {
	for _, c := range []struct {
		name  string
		since int  // entries made after the wipe
		back  bool // the 20 from before it come
	}{
		{"reflashed", 2, true},
		{"less than half", 9, true},
		{"half", 10, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x, s := pair(t, bed.Options{})
			_, before := fill(t, x, 20)
			done(t, x, "Backup")
			must(t, x.WipeJournal(t.Context()))
			_, err := x.FillJournal(t.Context(), c.since, 2)
			must(t, err)
			want := onDisk(t, x)
			done(t, x, "Backup")
			if dirs := snapshotDirs(t, s); len(dirs) != 2 {
				t.Fatalf("snapshots: %v", dirs)
			}
			if c.back {
				maps.Copy(want, before)
			}

			done(t, x, "Restore", "")
			holds(t, x, want)
		})
	}
}

// What a replace replaced is kept beside it, under a name that says what it is.
func TestReplaceKeepsTheOld(t *testing.T) {
	t.Parallel()
	x, _ := pair(t, bed.Options{})
	_, before := fill(t, x, 20)
	done(t, x, "Backup")
	if _, err := x.Create(t.Context(), bed.Samples(1, 99)[0]); err != nil {
		t.Fatal(err)
	}
	must(t, x.Settle(t.Context()))
	with := onDisk(t, x)

	done(t, x, "RestoreWithOptions", "", map[string]dbus.Variant{"mode": dbus.MakeVariant("replace")})
	holds(t, x, before)
	kept, err := filepath.Glob(filepath.Join(x.Profile, "datastore.replaced-*"))
	must(t, err)
	if len(kept) != 1 {
		t.Fatalf("kept: %v", kept)
	}
	old, err := bed.ReadDisk(kept[0])
	must(t, err)
	if err := with.Diff(old); err != nil {
		t.Errorf("what was kept is not what was there: %v", err)
	}
}

// A backup that finds nothing changed makes no new snapshot; one that does
// makes one that shares what is unchanged.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	uids, _ := fill(t, x, 20)
	done(t, x, "Backup")
	done(t, x, "Backup")
	if dirs := snapshotDirs(t, s); len(dirs) != 1 {
		t.Fatalf("after two backups of the same: %v", dirs)
	}
	// What was read once is remembered, so that the next look reads nothing.
	if st, err := os.Stat(filepath.Join(x.Home, ".cache/xo-backupd/look")); err != nil || st.Size() == 0 {
		t.Errorf("the look's cache: %v", err)
	}
	must(t, x.Update(t.Context(), uids[3], bed.Samples(1, 50)[0]))
	must(t, x.Settle(t.Context()))
	done(t, x, "Backup")
	dirs := snapshotDirs(t, s)
	if len(dirs) != 2 {
		t.Fatalf("after a change: %v", dirs)
	}
	for i, uid := range uids {
		name := filepath.Join(uid[:1], uid+".cjson")
		a, err := os.Stat(filepath.Join(dirs[0], name))
		must(t, err)
		b, err := os.Stat(filepath.Join(dirs[1], name))
		must(t, err)
		if os.SameFile(a, b) != (i != 3) {
			t.Errorf("entry %d is shared: %t", i, os.SameFile(a, b))
		}
	}
	latest, err := os.Readlink(filepath.Join(account(t, s), "latest"))
	must(t, err)
	if filepath.Base(latest) != filepath.Base(dirs[1]) {
		t.Errorf("latest is %s", latest)
	}
	if list := snapshots(t, x); len(list) != 2 || list[0]["seq"].Value().(uint64) <= list[1]["seq"].Value().(uint64) {
		t.Errorf("ListSnapshots: %v", list)
	}
	if out, err := s.Run(t.Context(), "verify"); err != nil {
		t.Errorf("xs-backupd verify: %v %s", err, out)
	}

	// An older snapshot brings back what the entry was, beside what it is:
	// the agreed version is newer, so nothing is overwritten.
	old := snapshotID(t, x, 1)
	done(t, x, "Restore", old)
	now, err := x.ReadEntry(t.Context(), uids[3])
	must(t, err)
	if string(now.Props["title"]) != string(bed.Samples(1, 50)[0].Props["title"]) {
		t.Errorf("an older snapshot overwrote newer work: %q", now.Props["title"])
	}
}

// The command does what a person would type.
func TestCommand(t *testing.T) {
	t.Parallel()
	s := bed.XSFor(t, bed.ServerOptions{})
	x := bed.XOFor(t, bed.Options{})
	must(t, x.PointAt(s))
	_, before := fill(t, x, 10)
	for _, args := range [][]string{{"register"}, {"now"}, {"status"}, {"list"}} {
		out, err := x.Command(t.Context(), x.Options.Binaries.Command, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("xo-backup %s: %v\n%s", args[0], err, out)
		}
		if len(strings.TrimSpace(string(out))) == 0 {
			t.Errorf("xo-backup %s says nothing", args[0])
		}
	}
	must(t, x.WipeJournal(t.Context()))
	out, err := x.Command(t.Context(), x.Options.Binaries.Command, "restore").CombinedOutput()
	if err != nil {
		t.Fatalf("xo-backup restore: %v\n%s", err, out)
	}
	holds(t, x, before)
}
