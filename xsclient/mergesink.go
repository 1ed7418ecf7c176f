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
	"github.com/sugarlabs/xo-backupd/wire"
)

// mergeSink puts entries into the Journal that is here: through Sugar's
// datastore while it runs, so that the Journal shows them as they come, else
// straight into its folder.
type mergeSink struct {
	*restore
	journal *datastore.Tree // as it was when the restore began
}

func (m *mergeSink) here(ctx context.Context) (map[datastore.UID]datastore.Version, error) {
	var err error
	m.journal, err = m.store.Look(ctx, datastore.LookOptions{Cache: m.c.lookCache()})
	if err != nil {
		return nil, fmt.Errorf("looking at the Journal: %w", err)
	}
	here := map[datastore.UID]datastore.Version{}
	for uid, info := range m.journal.Entries() {
		here[uid] = info.Version
	}
	for _, d := range m.journal.Summary().Damaged {
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

func (m *mergeSink) plan(t task, listed wire.Entry, here map[datastore.UID]datastore.Version) verdict {
	v := decide(here[t.uid], t.version, m.agreed.of(t.uid), m.snap.Seq, !m.pending.LeaveDeleted)
	if v != both && v != stays {
		return v
	}
	if e, _, err := datastore.ReadEntry(m.journal, t.uid); err == nil && mayBeUnfinished(e, listed.Metadata) {
		return unfinished
	}
	if v == both && here[datastore.TwinUID(t.uid, t.version)] != "" {
		return same // it came back beside the newer one already
	}
	return v
}

// verdict decides once more, just before the entry is published: the child may
// have worked on it meanwhile.
func (m *mergeSink) verdict(ctx context.Context, a arrival) (verdict, error) {
	var here datastore.Version
	e, err := m.store.Entry(ctx, a.uid)
	var damaged *datastore.DamagedError
	switch {
	case err == nil:
		here = e.Version()
	case errors.Is(err, fs.ErrNotExist):
	case errors.As(err, &damaged):
		here = noVersion(damaged)
	default:
		return same, err
	}
	v := decide(here, a.version, m.agreed.of(a.uid), m.snap.Seq, !m.pending.LeaveDeleted)
	if e != nil && (v == both || v == stays) && isUnfinished(e, a.entry) {
		v = unfinished
	}
	return v, nil
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
	// What is published must survive a power cut that comes right after.
	if err := syncDir(m.c.cfg.Profile.Dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(m.treeDir())
	if err != nil {
		return err
	}
	defer root.Close()
	live, err := m.c.cfg.Datastore.Running(ctx)
	if err != nil {
		return err
	}
	published := map[datastore.UID]datastore.Version{} // and nothing that is not: see agreed
	if live {
		err = m.putLive(ctx, root.FS(), arrived, published)
	} else {
		err = m.putDirect(ctx, root.FS(), arrived, published)
	}
	if err := m.agreed.add(published, m.snap.Seq); err != nil {
		m.c.cfg.Log.Warn("cannot record what is safe at school", "error", err)
	}
	return err
}

func (m *mergeSink) putLive(ctx context.Context, tree fs.FS, arrived []arrival, published map[datastore.UID]datastore.Version) error {
	for i, a := range arrived {
		// What takes time comes first: between the last look at the entry and
		// its update the child must have no time to change it.
		path, err := joinData(tree, m.treeDir(), a.entry, filepath.Join(m.c.stagingDir(), "data"))
		if err != nil {
			return err
		}
		if err := m.update(ctx, a, path, published); err != nil {
			return err
		}
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
	case errors.As(err, &refused):
		m.skip(a.uid, fmt.Sprintf("Sugar's datastore did not take it (%s); it stays safe at school", sentence(refused.Reason)))
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &Error{Code: Failed, Message: "Sugar's datastore ended or does not answer; the restore goes on from there.", Err: err}
	}
	m.over(a, v, published)
	return nil
}

func (m *mergeSink) putDirect(ctx context.Context, tree fs.FS, arrived []arrival, published map[datastore.UID]datastore.Version) error {
	out := filepath.Join(m.c.stagingDir(), "out")
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	// What takes time comes first: while the datastore is kept from starting,
	// whoever calls it waits.
	for _, a := range arrived {
		v, err := m.verdict(ctx, a)
		if err != nil {
			return err
		}
		if _, err := m.unpack(tree, a, v, out); err != nil {
			return err
		}
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
	for _, a := range arrived {
		v, err := m.verdict(ctx, a)
		if err != nil {
			return err
		}
		e, err := m.unpack(tree, a, v, out) // again, where it was changed meanwhile
		if err != nil {
			return err
		}
		if v == mended {
			if err := m.putAside(a.uid); err != nil {
				return err
			}
		}
		if e != nil {
			staged[e.UID] = filepath.Join(out, string(e.UID))
		}
		m.over(a, v, came)
	}
	if err := m.store.Publish(ctx, staged); err != nil {
		return err
	}
	maps.Copy(published, came)
	return os.RemoveAll(out)
}

// unpack makes the folder out/UID of an entry as it will stand in the Journal,
// unless it is there.
func (m *mergeSink) unpack(tree fs.FS, a arrival, v verdict, out string) (*datastore.Entry, error) {
	e := m.becomes(a, v)
	if e == nil {
		return nil, nil
	}
	dir := filepath.Join(out, string(e.UID))
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	return e, datastore.Unpack(tree, a.uid, e, dir)
}

// over counts an entry that is done with.
func (m *mergeSink) over(a arrival, v verdict, published map[datastore.UID]datastore.Version) {
	m.result.Entries++
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
