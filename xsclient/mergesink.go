package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// unknownVersion stands for an entry that is here but cannot be read: it is
// like no other, so nothing replaces it.
const unknownVersion datastore.Version = "unreadable here"

// mergeSink puts entries into the Journal that is here: through Sugar's
// datastore while it runs, so that the Journal shows them as they come, else
// straight into its folder.
type mergeSink struct{ *restore }

func (m *mergeSink) here(ctx context.Context) (map[datastore.UID]datastore.Version, error) {
	tree, err := m.store.Look(ctx, datastore.LookOptions{Cache: m.c.lookCache()})
	if err != nil {
		return nil, fmt.Errorf("looking at the Journal: %w", err)
	}
	here := map[datastore.UID]datastore.Version{}
	for uid, info := range tree.Entries() {
		here[uid] = info.Version
	}
	for _, d := range tree.Summary().Damaged {
		here[d.UID] = unknownVersion
	}
	return here, nil
}

func (m *mergeSink) decide(t task, here map[datastore.UID]datastore.Version) verdict {
	v := decide(here[t.uid], t.version, m.agreed.of(t.uid), m.snap.Seq, !m.pending.LeaveDeleted)
	if v == both {
		if m.were[t.uid] && m.halfPublished(t.uid) {
			return replaced
		}
		if here[datastore.TwinUID(t.uid, t.version)] != "" {
			return same // it came back beside the newer one already
		}
	}
	return v
}

// halfPublished tells whether an entry that was being published when power
// went is only half there: nothing that a child made could be lost with it.
func (m *mergeSink) halfPublished(uid datastore.UID) bool {
	e, err := m.store.Entry(context.Background(), uid)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	size, err := strconv.ParseInt(string(e.Metadata["filesize"]), 10, 64)
	if err != nil {
		return true // Sugar gives each entry its size
	}
	return e.Data == nil && size > 0 || e.Data != nil && e.Data.Size != size
}

func (m *mergeSink) room([]task) error { return nil }

func (m *mergeSink) finish(context.Context) error { return nil }

// versionHere looks once more, just before an entry is published: the child
// may have worked on it meanwhile.
func (m *mergeSink) versionHere(ctx context.Context, uid datastore.UID) (datastore.Version, error) {
	e, err := m.store.Entry(ctx, uid)
	var damaged *datastore.DamagedError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.As(err, &damaged):
		return unknownVersion, nil
	case err != nil:
		return "", err
	}
	return e.Version(), nil
}

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

// becomes is the entry as it will stand in the Journal, nil if on second look
// nothing is to be done.
func (m *mergeSink) becomes(ctx context.Context, a arrival) (*datastore.Entry, error) {
	v, err := m.versionHere(ctx, a.uid)
	if err != nil {
		return nil, err
	}
	switch m.decide(a.task, map[datastore.UID]datastore.Version{a.uid: v}) {
	case comesBack, replaced:
		return a.entry, nil
	case both:
		m.result.KeptBoth++
		return a.entry.Twin(m.dayOf()), nil
	case stays:
		m.result.Stayed++
	}
	m.result.Entries++
	return nil, nil
}

func (m *mergeSink) putLive(ctx context.Context, tree fs.FS, arrived []arrival, published map[datastore.UID]datastore.Version) error {
	uids := make([]datastore.UID, len(arrived))
	for i, a := range arrived {
		uids[i] = a.uid
	}
	if err := m.savePublishing(uids); err != nil {
		return err
	}
	for i, a := range arrived {
		e, err := m.becomes(ctx, a)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		path, err := joinData(tree, m.treeDir(), a.entry, filepath.Join(m.c.stagingDir(), "data"))
		if err != nil {
			return err
		}
		if err := m.c.cfg.Datastore.Update(ctx, e, path); err != nil {
			return fmt.Errorf("giving entry %s to Sugar's datastore: %w", a.uid, err)
		}
		m.came(a, e, published)
		p := m.p
		p.Phase, p.EntriesDone = "publishing", p.EntriesDone+i+1
		m.progress(p)
	}
	if err := syncDir(m.c.cfg.Profile.Dir); err != nil {
		return err
	}
	return m.savePublishing(nil)
}

func (m *mergeSink) putDirect(ctx context.Context, tree fs.FS, arrived []arrival, published map[datastore.UID]datastore.Version) error {
	out := filepath.Join(m.c.stagingDir(), "out")
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	release, err := m.c.cfg.Datastore.Hold(ctx)
	if err != nil {
		return fmt.Errorf("keeping Sugar's datastore from starting: %w", err)
	}
	defer func() {
		if err := release(); err != nil {
			m.c.cfg.Log.Warn("giving back the datastore's name", "error", err)
		}
	}()
	staged, came := map[datastore.UID]string{}, map[datastore.UID]datastore.Version{}
	for _, a := range arrived {
		e, err := m.becomes(ctx, a)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		dir := filepath.Join(out, string(e.UID))
		if err := datastore.Unpack(tree, a.uid, e, dir); err != nil {
			return err
		}
		staged[e.UID] = dir
		m.came(a, e, came)
	}
	if err := m.store.Publish(ctx, staged); err != nil {
		return err
	}
	maps.Copy(published, came)
	return os.RemoveAll(out)
}

// came counts an entry that is in the Journal again.
func (m *mergeSink) came(a arrival, e *datastore.Entry, published map[datastore.UID]datastore.Version) {
	m.result.Entries++
	if e.UID == a.uid {
		published[a.uid] = a.version // a twin is nothing that the XS has
	}
}
