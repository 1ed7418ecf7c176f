package xsclient

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// What a restore was just replacing when the power went, on a system that
// cannot exchange two names, is in its place again before anybody looks, and
// Sugar sees it.
func TestRecoverPublish(t *testing.T) {
	_, p, old := cutOff(t)
	must(t, os.CopyFS(p.journal, os.DirFS(old)))
	must(t, p.Recover(t.Context()))
	if p.service.held != 0 {
		t.Error("Sugar's datastore was stopped for nothing")
	}
	uid := p.uids()[0]
	place := filepath.Join(p.journal, uid[:2], uid)
	aside := filepath.Join(p.journal, uid[:2], "."+uid)
	must(t, os.Rename(place, aside))
	for _, flag := range []string{"index_updated", "ds_clean"} { // Sugar has run since
		must(t, os.WriteFile(filepath.Join(p.journal, flag), nil, 0o644))
	}
	must(t, p.Recover(t.Context()))
	p.holds(old)
	if _, err := os.Lstat(filepath.Join(p.journal, "index_updated")); !os.IsNotExist(err) || p.service.held != 1 {
		t.Errorf("held %d times; index_updated: %v", p.service.held, err)
	}

	// Where no restore is pending, nobody looks.
	must(t, p.forgetRestore())
	must(t, os.Rename(place, aside))
	must(t, p.Recover(t.Context()))
	if _, err := os.Lstat(aside); err != nil || p.service.held != 1 {
		t.Errorf("%v, held %d times", err, p.service.held)
	}
}

// uids are the entries of the Journal.
func (p *pupil) uids() (uids []string) {
	p.t.Helper()
	for uid := range lookAt(p.t, p.journal).Entries() {
		uids = append(uids, string(uid))
	}
	return uids
}

// A replace that the power cut off while the two Journals changed places, or
// right after, is over once they have: it neither begins again over what the
// child has done since, nor takes the old Journal for one that is half built.
func TestReplaceCutOffAtTheSwap(t *testing.T) {
	opts := RestoreOptions{Replace: true}
	for name, c := range map[string]struct {
		marker bool // the exchange was the last thing that happened
		next   func(p *pupil) error
	}{
		"swapped, recovered":   {false, func(p *pupil) error { return p.Recover(t.Context()) }},
		"swapped, asked again": {false, func(p *pupil) error { _, err := p.Restore(t.Context(), opts, p.progress); return err }},
		"exchanged, recovered": {true, func(p *pupil) error { return p.Recover(t.Context()) }},
		"exchanged, goes on": {true, func(p *pupil) error {
			p.service.hold = errors.New("it does not stop") // for Recover
			if err := p.Recover(t.Context()); err == nil {
				return errors.New("recovered without holding the datastore")
			}
			p.service.hold = nil
			_, err := p.ResumeRestore(t.Context(), true, p.progress)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			old, _ := rawJournal(t, 3, 1)
			s := newSchool(t, old)
			p := newPupil(t, s, old)
			mine, _ := rawJournal(t, 2, 7)
			staged := filepath.Join(p.stagingDir(), "new")
			kept := datastore.ReplacedName(p.cfg.Profile.Dir, time.Now())
			if !c.marker {
				kept = "old"
			}
			replaced := filepath.Join(p.cfg.Profile.Dir, kept)
			must(t, os.MkdirAll(p.stagingDir(), 0o755))
			if c.marker {
				must(t, os.CopyFS(staged, os.DirFS(mine)))
				must(t, os.WriteFile(filepath.Join(p.cfg.Profile.Dir, "datastore.swap"), fmt.Appendf(nil,
					`{"staged":"datastore.restore/new","keep":%q,"new":%d,"old":%d}`, kept, inodeOf(t, p.journal), inodeOf(t, staged)), 0o600))
			} else {
				must(t, os.CopyFS(replaced, os.DirFS(mine)))
			}
			must(t, p.savePending(pendingRestore{RestoreOptions: opts, Account: p.account(), Resolved: s.snap.ID, Swapping: inodeOf(t, p.journal), Answers: c.marker}))
			drawn := filepath.Join(p.journal, p.uids()[0][:2], p.uids()[0], "metadata", "title")
			must(t, os.WriteFile(drawn, []byte("drawn since"), 0o644))
			journal, before := inodeOf(t, p.journal), listing(t, p.journal)

			must(t, c.next(p))
			if inodeOf(t, p.journal) != journal || p.sawPhase("fetching") {
				t.Error("the Journal was replaced once more")
			}
			unchanged(t, "the Journal", before, listing(t, p.journal))
			for name, is := range listing(t, mine) {
				if got := listing(t, replaced)[name]; got != is {
					t.Errorf("of the Journal that was: %s is %q", name, got)
				}
			}
			p.pending(false)
			if answered := p.state.get().Pin == (wire.PinAnswer{Snapshot: s.snap.ID, Answer: wire.PinRestored}); answered != c.marker {
				t.Errorf("that it is here answers the offer: %t", answered)
			}
		})
	}
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	n, err := inode(path)
	must(t, err)
	return n
}
