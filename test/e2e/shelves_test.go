package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// findIn asks org.laptop.Backup for the titles in a Journal.
func findIn(t *testing.T, x *bed.XO, snapshot, text string) ([]string, error) {
	t.Helper()
	query := map[string]dbus.Variant{}
	if text != "" {
		query["query"] = dbus.MakeVariant(text)
	}
	var found []map[string]dbus.Variant
	var count uint32
	err := x.Backup().CallWithContext(t.Context(), "org.laptop.Backup.Find", 0, snapshot, query, []string{"title"}).Store(&found, &count)
	var titles []string
	for _, e := range found {
		titles = append(titles, e["title"].Value().(string))
	}
	if err == nil && int(count) != len(titles) {
		t.Errorf("%d entries, and %d in all", len(titles), count)
	}
	return titles, err
}

// TestSnapshotsAreKeptWithinBounds: what is kept of snapshots to look into has a
// bound, is fetched anew where it is damaged, and is of use without the school.
func TestSnapshotsAreKeptWithinBounds(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	uid, err := x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": []byte("title 0")}})
	must(t, err)
	var ids []string
	for n := range 8 {
		if n > 0 {
			time.Sleep(1100 * time.Millisecond) // a snapshot's name is its second
			if titles, err := findIn(t, x, "latest", ""); err != nil || len(titles) != 1 || titles[0] != fmt.Sprintf("title %d", n-1) {
				t.Errorf("the latest is of before backup %d: %v, %v", n, titles, err)
			}
			must(t, x.Update(t.Context(), uid, bed.Sample{Props: map[string][]byte{"title": fmt.Appendf(nil, "title %d", n)}}))
		}
		must(t, x.Settle(t.Context()))
		done(t, x, "Backup")
		ids = append(ids, snapshotID(t, x, 0))
	}
	cache := filepath.Join(x.Home, ".cache/xo-backupd/snapshots")
	for n, id := range ids {
		if titles, err := findIn(t, x, id, "title"); err != nil || len(titles) != 1 || titles[0] != fmt.Sprintf("title %d", n) {
			t.Errorf("snapshot %d: %v, %v", n, titles, err)
		}
	}
	if kept, err := os.ReadDir(cache); err != nil || len(kept) != 6 {
		t.Errorf("%d are kept, %v", len(kept), err)
	}
	if titles, err := findIn(t, x, ids[0], "0"); err != nil || len(titles) != 1 { // again
		t.Errorf("%v, %v", titles, err)
	}

	for _, c := range []struct{ id, want string }{
		{"2001-01-01T00-00-00Z", "NoSnapshot"},
		{"../../etc", "InvalidArgument"},
	} {
		_, err := findIn(t, x, c.id, "")
		refused(t, err, c.want)
	}

	// Every file of one, damaged while nobody looks.
	must(t, x.StopService(t.Context(), bed.BackupName))
	folders, err := filepath.Glob(filepath.Join(cache, "*"+ids[0]))
	must(t, err)
	if len(folders) != 1 {
		t.Fatalf("%v", folders)
	}
	files, err := filepath.Glob(folders[0] + "/index/*")
	must(t, err)
	for _, f := range files {
		must(t, os.WriteFile(f, []byte("damaged"), 0o600))
		if titles, err := findIn(t, x, ids[0], "title"); err != nil || len(titles) != 1 {
			t.Errorf("%s damaged: %v, %v", filepath.Base(f), titles, err)
		}
		must(t, x.StopService(t.Context(), bed.BackupName))
	}

	must(t, s.Stop())
	if titles, err := findIn(t, x, ids[0], "0"); err != nil || len(titles) != 1 {
		t.Errorf("without the school: %v, %v", titles, err)
	}
	must(t, os.RemoveAll(cache))
	must(t, x.StopService(t.Context(), bed.BackupName))
	_, err = findIn(t, x, ids[0], "0")
	refused(t, err, "ServerUnavailable")
}

// TestReindex: the index is a cache. Whatever becomes of it, the Journal is found.
func TestReindex(t *testing.T) {
	t.Parallel()
	x := bed.XOFor(t, bed.Options{}) // a laptop that no school knows
	fill(t, x, 30)
	all, err := findIn(t, x, "", "")
	must(t, err)
	if len(all) != 30 {
		t.Fatalf("%d entries", len(all))
	}
	if r := done(t, x, "Reindex"); r.Message != "30 entries can be found." {
		t.Errorf("%q", r.Message)
	}
	must(t, x.KillService(t.Context(), bed.BackupName))
	_, err = x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": []byte("drawn while it was gone")}})
	must(t, err)
	if titles, err := findIn(t, x, "", "gone"); err != nil || len(titles) != 1 {
		t.Errorf("%v, %v", titles, err)
	}
	must(t, x.StopService(t.Context(), bed.BackupName))
	must(t, os.RemoveAll(filepath.Join(x.Home, ".cache")))
	if all, err = findIn(t, x, "", ""); err != nil || len(all) != 31 {
		t.Errorf("%d, %v", len(all), err)
	}
	must(t, x.WipeJournal(t.Context()))
	_, err = findIn(t, x, "", "")
	refused(t, err, "Failed")
	_, err = x.Find(t.Context()) // Sugar begins an empty one
	must(t, err)
	if all, err = findIn(t, x, "", ""); err != nil || len(all) != 0 {
		t.Errorf("%d in an empty Journal, %v", len(all), err)
	}
	if r := done(t, x, "Reindex"); r.Message != "0 entries can be found." {
		t.Errorf("%q", r.Message)
	}
}

// TestFindFollowsARestore: what a restore has brought back, by whichever road, is
// found at once by whoever has looked before.
func TestFindFollowsARestore(t *testing.T) {
	t.Parallel()
	x, _ := pair(t, bed.Options{})
	uids, _ := fill(t, x, 12)
	done(t, x, "Backup")
	finds := func(when string, want int) {
		t.Helper()
		if all, err := findIn(t, x, "", ""); err != nil || len(all) != want {
			t.Errorf("%s: %d, not %d; %v", when, len(all), want, err)
		}
	}
	finds("at first", 12)
	lose := func() {
		t.Helper()
		for _, uid := range uids[:3] {
			must(t, x.Delete(t.Context(), uid))
		}
		finds("after some are gone", 9)
	}
	lose()
	done(t, x, "Restore", "")
	finds("after a live restore", 12)
	lose()
	done(t, x, "RestoreEntry", "", uids[0])
	finds("after one entry", 10)
	must(t, x.StopService(t.Context(), bed.DataStoreName))
	done(t, x, "Restore", "")
	finds("after a restore straight into the folder", 12)
	for n := range 5 {
		_, err := x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": fmt.Appendf(nil, "more %d", n)}})
		must(t, err)
	}
	finds("with more", 17)
	done(t, x, "RestoreWithOptions", "", options("mode", "replace"))
	finds("after a replace", 12)
	_, err := x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": []byte("one more")}})
	must(t, err)
	finds("and one more", 13)

	path := filepath.Join(x.Dir, "tmp", "one.xoj")
	done(t, x, "ExportEntry", "", uids[5], path)
	must(t, x.Delete(t.Context(), uids[5]))
	must(t, x.InstallBundles(t.Context(), path))
	finds("after its bundle was installed", 13)
}
