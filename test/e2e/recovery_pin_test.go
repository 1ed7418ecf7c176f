package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
	"github.com/sugarlabs/xo-backupd/wire"
)

// pinned checks how many entries the snapshots hold that the XS keeps until a
// person has answered.
func (r *reflashed) pinned(t *testing.T, want ...int) {
	t.Helper()
	var list []wire.Snapshot
	must(t, json.Unmarshal([]byte(r.administer(t, "snapshots", r.Options.Serial, "--json")), &list))
	var pinned []int
	for _, snap := range list {
		if snap.Pinned {
			pinned = append(pinned, snap.Entries)
		}
	}
	if !slices.Equal(pinned, want) {
		t.Errorf("pinned are snapshots of %d entries, not of %d", pinned, want)
	}
}

// shrunk is a laptop whose Journal was lost, with or without all else, and that has
// been backed up since, before anybody asked for the Journal that was.
func shrunk(t *testing.T, reflash bool) *reflashed {
	t.Helper()
	var r *reflashed
	if reflash {
		r = lose(t, 20)
		r.claimed(t)
		r.offered(t, 20)
	} else {
		x, s := pair(t, bed.Options{})
		r = &reflashed{XO: x, xs: s}
		_, r.before = fill(t, x, 20)
		done(t, x, "Backup")
		r.notOffered(t)
		must(t, x.WipeJournal(t.Context()))
	}
	r.draw(t, "drawn since")
	done(t, r.XO, "Backup")
	r.draw(t, "drawn later")
	done(t, r.XO, "Backup")
	r.pinned(t, 20)
	r.offered(t, 20)
	return r
}

// drawn is the part of the Journal that was not lost.
func (r *reflashed) drawn(t *testing.T) bed.Journal {
	t.Helper()
	must(t, r.Settle(t.Context()))
	return onDisk(t, r.XO)
}

// whether runs a test for both reasons of a pin.
func whether(t *testing.T, test func(t *testing.T, r *reflashed)) {
	t.Parallel()
	for name, reflash := range map[string]bool{"set up anew": true, "shrunk": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, shrunk(t, reflash))
		})
	}
}

// A backup before the restore takes nothing away: what was lost is still what is
// offered, and what comes back when nobody says which.
func TestRecoveryPinned(t *testing.T) {
	whether(t, func(t *testing.T, r *reflashed) {
		done(t, r.XO, "Restore", "")
		holds(t, r.XO, r.before)
		r.pinned(t)
		r.notOffered(t)
		// From now on the latest is what is meant again.
		done(t, r.XO, "Backup")
		must(t, r.WipeJournal(t.Context()))
		done(t, r.XO, "Restore", "")
		holds(t, r.XO, r.before)
	})
}

// Who wants a new Journal is not asked any more, and the old one is still there for
// who asks for it by name.
func TestRecoveryPinDismissed(t *testing.T) {
	whether(t, func(t *testing.T, r *reflashed) {
		drawn := r.drawn(t)
		for _, answer := range []string{"later", "afresh"} {
			r.dismiss(t, answer)
			if answer == "later" {
				r.offered(t, 20)
			}
		}
		r.pinned(t)
		r.notOffered(t)
		done(t, r.XO, "Restore", "")
		holds(t, r.XO, drawn)
		must(t, r.WipeJournal(t.Context()))
		done(t, r.XO, "Restore", "")
		holds(t, r.XO, drawn)
		oldest := len(snapshots(t, r.XO)) - 1
		done(t, r.XO, "Restore", snapshotID(t, r.XO, oldest))
		holds(t, r.XO, r.before)
	})
}

// Who was let in and wants a new Journal before there is any backup of it is asked
// no more either.
func TestRecoveryAfreshAtOnce(t *testing.T) {
	t.Parallel()
	r := lose(t, 20)
	r.claimed(t)
	r.dismiss(t, "afresh")
	r.notOffered(t)
	r.draw(t, "drawn since")
	drawn := r.drawn(t)
	done(t, r.XO, "Backup")
	r.pinned(t)
	r.notOffered(t)
	must(t, r.WipeJournal(t.Context()))
	done(t, r.XO, "Restore", "")
	holds(t, r.XO, drawn)
}

// An answer that is given while the XS is away reaches it with the next backup.
func TestRecoveryPinToldLater(t *testing.T) {
	t.Parallel()
	t.Run("dismissed", func(t *testing.T) {
		t.Parallel()
		r := shrunk(t, false)
		must(t, r.xs.Stop())
		r.dismiss(t, "afresh")
		r.kill(t)
		must(t, r.xs.Start(t.Context()))
		r.pinned(t, 20)
		done(t, r.XO, "Backup")
		r.pinned(t)
		r.notOffered(t)
	})
	t.Run("restored", func(t *testing.T) {
		t.Parallel()
		r := shrunk(t, true)
		path := start(t, r.XO, "Restore", "")
		awaitEntries(t, r.XO, path, 1) // all has come; now the line breaks
		r.line.CutAfter(0)
		r.line.HangUp()
		if end, err := r.Wait(t.Context(), path); err != nil || end.OK() != nil {
			t.Fatalf("the restore: %+v, %v", end, err)
		}
		holds(t, r.XO, r.before)
		r.pinned(t, 20)
		r.line.Mend()
		r.kill(t)
		done(t, r.XO, "Backup")
		r.pinned(t)
		r.notOffered(t)
	})
}

// A restore that lacks something is no answer: it is offered again.
func TestRecoveryPartialIsNoAnswer(t *testing.T) {
	t.Parallel()
	r := shrunk(t, true)
	uids, err := datastore.UIDs(os.DirFS(snapshotDirs(t, r.xs)[0]))
	must(t, err)
	lost := uids[0]
	must(t, os.Remove(filepath.Join(snapshotDirs(t, r.xs)[0], lost.Path())))
	if end := job(t, r.XO, "Restore", ""); end.Result != "partial" {
		t.Fatalf("%+v", end)
	}
	delete(r.before, string(lost))
	holds(t, r.XO, r.before)
	r.pinned(t, 20)
	r.offered(t, 20)
	done(t, r.XO, "Backup")
	r.pinned(t, 20)
	r.offered(t, 20)
}
