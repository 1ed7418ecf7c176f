package xsclient

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
	"github.com/sugarlabs/xo-backupd/wire"
)

// liveOrNot runs a test with Sugar's datastore running and not. The school has a
// snapshot of six entries, and the laptop none, some or all of them.
func liveOrNot(t *testing.T, test func(t *testing.T, s *school, p *pupil, old string, uids []string)) {
	t.Helper()
	for _, live := range []bool{true, false} {
		t.Run(fmt.Sprintf("live %v", live), func(t *testing.T) {
			old, uids := rawJournal(t, 6, 1)
			s := newSchool(t, old)
			p := newPupil(t, s, "")
			if live {
				p.live()
			}
			test(t, s, p, old, uids)
			p.untouched()
			for _, left := range []string{p.entryStagingDir(), p.stagingDir()} {
				if _, err := os.Lstat(left); !os.IsNotExist(err) {
					t.Errorf("left behind: %s, %v", left, err)
				}
			}
		})
	}
}

// place is an entry's folder in the Journal here.
func (p *pupil) place(uid string) string { return filepath.Join(p.journal, uid[:2], uid) }

// have copies entries of a Journal to the one here.
func (p *pupil) have(journal string, uids ...string) {
	p.t.Helper()
	for _, uid := range uids {
		must(p.t, os.CopyFS(p.place(uid), os.DirFS(filepath.Join(journal, uid[:2], uid))))
	}
}

func (p *pupil) restoreEntry(snapshot, uid string) Result {
	p.t.Helper()
	result, err := p.RestoreEntry(p.t.Context(), snapshot, uid, p.progress)
	must(p.t, err)
	return result
}

// others are the entries of the Journal that are not among these.
func (p *pupil) others(than []string) []string {
	return slices.DeleteFunc(p.uids(), func(uid string) bool { return slices.Contains(than, uid) })
}

const schoolDay = "2026-11-23"

// What is missing here comes back, whatever was agreed on about it, and nothing
// else: it alone is asked for.
func TestEntryComesBack(t *testing.T) {
	liveOrNot(t, func(t *testing.T, s *school, p *pupil, old string, uids []string) {
		p.have(old, uids[:2]...)
		p.agreeOn(old) // so the others were deleted here
		result := p.restoreEntry("", uids[3])
		if result.Partial || result.Entries != 1 || result.Snapshot.ID != s.snap.ID || result.KeptBoth != 0 ||
			!strings.Contains(result.Message, "again, as it was on "+schoolDay) {
			t.Errorf("%+v", result)
		}
		p.holds(old, slices.Concat(uids[2:3], uids[4:])...)
		p.agreedOn(uids[3])
		p.restoreEntry(s.snap.ID, uids[5])
		p.holds(old, uids[2], uids[4])
		for i, request := range s.restores {
			if want := []string{uids[3+2*i]}; !slices.Equal(request.UIDs, want) {
				t.Errorf("asked for %v, not %v", request.UIDs, want)
			}
		}
		if slices.ContainsFunc(s.asked, func(path string) bool { return strings.HasSuffix(path, "/entries") || path == "snapshots" }) {
			t.Errorf("asked for lists: %q", s.asked)
		}
	})
}

// agreedOn checks that an entry that came back counts as one that is at school.
func (p *pupil) agreedOn(uid string) {
	p.t.Helper()
	agreed, err := p.openAgreed()
	must(p.t, err)
	a := agreed.of(datastore.UID(uid))
	info := map[datastore.UID]datastore.Version{}
	for uid, i := range lookAt(p.t, p.journal).Entries() {
		info[uid] = i.Version
	}
	if a == nil || a.Version != info[datastore.UID(uid)] {
		p.t.Errorf("agreed on %s: %v", uid, a)
	}
}

// What is here just so needs nothing, and it says so; no file is fetched for that.
func TestEntryIsHere(t *testing.T) {
	liveOrNot(t, func(t *testing.T, s *school, p *pupil, old string, uids []string) {
		p.have(old, uids...)
		before := listing(t, p.journal)
		result := p.restoreEntry("", uids[3])
		if result.Partial || result.Entries != 1 || !strings.Contains(result.Message, "nothing to do") || !strings.Contains(result.Message, schoolDay) {
			t.Errorf("%+v", result)
		}
		unchanged(t, "the Journal", before, listing(t, p.journal))
		if len(s.restores) > 0 {
			t.Errorf("fetched: %v", s.restores)
		}
	})
}

