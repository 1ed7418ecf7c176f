package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// RestoreEntry brings one entry of a snapshot back, and fetches nothing else; ""
// is the latest. A person has asked for just this one: what is missing here comes
// back, what is here already stays as it is, and where another version is here
// both are, see datastore.Entry.Twin.
//
// While a restore is pending it is refused: that one decides about this entry
// too. It leaves no record to go on from. What a power cut can leave half of is
// put back whole when it is asked for again (unfinished.go); nothing that is here
// is ever written over.
func (c *Client) RestoreEntry(ctx context.Context, snapshot, uid string, progress func(Progress)) (Result, error) {
	ref, err := snapshotRef(snapshot)
	if err != nil {
		return Result{}, err
	}
	id, err := parseUID(uid)
	if err != nil {
		return Result{}, err
	}
	account := c.account()
	if account == "" {
		return Result{}, errNotRegistered()
	}
	if err := c.noRestorePending(ctx); err != nil {
		return Result{}, err
	}
	r := c.newRestore(account, c.entryStagingDir(), progress)
	r.alone = true
	defer r.disconnect()
	result, err := r.one(ctx, ref, id)
	if removeErr := os.RemoveAll(r.staging); removeErr != nil {
		c.cfg.Log.Warn("cannot remove what was fetched", "error", removeErr)
	}
	return result, fullDisk(err)
}

// noRestorePending brings a Journal that was just being replaced to its place; any
// other restore that is not over is in the way.
func (c *Client) noRestorePending(ctx context.Context) error {
	if err := c.finishSwap(ctx); err != nil {
		return err
	}
	if _, err := c.endSwapped(); err != nil {
		return err
	}
	if p := c.pending(); p != nil {
		return &Error{Code: Busy, Message: fmt.Sprintf(
			"The restore of %s is not over: wait for it, or give it up with 'xo-backup cancel'.", p.name())}
	}
	return nil
}

// entryStagingDir is where one entry is kept on its way into the Journal. It is
// not that of a whole restore, which may be waiting for its account to be back.
func (c *Client) entryStagingDir() string {
	return filepath.Join(c.cfg.Profile.Dir, "datastore.entry")
}

func (c *Client) entryUnderWayPath() string {
	return filepath.Join(c.cfg.StateDir, "entry.underway")
}

// forgetEntryUnderWay is for when all of the Journal was looked at.
func (c *Client) forgetEntryUnderWay() error {
	if err := os.Remove(c.entryUnderWayPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// entryUnderWay tells whether the power may have gone while an entry was put
// back.
func (c *Client) entryUnderWay() bool {
	_, err := os.Lstat(c.entryUnderWayPath())
	return err == nil
}

// one brings one entry back.
func (r *restore) one(ctx context.Context, ref string, uid datastore.UID) (Result, error) {
	r.report("comparing")
	if err := r.connect(ctx); err != nil {
		return Result{}, err
	}
	a, err := r.lookUp(ctx, ref, uid)
	if err != nil {
		return Result{}, err
	}
	if err := r.openJournal(ctx); err != nil {
		return Result{}, err
	}
	m, err := newMergeSink(r, r.c.entryUnderWayPath())
	if err != nil {
		return Result{}, err
	}
	r.sink = m
	if v, err := m.verdict(ctx, a); err != nil {
		return Result{}, err
	} else if v == same {
		r.result.Entries, m.last = 1, same
	} else if err := r.bring(ctx, a.task); err != nil {
		return Result{}, err
	}
	m.underWay.end([]arrival{a})
	if err := m.underWay.settle(); err != nil {
		r.c.cfg.Log.Warn("cannot forget which entry was under way", "error", err)
	}
	return m.told(ctx, a)
}

// lookUp asks for the entry as it is at school, without its file.
func (r *restore) lookUp(ctx context.Context, ref string, uid datastore.UID) (a arrival, err error) {
	asking, cancel := withinAMinute(ctx)
	defer cancel()
	if r.snap, err = r.api.Snapshot(asking, ref); err != nil {
		return a, err
	}
	if a.entry, err = r.api.Entry(asking, r.snap.ID, uid); err != nil {
		return a, err
	}
	a.task, err = taskOf(a.entry)
	return a, err
}

// taskOf is the task of bringing back an entry that is known.
func taskOf(e *datastore.Entry) (task, error) {
	b, err := e.Encode()
	if err != nil {
		return task{}, err
	}
	t := task{uid: e.UID, version: e.Version(), size: int64(len(b))}
	if e.Data != nil {
		t.size += e.Data.Size
	}
	t.cost = diskCost(t.size, len(e.Metadata))
	return t, nil
}

// bring fetches an entry, verifies it, and puts it into the Journal.
func (r *restore) bring(ctx context.Context, t task) error {
	r.p.Entries, r.p.Bytes = 1, t.size
	if err := os.RemoveAll(r.staging); err != nil {
		return err
	}
	batch, _, err := r.nextBatch([]task{t})
	if err != nil {
		return err
	}
	if err := r.fetch(ctx, batch); err != nil {
		return err
	}
	return r.put(ctx, batch)
}

// told is the result: what has become of an entry that was asked for.
func (m *mergeSink) told(ctx context.Context, a arrival) (Result, error) {
	m.result.Snapshot = m.snap
	title, day := titleOf(a.entry), m.dayOf().Format(time.DateOnly)
	switch skipped := m.result.Skipped; {
	case len(skipped) > 0 && a.entry.Unreadable() == "":
		return Result{}, damagedCopy(a.uid, errors.New(skipped[0].Reason))
	case len(skipped) > 0:
		m.result.Partial = true
		m.result.Message = fmt.Sprintf("%s did not come back into the Journal: %s.", title, skipped[0].Reason)
	case len(m.result.Mended) > 0:
		m.result.Partial = true
		m.result.Message = fmt.Sprintf("%s was damaged here and is as it was at school: %s.", title, m.result.Mended[0].Reason)
	case m.last == both:
		m.result.Message = fmt.Sprintf("%s is in the Journal a second time, as it was on %s; the one that was here stays as it is.", title, day)
	case m.last != same:
		m.result.Message = fmt.Sprintf("%s is in the Journal again, as it was on %s.", title, day)
	default:
		_, here, err := m.entryHere(ctx, a.uid)
		if err != nil {
			return Result{}, err
		}
		m.result.Message = fmt.Sprintf("%s is in the Journal just as it was on %s: there was nothing to do.", title, day)
		if here != a.version {
			m.result.Message = fmt.Sprintf("%s came back before: it is in the Journal beside the other one, with %s in its title.", title, day)
		}
	}
	return m.result, nil
}

// titleOf is how a message calls an entry.
func titleOf(e *datastore.Entry) string {
	const most = 60
	title := sentence(string(e.Metadata["title"]))
	if utf8.RuneCountInString(title) > most {
		title = string([]rune(title)[:most]) + "…"
	}
	if title == "" {
		return "The entry"
	}
	return "“" + title + "”"
}
