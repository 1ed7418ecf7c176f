package e2e

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Each row of the three versions, through the real things: with all timestamps of
// 1970, and stars that are set without a new one, here or at school.
func TestMerge(t *testing.T) {
	for _, live := range []bool{true, false} {
		name := map[bool]string{true: "running datastore", false: "no Sugar running"}[live]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, _ := pair(t, bed.Options{})
			uids := create(t, x, "equal", "deleted", "here", "there", "both", "starred", "starred there")
			must(t, x.Settle(t.Context()))
			done(t, x, "Backup") // agreed: all

			// The XS gets ahead of this Journal: what a second state of it
			// holds is backed up, then the Journal is as it was before.
			save := filepath.Join(x.Dir, "saved")
			must(t, x.StopService(t.Context(), bed.DataStoreName))
			must(t, os.CopyFS(save, os.DirFS(x.Datastore)))
			must(t, x.Update(t.Context(), uids["there"], work("there, later")))
			must(t, x.Update(t.Context(), uids["both"], work("both, at school")))
			star(t, x, uids["starred there"])
			must(t, x.Settle(t.Context()))
			forgetAfter := agreedNow(t, x)
			done(t, x, "Backup")
			must(t, x.StopService(t.Context(), bed.BackupName))
			must(t, x.WipeJournal(t.Context()))
			must(t, os.Rename(save, x.Datastore))
			forgetAfter()

			must(t, x.Delete(t.Context(), uids["deleted"]))
			must(t, x.Update(t.Context(), uids["here"], work("here, later")))
			must(t, x.Update(t.Context(), uids["both"], work("both, here")))
			star(t, x, uids["starred"])
			must(t, x.Settle(t.Context()))
			if !live {
				must(t, x.StopService(t.Context(), bed.DataStoreName))
			}

			done(t, x, "Restore", "")
			journal, err := x.ReadJournal(t.Context())
			must(t, err)
			titles := map[string]string{}
			for uid, e := range journal {
				titles[uid] = string(e.Props["title"])
				if len(e.Data) > 0 && !strings.HasPrefix(titles[uid], strings.TrimPrefix(string(e.Data), "data of ")) {
					t.Errorf("title %q stands beside data %q", titles[uid], e.Data)
				}
			}
			want := map[string]string{
				uids["equal"]:   "equal",
				uids["deleted"]: "deleted", // missing here: comes back
				uids["here"]:    "here, later",
				uids["there"]:   "there, later",
				uids["both"]:    "both, here",
				uids["starred"]: "starred",

				uids["starred there"]: "starred there",
			}
			var twin string
			for uid, title := range titles {
				if _, ok := want[uid]; !ok && strings.HasPrefix(title, "both, at school (") {
					twin = uid
				}
			}
			if twin == "" {
				t.Errorf("the version at school of what both changed is missing: %v", titles)
			} else if string(journal[twin].Props["uid"]) != twin {
				t.Errorf("the twin %s calls itself %s", twin, journal[twin].Props["uid"])
			}
			delete(titles, twin)
			if !maps.Equal(titles, want) {
				t.Errorf("titles:\n%v\nwant\n%v", titles, want)
			}
			for what, uid := range uids {
				if keep := string(journal[uid].Props["keep"]); (keep == "1") != strings.HasPrefix(what, "starred") {
					t.Errorf("%s: keep is %q", what, keep)
				}
			}

			// The same again changes nothing more.
			done(t, x, "Restore", "")
			again, err := x.Find(t.Context())
			must(t, err)
			if len(again) != len(journal) {
				t.Errorf("restored twice, %d entries became %d", len(journal), len(again))
			}
		})
	}
}

