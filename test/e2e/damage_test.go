package e2e

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// An entry that is damaged on the laptop when it is backed up is named, and its
// last whole version is in the new snapshot too; the rest goes on.
func TestDamagedAtBackup(t *testing.T) {
	damages := map[string]func(entry string) error{
		"no metadata": func(entry string) error { return os.RemoveAll(filepath.Join(entry, "metadata")) },
		"another uid": uidOfAnother,
		"data a folder": func(entry string) error {
			data := filepath.Join(entry, "data")
			return errors.Join(os.Remove(data), os.Mkdir(data, 0o755))
		},
		"new": uidOfAnother, // of this one there is no whole version
	}
	rows(t, func(t *testing.T, x *bed.XO, s *bed.XS, before func()) {
		uids := create(t, x, "whole", "changed", "no metadata", "another uid", "data a folder")
		must(t, x.Settle(t.Context()))
		done(t, x, "Backup")
		maps.Copy(uids, create(t, x, "new"))
		must(t, x.Update(t.Context(), uids["changed"], work("changed, later")))
		before()
		var damaged []datastore.UID
		for title, damage := range damages {
			uid := uids[title]
			must(t, damage(filepath.Join(x.Datastore, uid[:2], uid)))
			damaged = append(damaged, datastore.UID(uid))
		}
		slices.Sort(damaged)

		r := job(t, x, "Backup")
		if r.Result != "partial" {
			t.Errorf("%+v", r)
		}
		for title := range damages {
			if !strings.Contains(r.Message, uids[title]) {
				t.Errorf("%s, %s, is not named in %q", uids[title], title, r.Message)
			}
		}
		dirs := snapshotDirs(t, s)
		if len(dirs) != 2 {
			t.Fatalf("snapshots: %v", dirs)
		}
		first, second := os.DirFS(dirs[0]), os.DirFS(dirs[1])
		journal, err := datastore.ReadJournal(second)
		must(t, err)
		if !slices.Equal(journal.Kept, damaged) {
			t.Errorf("journal.cjson lists as kept\n%v, not\n%v", journal.Kept, damaged)
		}
		for _, title := range []string{"no metadata", "another uid", "data a folder", "whole"} {
			if old, now := inSnapshot(t, first, uids[title]), inSnapshot(t, second, uids[title]); old != now || now != title+": data of "+title {
				t.Errorf("%s: at school is %q, and was %q", title, now, old)
			}
		}
		if now := inSnapshot(t, second, uids["changed"]); now != "changed, later: data of changed, later" {
			t.Errorf("at school is %q", now)
		}
		if _, _, err := datastore.ReadEntry(second, datastore.UID(uids["new"])); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what was never whole is at school: %v", err)
		}
		if out, err := s.Run(t.Context(), "verify"); err != nil {
			t.Errorf("verify: %v %s", err, out)
		}
	})
}

// uidOfAnother gives an entry's folder the uid of another, as the datastore writes
// a property: by rename, which shows in the folder's time.
func uidOfAnother(entry string) error {
	uid, fresh := filepath.Join(entry, "metadata/uid"), filepath.Join(entry, "metadata/.uid")
	return errors.Join(os.WriteFile(fresh, []byte("another"), 0o644), os.Rename(fresh, uid))
}

// inSnapshot is an entry as a snapshot has it: its title and its data.
func inSnapshot(t *testing.T, snapshot fs.FS, uid string) string {
	t.Helper()
	e, _, err := datastore.ReadEntry(snapshot, datastore.UID(uid))
	must(t, err)
	r, err := datastore.OpenData(snapshot, e)
	must(t, err)
	defer r.Close()
	data, err := io.ReadAll(r)
	must(t, err)
	return string(e.Metadata["title"]) + ": " + string(data)
}