// Another version here stays, whichever of the two is the newer one and whatever
// was agreed on; the one that was asked for stands beside it, once.
func TestEntryBesideAnother(t *testing.T) {
	for _, agreed := range []string{"nothing", "here", "at school"} {
		t.Run("agreed on as "+agreed, func(t *testing.T) {
			liveOrNot(t, func(t *testing.T, s *school, p *pupil, old string, uids []string) {
				p.have(old, uids...)
				if agreed == "at school" {
					p.agreeOn(old)
				}
				must(t, os.WriteFile(p.place(uids[3])+"/metadata/title", []byte("as it is here"), 0o644))
				must(t, os.WriteFile(p.place(uids[3])+"/data", []byte("other work"), 0o644))
				if agreed == "here" {
					p.agreeOn(p.journal)
				}
				before, _ := rawRead(t, p.journal, uids[3])
				title, err := os.ReadFile(filepath.Join(old, uids[3][:2], uids[3], "metadata", "title"))
				must(t, err)
				result := p.restoreEntry("", uids[3])
				if result.Partial || result.KeptBoth != 1 || result.Entries != 1 || !strings.Contains(result.Message, "second time") {
					t.Errorf("%+v", result)
				}
				if after, _ := rawRead(t, p.journal, uids[3]); after != before {
					t.Errorf("what was here changed:\n%s\n%s", before, after)
				}
				twins := p.others(uids)
				if len(twins) != 1 {
					t.Fatalf("%d twins", len(twins))
				}
				day := time.Unix(s.snap.Time, 0).Format(time.DateOnly)
				got, err := bed.ReadDisk(p.journal)
				must(t, err)
				want, err := bed.ReadDisk(old)
				must(t, err)
				twin, was := got[twins[0]], want[uids[3]]
				was.Props["title"] = []byte(strings.TrimLeft(string(title)+" ("+day+")", " "))
				was.Props["uid"] = []byte(twins[0])
				if fmt.Sprint(twin) != fmt.Sprint(was) {
					t.Errorf("the twin is\n%q\nnot\n%q", twin.Props, was.Props)
				}
				// A child works on in it, and asks again: it is found, and left alone.
				must(t, os.WriteFile(p.place(twins[0])+"/data", []byte("more work"), 0o644))
				all := listing(t, p.journal)
				result = p.restoreEntry("", uids[3])
				if result.Partial || result.KeptBoth != 0 || !strings.Contains(result.Message, "came back before") || !strings.Contains(result.Message, day) {
					t.Errorf("%+v", result)
				}
				unchanged(t, "the Journal", all, listing(t, p.journal))
			})
		})
	}
}

// What cannot be read here is put aside for what was asked for.
func TestEntryMendsWhatIsHere(t *testing.T) {
	liveOrNot(t, func(t *testing.T, s *school, p *pupil, old string, uids []string) {
		p.have(old, uids...)
		must(t, os.WriteFile(p.place(uids[3])+"/metadata/uid", []byte("x"), 0o644))
		before := listing(t, p.place(uids[3]))
		result := p.restoreEntry("", uids[3])
		aside := filepath.Join(p.cfg.Profile.Dir, "backup-unreadable", uids[3]+"-as-it-was-here")
		if !result.Partial || len(result.Mended) != 1 || !strings.Contains(result.Message, aside) {
			t.Errorf("%+v", result)
		}
		unchanged(t, "aside", before, listing(t, aside))
		p.holds(old)
	})
}

// What Sugar could not read does not reach the Journal.
func TestEntryThatSugarCannotRead(t *testing.T) {
	for _, live := range []bool{true, false} {
		old, uids := rawJournal(t, 3, 1)
		must(t, os.WriteFile(filepath.Join(old, uids[1][:2], uids[1], "metadata", "timestamp"), []byte("noon"), 0o644))
		p := newPupil(t, newSchool(t, old), "")
		if live {
			p.live()
		}
		result := p.restoreEntry("", uids[1])
		aside := filepath.Join(p.cfg.Profile.Dir, "backup-unreadable", uids[1])
		if !result.Partial || len(result.Skipped) != 1 || !strings.Contains(result.Message, aside) {
			t.Errorf("%+v", result)
		}
		unchanged(t, "aside", listing(t, filepath.Join(old, uids[1][:2], uids[1])), listing(t, aside))
		if found := p.uids(); len(found) > 0 {
			t.Errorf("in the Journal: %v", found)
		}
	}
}

