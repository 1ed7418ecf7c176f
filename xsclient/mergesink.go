package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// mergeSink puts entries into the Journal that is here: through Sugar's
// datastore while it runs, so that the Journal shows them as they come, else
// straight into its folder.
type mergeSink struct {
	*restore
	underWay *underWay
	last     verdict // on the entry that was done with last
}

// newMergeSink records in the file underWay what is half done. What that, and the
// others, say was left so it puts back whole.
func newMergeSink(r *restore, underWay string, others ...string) (*mergeSink, error) {
	before, err := openUnderWay(underWay)
	if err != nil {
		return nil, err
	}
	for _, path := range others {
		more, err := openUnderWay(path)
		if err != nil {
			return nil, err
		}
		maps.Copy(before.left, more.left)
	}
	return &mergeSink{restore: r, underWay: before}, nil
}

func (m *mergeSink) here(ctx context.Context) (map[datastore.UID]datastore.Version, error) {
	journal, err := m.store.Look(ctx, datastore.LookOptions{Cache: m.c.lookCache()})
	if err != nil {
		return nil, fmt.Errorf("looking at the Journal: %w", err)
	}
	here := map[datastore.UID]datastore.Version{}
	for uid, info := range journal.Entries() {
		here[uid] = info.Version
	}
	for _, d := range journal.Summary().Damaged {
		here[d.UID] = noVersion(&d)
	}
	return here, nil
}

// noVersion stands for the version of an entry that has none.
func noVersion(d *datastore.DamagedError) datastore.Version {
	if d.Changing {
		return changingHere
	}
	return damagedHere
}

func (m *mergeSink) plan(t task, here map[datastore.UID]datastore.Version) verdict {
	if here[t.uid[:2]] != "" { // damage of a whole folder
		return unseen
	}
	v := decide(here[t.uid], t.version, m.agreement(t.uid), m.snap.Seq, !m.pending.LeaveDeleted)
	if v != both && v != stays {
		return v
	}
	if m.underWay.left[t.uid] {
		return unfinished // as far as one can tell without its content: see verdict
	}
	if v == both && here[datastore.TwinUID(t.uid, t.version)] != "" {
		return same // it came back beside the newer one already
	}
	return v
}

// agreement is what was agreed on of an entry. Where a person asks for it alone
// that is no matter: it comes back, and what is here stays.
func (m *mergeSink) agreement(uid datastore.UID) *agreement {
	if m.alone {
		return nil
	}
	return m.agreed.of(uid)
}

// verdict decides once more, just before the entry is published: the child may
// have worked on it meanwhile.
func (m *mergeSink) verdict(ctx context.Context, a arrival) (verdict, error) {
	e, here, err := m.entryHere(ctx, a.uid)
	if err != nil {
		return same, err
	}
	v := decide(here, a.version, m.agreement(a.uid), m.snap.Seq, !m.pending.LeaveDeleted)
	half := func(e, whole *datastore.Entry) bool {
		return e != nil && m.underWay.left[a.uid] && isUnfinished(e, whole)
	}
	if (v == both || v == stays) && half(e, a.entry) {
		return unfinished, nil
	}
	if v != both {
		return v, nil
	}
	// A twin that is here already may be the child's newest work.
	twin := a.entry.Twin(m.dayOf())
	e, here, err = m.entryHere(ctx, twin.UID)
	if err == nil && here != "" && !half(e, twin) {
		v = same
	}
	return v, err
}

// entryHere answers what is in the Journal of an entry: nil where that cannot be
// read, and a version that is like no other then, or "" where there is none.
func (m *mergeSink) entryHere(ctx context.Context, uid datastore.UID) (*datastore.Entry, datastore.Version, error) {
	e, err := m.store.Entry(ctx, uid)
	var damaged *datastore.DamagedError
	switch {
	case err == nil:
		return e, e.Version(), nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", nil
	case errors.As(err, &damaged):
		return nil, noVersion(damaged), nil
	}
	return nil, "", err
}

// becomes is the entry as it will stand in the Journal; nil if nothing is to be
// done.
func (m *mergeSink) becomes(a arrival, v verdict) *datastore.Entry {
	switch v {
	case comesBack, replaced, mended, unfinished:
		return a.entry
	case both:
		return a.entry.Twin(m.dayOf())
	}
	return nil
}

func (m *mergeSink) room([]task) error { return nil }

func (m *mergeSink) finish(context.Context) error { return nil }

func (m *mergeSink) put(ctx context.Context, arrived []arrival) error {
	live, err := m.c.cfg.Datastore.Running(ctx)
	if err != nil {
		return err
	}
	published := map[datastore.UID]datastore.Version{} // and nothing that is not: see agreed
	if live {
		err = m.putLive(ctx, arrived, published)
	} else {
		err = m.putDirect(ctx, arrived, published)
	}
	if err == nil {
		m.underWay.end(arrived)
	}
	if err := m.agreed.add(published, m.snap.Seq); err != nil {
		m.c.cfg.Log.Warn("cannot record what is safe at school", "error", err)
	}
	return err
}

func (m *mergeSink) putLive(ctx context.Context, arrived []arrival, published map[datastore.UID]datastore.Version) error {
	// Sugar moves files to their places: after a power cut they shall be there
	// whole, or not at all. Of what it writes itself there may be half.
	if err := syncDir(m.c.cfg.Profile.Dir); err != nil {
		return err
	}
	if err := m.underWay.begin(arrived); err != nil {
		return err
	}
	for i, a := range arrived {
		// What takes time comes first: between the last look at the entry and
		// its update the child must have no time to change it.
		path, err := m.takeData(a.entry)
		if err == nil && len(a.entry.Files()) > 1 {
			err = syncFile(path) // which has just been put together
		}
		if err != nil {
			return err
		}
		if err := m.update(ctx, a, path, published); err != nil {
			return err
		}
		_ = os.Remove(path) // where Sugar has not taken it
		p := m.p
		p.Phase, p.EntriesDone = "publishing", p.EntriesDone+i+1
		m.progress(p)
	}
	return syncDir(m.c.cfg.Profile.Dir)
}

