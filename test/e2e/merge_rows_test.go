package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// rows runs a test while Sugar's datastore runs during the restore, and while it
// does not.
func rows(t *testing.T, test func(t *testing.T, x *bed.XO, s *bed.XS, before func())) {
	for _, live := range []bool{true, false} {
		t.Run(map[bool]string{true: "running datastore", false: "no Sugar running"}[live], func(t *testing.T) {
			t.Parallel()
			x, s := pair(t, bed.Options{})
			test(t, x, s, func() {
				must(t, x.Settle(t.Context()))
				if !live {
					must(t, x.StopService(t.Context(), bed.DataStoreName))
				}
			})
		})
	}
}

// work is an entry with a title and data that go together.
func work(title string) bed.Sample {
	return bed.Sample{
		Props: map[string][]byte{"title": []byte(title), "timestamp": []byte("7"), "creation_time": []byte("7")},
		Data:  []byte("data of " + title),
	}
}

// create makes entries of those titles, and answers their uids by title.
func create(t *testing.T, x *bed.XO, titles ...string) map[string]string {
	t.Helper()
	uids := map[string]string{}
	for _, title := range titles {
		uid, err := x.Create(t.Context(), work(title))
		must(t, err)
		uids[title] = uid
	}
	return uids
}

// titles are those of the Journal as Sugar's datastore has it, by uid; each
// stands beside its own data. A twin's day is cut off.
func titles(t *testing.T, x *bed.XO) (own map[string]string, twins []string) {
	t.Helper()
	journal, err := x.ReadJournal(t.Context())
	must(t, err)
	own = map[string]string{}
	for uid, e := range journal {
		title, _, twin := strings.Cut(string(e.Props["title"]), " (")
		if string(e.Data) != "data of "+title {
			t.Errorf("title %q stands beside data %q", title, e.Data)
		}
		if twin {
			twins = append(twins, title)
		} else {
			own[uid] = title
		}
	}
	return own, twins
}

// An older snapshot than what was agreed on last brings back what is missing, and
// overwrites nothing: neither what was backed up since, nor what was changed after
// that.
func TestMergeOlderSnapshot(t *testing.T) {
	rows(t, func(t *testing.T, x *bed.XO, _ *bed.XS, before func()) {
		uids := create(t, x, "equal", "deleted", "newer", "newest")
		must(t, x.Settle(t.Context()))
		done(t, x, "Backup")
		old := snapshotID(t, x, 0)
		must(t, x.Update(t.Context(), uids["newer"], work("newer, agreed")))
		must(t, x.Update(t.Context(), uids["newest"], work("newest, agreed")))
		must(t, x.Settle(t.Context()))
		done(t, x, "Backup")
		must(t, x.Update(t.Context(), uids["newest"], work("newest, here")))
		must(t, x.Delete(t.Context(), uids["deleted"]))
		before()
		for range 2 { // the second changes nothing more
			r := done(t, x, "Restore", old)
			if !strings.Contains(r.Message, "2 newer ones stayed") {
				t.Errorf("%+v", r)
			}
			own, twins := titles(t, x)
			want := map[string]string{
				uids["equal"]: "equal", uids["deleted"]: "deleted",
				uids["newer"]: "newer, agreed", uids["newest"]: "newest, here",
			}
			if !maps.Equal(own, want) || len(twins) > 0 {
				t.Errorf("titles:\n%v\nwant\n%v\ntwins: %v", own, want, twins)
			}
		}
	})
}

// Where nothing was agreed on, or nobody remembers, nobody can tell which version
// is newer: both are there afterwards.
func TestMergeNothingAgreed(t *testing.T) {
	rows(t, func(t *testing.T, x *bed.XO, _ *bed.XS, before func()) {
		uids := create(t, x, "equal", "deleted", "changed")
		must(t, x.Settle(t.Context()))
		done(t, x, "Backup")
		must(t, x.Update(t.Context(), uids["changed"], work("changed, here")))
		must(t, x.Delete(t.Context(), uids["deleted"]))
		here := create(t, x, "never backed up")
		before()
		must(t, x.StopService(t.Context(), bed.BackupName))
		agreed, err := filepath.Glob(filepath.Join(x.Home, ".local/share/xo-backupd/agreed-*"))
		must(t, err)
		if len(agreed) != 1 {
			t.Fatalf("agreements: %v", agreed)
		}
		must(t, os.Remove(agreed[0]))
		for range 2 { // the second finds the twin, and makes no other
			done(t, x, "Restore", "")
			own, twins := titles(t, x)
			want := map[string]string{
				uids["equal"]: "equal", uids["deleted"]: "deleted",
				uids["changed"]: "changed, here", here["never backed up"]: "never backed up",
			}
			if !maps.Equal(own, want) || len(twins) != 1 || twins[0] != "changed" {
				t.Errorf("titles:\n%v\nwant\n%v\ntwins: %v", own, want, twins)
			}
		}
	})
}