// What is asked for in vain, and what cannot be done, is told by its kind, and
// changes nothing.
func TestEntryErrors(t *testing.T) {
	liveOrNot(t, func(t *testing.T, s *school, p *pupil, old string, uids []string) {
		p.have(old, uids[:2]...)
		before := listing(t, p.journal)
		nobody := strings.Repeat("0", 36)
		for _, c := range []struct {
			snapshot, uid string
			code          Code
		}{
			{"", nobody, NoEntry},
			{s.snap.ID, nobody, NoEntry},
			{"2020-01-01T00-00-00Z", uids[3], NoSnapshot},
			{"../../x", uids[3], NoSnapshot},
			{"nonsense\x00\n", uids[3], NoSnapshot},
			{"", "", InvalidArgument},
			{"", "../../../../../../../../../../../../", InvalidArgument},
			{"", uids[3] + "0", InvalidArgument},
		} {
			_, err := p.RestoreEntry(t.Context(), c.snapshot, c.uid, p.progress)
			wantCode(t, err, c.code)
		}
		s.peer.set(func() {
			s.record = func(string) any { return wire.Refusal{Code: wire.RefusedNoSnapshot, Message: "x"} }
		})
		_, err := p.RestoreEntry(t.Context(), "", uids[3], p.progress)
		wantCode(t, err, ServerUnavailable)
		unchanged(t, "the Journal", before, listing(t, p.journal))
	})
	_, err := client(t, laptop(t, newPeer(t))).RestoreEntry(t.Context(), "", largeUID, silent)
	wantCode(t, err, NotRegistered)
}

// A restore that is not over decides about all entries: until then one alone is
// not brought back, and what that restore has fetched stays.
func TestEntryWhileARestoreIsPending(t *testing.T) {
	old, uids := rawJournal(t, 3, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, "")
	must(t, p.savePending(pendingRestore{Account: p.account(), Resolved: s.snap.ID}))
	must(t, os.CopyFS(filepath.Join(p.stagingDir(), "tree"), os.DirFS(s.tree)))
	before := listing(t, p.home)
	_, err := p.RestoreEntry(t.Context(), "", uids[0], p.progress)
	if e := wantCode(t, err, Busy); !strings.Contains(e.Message, "cancel") {
		t.Error(e)
	}
	unchanged(t, "the laptop", before, listing(t, p.home))

	// One of another account is in nobody's way, and is left alone too.
	must(t, p.savePending(pendingRestore{Account: "other", Resolved: s.snap.ID}))
	staged, pending := listing(t, p.stagingDir()), must1(os.ReadFile(p.pendingPath()))(t)
	p.restoreEntry("", uids[0])
	unchanged(t, "what the other restore has fetched", staged, listing(t, p.stagingDir()))
	if now := must1(os.ReadFile(p.pendingPath()))(t); string(now) != string(pending) {
		t.Errorf("%s, was %s", now, pending)
	}
}