// update gives one entry to the running datastore. One that it does not take is
// named in the result: the others come back all the same.
func (m *mergeSink) update(ctx context.Context, a arrival, path string, published map[datastore.UID]datastore.Version) error {
	v, err := m.verdict(ctx, a)
	if err != nil {
		return err
	}
	e := m.becomes(a, v)
	if v == mended {
		if err := m.putAside(a.uid); err != nil {
			return err
		}
	}
	if e != nil {
		err = m.c.cfg.Datastore.Update(ctx, e, path)
	}
	var refused *datastore.RefusedError
	switch {
	case errors.As(err, &refused) && m.alone:
		return &Error{Code: Failed, Message: fmt.Sprintf("Sugar's datastore did not take it (%s); it stays safe at school.", sentence(refused.Reason)), Err: err}
	case errors.As(err, &refused):
		m.skip(a.uid, fmt.Sprintf("Sugar's datastore did not take it (%s); it stays safe at school", sentence(refused.Reason)))
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &Error{Code: Failed, Message: "Sugar's datastore ended or does not answer; " + m.goesOn() + ".", Err: err}
	}
	m.over(a, v, published)
	return nil
}

func (m *mergeSink) putDirect(ctx context.Context, arrived []arrival, published map[datastore.UID]datastore.Version) error {
	if err := os.RemoveAll(m.outDir()); err != nil {
		return err
	}
	if err := os.MkdirAll(m.outDir(), 0o755); err != nil {
		return err
	}
	// What takes time comes first: while the datastore is kept from starting,
	// whoever calls it waits.
	before := make([]*datastore.Entry, len(arrived))
	err := concurrently(ctx, len(arrived), func(i int) error {
		v, err := m.verdict(ctx, arrived[i])
		if err != nil {
			return err
		}
		before[i] = m.becomes(arrived[i], v)
		return m.unpack(arrived[i], before[i])
	})
	if err != nil {
		return err
	}
	if err := syncDir(m.c.cfg.Profile.Dir); err != nil {
		return err
	}
	release, err := m.c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	staged, came := map[datastore.UID]string{}, map[datastore.UID]datastore.Version{}
	for i, a := range arrived {
		v, err := m.verdict(ctx, a)
		if err != nil {
			return err
		}
		e := m.becomes(a, v)
		if err := m.unpackAgain(a, before[i], e); err != nil {
			return err
		}
		if v == mended {
			if err := m.putAside(a.uid); err != nil {
				return err
			}
		}
		if e != nil {
			staged[e.UID] = m.outFolder(e)
		}
		m.over(a, v, came)
	}
	if err := m.store.Publish(ctx, staged); err != nil {
		return err
	}
	maps.Copy(published, came)
	return os.RemoveAll(m.outDir())
}

func (m *mergeSink) outDir() string { return filepath.Join(m.staging, "out") }

func (m *mergeSink) outFolder(e *datastore.Entry) string {
	return filepath.Join(m.outDir(), string(e.UID))
}

// unpack makes the folder of an entry as it will stand in the Journal. What was
// fetched of it is used up, so that none of it need be written to a slow disk.
func (m *mergeSink) unpack(a arrival, e *datastore.Entry) error {
	if e == nil {
		return nil
	}
	data, err := m.takeData(a.entry)
	if err != nil {
		return err
	}
	if err := datastore.Unpack(e, data, m.outFolder(e)); err != nil {
		return err
	}
	return os.Remove(filepath.Join(m.treeDir(), a.uid.Path()))
}

// unpackAgain does so for an entry that was changed in the Journal after it had
// been unpacked: now it shall stand there otherwise.
func (m *mergeSink) unpackAgain(a arrival, before, now *datastore.Entry) error {
	switch {
	case now == nil, before != nil && before.UID == now.UID:
		return nil
	case before == nil:
		return m.unpack(a, now)
	}
	data := ""
	if a.entry.Data != nil {
		data = filepath.Join(m.outFolder(before), "data")
	}
	return datastore.Unpack(now, data, m.outFolder(now))
}

// over counts an entry that is done with.
func (m *mergeSink) over(a arrival, v verdict, published map[datastore.UID]datastore.Version) {
	m.result.Entries++
	m.last = v
	switch v {
	case both:
		m.result.KeptBoth++ // a twin is nothing that the XS has
	case stays:
		m.result.Stayed++
	case comesBack, replaced, mended, unfinished:
		published[a.uid] = a.version
	}
}

// putAside keeps what is damaged here where a person can find it, and makes
// room for what comes back.
func (m *mergeSink) putAside(uid datastore.UID) error {
	from := filepath.Join(m.c.cfg.Profile.Datastore(), string(uid[:2]), string(uid))
	// A power cut can leave an entry of which nothing has been written.
	_ = unix.Rmdir(filepath.Join(from, "metadata"))
	if unix.Rmdir(from) == nil {
		return nil
	}
	to := m.asideDir(uid) + "-as-it-was-here"
	for n := 2; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		to = fmt.Sprintf("%s-as-it-was-here-%d", m.asideDir(uid), n)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("keeping what is here of entry %s: %w", uid, err)
	}
	m.result.Mended = append(m.result.Mended, Skipped{UID: string(uid), Reason: "what was here is in " + to})
	return nil
}