// A Journal all of whose files are of one and the same moment in 1970, as on a
// laptop whose clock stands still there: what changes is saved, and comes back.
func TestFilesOf1970(t *testing.T) {
	rows(t, func(t *testing.T, x *bed.XO, s *bed.XS, before func()) {
		uids := create(t, x, "equal", "turtle", "starred")
		must(t, x.Settle(t.Context()))
		setTimes(t, x.Datastore, time.Unix(7, 0))
		done(t, x, "Backup")
		must(t, x.Update(t.Context(), uids["turtle"], work("parrot"))) // of the same size
		star(t, x, uids["starred"])
		must(t, x.Settle(t.Context()))
		setTimes(t, x.Datastore, time.Unix(7, 0))
		done(t, x, "Backup")
		holdsAtSchool(t, s, 2, uids["turtle"], "parrot: data of parrot")
		was := onDisk(t, x)

		must(t, x.WipeJournal(t.Context()))
		_, err := x.Find(t.Context())
		must(t, err)
		before()
		done(t, x, "Restore", "")
		holds(t, x, was)
	})
}

// star sets an entry's star as Sugar's Journal does: nothing else of it changes,
// not even its timestamp.
func star(t *testing.T, x *bed.XO, uid string) {
	t.Helper()
	e, err := x.ReadEntry(t.Context(), uid)
	must(t, err)
	e.Props["keep"] = []byte("1")
	must(t, x.Update(t.Context(), uid, bed.Sample{Props: e.Props}))
}

// setTimes gives all below a folder the same time.
func setTimes(t *testing.T, dir string, to time.Time) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, to, to))
	}))
}

// agreedNow remembers what the daemon has agreed on with the XS, and answers
// what puts that back.
func agreedNow(t *testing.T, x *bed.XO) func() {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(x.Home, ".local/share/xo-backupd/agreed-*"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("agreements: %v", files)
	}
	b, err := os.ReadFile(files[0])
	must(t, err)
	return func() { must(t, os.WriteFile(files[0], b, 0o600)) }
}

// Deleted entries stay deleted where a person wants it so.
func TestLeaveDeleted(t *testing.T) {
	t.Parallel()
	x, _ := pair(t, bed.Options{})
	uids, before := fill(t, x, 5)
	done(t, x, "Backup")
	must(t, x.Delete(t.Context(), uids[0]))
	done(t, x, "RestoreWithOptions", "", map[string]dbus.Variant{"deleted": dbus.MakeVariant("false")})
	if left, err := x.Find(t.Context()); err != nil || len(left) != 4 {
		t.Fatalf("%d entries: %v", len(left), err)
	}
	done(t, x, "Restore", "")
	holds(t, x, before)
}

// An entry that Sugar's datastore could not read travels, is kept, and comes
// back beside the Journal, never into it; the result says so.
func TestUnreadable(t *testing.T) {
	for _, live := range []bool{true, false} {
		t.Run(map[bool]string{true: "running", false: "not running"}[live], func(t *testing.T) {
			t.Parallel()
			x, _ := pair(t, bed.Options{})
			uids, _ := fill(t, x, 8)
			must(t, x.StopService(t.Context(), bed.DataStoreName))
			bad := map[string]map[string]string{
				uids[0]: {"timestamp": "yesterday"},
				uids[1]: {"filesize": "99999999999"},
				uids[2]: {"title": "caf\xe9"},
				uids[3]: {"title:text": "cut at the colon"},
				uids[4]: {strings.Repeat("n", 255): "a name that leaves no room for a dot"},
			}
			for uid, props := range bad {
				for name, value := range props {
					must(t, os.WriteFile(filepath.Join(x.Datastore, uid[:2], uid, "metadata", name), []byte(value), 0o644))
				}
			}
			before := onDisk(t, x)
			done(t, x, "Backup")
			must(t, x.WipeJournal(t.Context()))
			if live {
				_, err := x.Find(t.Context())
				must(t, err)
			}
			r := job(t, x, "Restore", "")
			if r.Result != "partial" {
				t.Fatalf("restore: %+v", r)
			}
			for uid := range bad {
				if !strings.Contains(r.Message, uid) {
					t.Errorf("%s is not named in %q", uid, r.Message)
				}
				aside := filepath.Join(x.Profile, "backup-unreadable", uid)
				for name, value := range before[uid].Props {
					if b, err := os.ReadFile(filepath.Join(aside, "metadata", name)); err != nil || string(b) != string(value) {
						t.Errorf("%s: %s aside is %q: %v", uid, name, b, err)
					}
				}
				delete(before, uid)
			}
			holds(t, x, before)
		})
	}
}