// An entry that cannot be read here any more comes back from school, and what was
// here of it is kept aside.
func TestMergeDamagedHere(t *testing.T) {
	rows(t, func(t *testing.T, x *bed.XO, _ *bed.XS, before func()) {
		uids := create(t, x, "whole", "damaged")
		must(t, x.Settle(t.Context()))
		done(t, x, "Backup")
		before()
		uid := uids["damaged"]
		must(t, uidOfAnother(filepath.Join(x.Datastore, uid[:2], uid)))
		r := job(t, x, "Restore", "")
		aside := filepath.Join(x.Profile, "backup-unreadable", uid+"-as-it-was-here")
		if r.Result != "partial" || !strings.Contains(r.Message, aside) {
			t.Errorf("%+v", r)
		}
		if b, err := os.ReadFile(filepath.Join(aside, "data")); err != nil || string(b) != "data of damaged" {
			t.Errorf("aside: %q, %v", b, err)
		}
		own, twins := titles(t, x)
		if want := map[string]string{uids["whole"]: "whole", uid: "damaged"}; !maps.Equal(own, want) || len(twins) > 0 {
			t.Errorf("titles:\n%v\nwant\n%v\ntwins: %v", own, want, twins)
		}
	})
}

// Sugar's datastore dies in the midst of a restore, again and again: the restore
// goes on, and in the end each entry is there once, whole.
func TestDatastoreDiesMidway(t *testing.T) {
	t.Parallel()
	x, _ := pair(t, bed.Options{})
	_, before := fill(t, x, 150)
	done(t, x, "Backup")
	must(t, x.WipeJournal(t.Context()))
	for i := range 6 {
		_, err := x.Find(t.Context()) // starts it
		must(t, err)
		path := start(t, x, "Restore", "")
		awaitEntries(t, x, path, uint32(20*(i+1)))
		must(t, x.KillService(t.Context(), bed.DataStoreName))
		r, err := x.Wait(t.Context(), path)
		must(t, err)
		if r.Result == "failed" {
			if r.ErrorName != "org.laptop.Backup.Error.Failed" || !strings.Contains(r.Message, "datastore") {
				t.Errorf("%+v", r)
			}
			var s struct {
				Reason string `json:"state_reason"`
			}
			command(t, x, &s, "status")
			if !strings.Contains(s.Reason, "is not over") {
				t.Errorf("status says %q", s.Reason)
			}
		}
	}
	_, err := x.Find(t.Context())
	must(t, err)
	done(t, x, "Restore", "")
	holds(t, x, before)
	done(t, x, "Backup")
}

// awaitEntries waits until a job has done that many entries, or is over.
func awaitEntries(t *testing.T, x *bed.XO, path objectPath, n uint32) {
	t.Helper()
	for range 12000 {
		if jobProperty[uint32](t, x, path, "EntriesDone") >= n || jobProperty[string](t, x, path, "Result") != "" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the job does not get on")
}

// A restore that can not go on says so, and can be given up by a person who knows
// nothing but the command.
func TestGiveUpARestore(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	_, err := x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": []byte("film")}, Data: make([]byte, 30<<20)})
	must(t, err)
	must(t, x.Settle(t.Context()))
	done(t, x, "Backup")
	must(t, x.WipeJournal(t.Context()))
	_, err = x.Find(t.Context())
	must(t, err)
	path := start(t, x, "Restore", "")
	awaitBytes(t, x, path, 4<<20)
	must(t, s.Kill())
	if r, err := x.Wait(t.Context(), path); err != nil || r.Result != "failed" {
		t.Fatalf("%+v %v", r, err)
	}
	must(t, x.StopService(t.Context(), bed.BackupName)) // as the laptop's end would
	var status struct {
		State  string `json:"state"`
		Reason string `json:"state_reason"`
		Jobs   []json.RawMessage
	}
	command(t, x, &status, "status")
	if status.State != "restoring" || len(status.Jobs) != 1 || !strings.Contains(status.Reason, "xo-backup cancel") {
		t.Errorf("%+v", status)
	}
	var cancelled []struct{ Operation, Result string }
	command(t, x, &cancelled, "cancel")
	if len(cancelled) != 1 || cancelled[0].Operation != "restore" || cancelled[0].Result != "cancelled" {
		t.Errorf("%+v", cancelled)
	}
	must(t, s.Start(t.Context()))
	done(t, x, "Backup")
	command(t, x, &status, "status")
	if status.State != "idle" || status.Reason != "" {
		t.Errorf("%+v", status)
	}
	if _, err := os.Lstat(filepath.Join(x.Profile, "datastore.restore")); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

// Metadata that is damaged at school is named, what is here of it stays, and the
// rest comes back; in a replace too.
func TestMetadataDamagedAtSchool(t *testing.T) {
	for _, mode := range []string{"merge", "replace"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			x, s := pair(t, bed.Options{})
			uids := create(t, x, "whole", "damaged, here", "damaged, not here")
			must(t, x.Settle(t.Context()))
			done(t, x, "Backup")
			dir := snapshotDirs(t, s)[0]
			for _, title := range []string{"damaged, here", "damaged, not here"} {
				must(t, os.WriteFile(filepath.Join(dir, uids[title][:1], uids[title]+".cjson"), []byte("{}"), 0o644))
			}
			must(t, x.Delete(t.Context(), uids["damaged, not here"]))
			must(t, x.Delete(t.Context(), uids["whole"]))
			must(t, x.Update(t.Context(), uids["damaged, here"], work("newer, here")))
			must(t, x.Settle(t.Context()))
			r := job(t, x, "RestoreWithOptions", "", options("mode", mode))
			if r.Result != "partial" || !strings.Contains(r.Message, uids["damaged, here"]) || !strings.Contains(r.Message, uids["damaged, not here"]) {
				t.Errorf("%+v", r)
			}
			own, _ := titles(t, x)
			if want := map[string]string{uids["whole"]: "whole", uids["damaged, here"]: "newer, here"}; !maps.Equal(own, want) {
				t.Errorf("titles:\n%v\nwant\n%v", own, want)
			}
		})
	}
}