// Half of an entry that Sugar was putting back when the power went is made whole
// when it is asked for again, or when all is restored; it is no work of the
// child's. What was left of the fetch goes when the daemon starts.
func TestEntryCutOff(t *testing.T) {
	halves := map[string]func(dir string) error{
		"no file": func(dir string) error { return os.Remove(dir + "/data") },
		"empty properties": func(dir string) error {
			return errors.Join(os.Truncate(dir+"/data", 0), os.Truncate(dir+"/metadata/title", 0))
		},
		"no properties": func(dir string) error { return errors.Join(os.RemoveAll(dir), os.MkdirAll(dir+"/metadata", 0o755)) },
	}
	again := map[string]func(p *pupil, uid string) (Result, error){
		"entry": func(p *pupil, uid string) (Result, error) {
			return p.RestoreEntry(t.Context(), "", uid, p.progress)
		},
		"all": func(p *pupil, _ string) (Result, error) {
			return p.Restore(t.Context(), RestoreOptions{}, p.progress)
		},
	}
	for name, spoil := range halves {
		for what, again := range again {
			if name == "no file" && what == "all" {
				continue // a look that finds a file missing waits for it, and this is enough of that
			}
			t.Run(name+", "+what, func(t *testing.T) {
				old, uids := rawJournal(t, 3, 1)
				p := newPupil(t, newSchool(t, old), "")
				p.have(old, uids[0])
				p.live().before = func(e *datastore.Entry, path string) error {
					p.have(old, uids[1])
					must(t, spoil(p.place(uids[1])))
					if path != "" {
						must(t, os.Remove(path))
					}
					return errors.New("the power went")
				}
				_, err := p.RestoreEntry(t.Context(), "", uids[1], p.progress)
				wantCode(t, err, Failed)
				must(t, os.MkdirAll(p.entryStagingDir()+"/tree", 0o755)) // which the power left
				must(t, p.Recover(t.Context()))
				if _, err := os.Lstat(p.entryStagingDir()); !os.IsNotExist(err) {
					t.Errorf("what was fetched is still there: %v", err)
				}
				p.live()
				result, err := again(p, uids[1])
				must(t, err)
				if result.Partial || result.KeptBoth > 0 || result.Stayed > 0 {
					t.Errorf("%+v", result)
				}
				p.holds(old, uids[2])
				if p.entryUnderWay() {
					t.Error("it is still recorded as under way")
				}
			})
		}
	}
}

// What a power cut left between two names is in its place again when the daemon
// starts, also where just one entry was put back.
func TestEntryCutOffBetweenNames(t *testing.T) {
	old, uids := rawJournal(t, 3, 1)
	p := newPupil(t, newSchool(t, old), old)
	u, err := openUnderWay(p.entryUnderWayPath())
	must(t, err)
	must(t, u.begin([]arrival{{task: task{uid: datastore.UID(uids[0])}}}))
	must(t, os.Rename(p.place(uids[0]), filepath.Join(p.journal, uids[0][:2], "."+uids[0])))
	must(t, p.Recover(t.Context()))
	p.holds(old)
}

// Sugar's datastore dies, or does not take it: said so, and it can be asked for
// again.
func TestEntryIsNotTaken(t *testing.T) {
	old, uids := rawJournal(t, 3, 1)
	p := newPupil(t, newSchool(t, old), "")
	for want, answer := range map[string]error{
		"no turtles":                  &datastore.RefusedError{UID: datastore.UID(uids[0]), Reason: "ValueError: no turtles"},
		"ask for the entry again":     errors.New("org.freedesktop.DBus.Error.NoReply"),
		"stays safe at school":        &datastore.RefusedError{UID: datastore.UID(uids[0]), Reason: "x"},
		"ended or does not answer; a": errors.New("gone"),
	} {
		p.live().before = func(*datastore.Entry, string) error { return answer }
		_, err := p.RestoreEntry(t.Context(), "", uids[0], p.progress)
		if e := wantCode(t, err, Failed); !strings.Contains(e.Message, want) {
			t.Errorf("%s, not %q", e.Message, want)
		}
	}
	p.live()
	p.restoreEntry("", uids[0])
	p.holds(old, uids[1:]...)
}

// A disk that has no room for it: said before anything is fetched.
func TestEntryOnAFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	large(t, dir, 9<<20)
	s := newSchool(t, dir)
	p := newPupil(t, s, "")
	profile := p.cfg.Profile.Dir
	kept := filepath.Join(t.TempDir(), "profile")
	must(t, os.CopyFS(kept, os.DirFS(profile)))
	smallDisk(t, profile, "size=60m")
	must(t, os.CopyFS(profile, os.DirFS(kept)))
	for _, key := range []string{"owner.key", "backup.key"} {
		must(t, os.Chmod(filepath.Join(profile, key), 0o600))
	}
	_, err := p.RestoreEntry(t.Context(), "", largeUID, p.progress)
	wantCode(t, err, DiskFull)
	if len(s.restores) > 0 {
		t.Errorf("fetched: %v", s.restores)
	}
	if found := p.uids(); len(found) > 0 {
		t.Errorf("in the Journal: %v", found)
	}
	must(t, exec.Command("mount", "-o", "remount,size=100m", profile).Run())
	p.restoreEntry("", largeUID)
	p.holds(dir)
}

// smallDisk mounts a small disk of its own over a folder.
func smallDisk(t *testing.T, dir, options string) {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let us mount a small disk: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
}
