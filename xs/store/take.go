package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// TreeError says what in a received tree breaks the rules.
type TreeError struct{ Reason string }

func (e *TreeError) Error() string { return "the Journal that arrived breaks the rules: " + e.Reason }

// Offer is what an XO said of the tree that it then sent.
type Offer struct {
	Digest  string
	Machine Serial
	// Claim is the one by which the key of the session was let in, if any.
	Claim ClaimID
}

// Taken is what became of a received tree.
type Taken struct {
	Snapshot wire.Snapshot
	// Confirmed: nothing differs from the latest snapshot, which this is.
	Confirmed bool
	// Kept are the entries of which the snapshot holds an older version, or none.
	Kept []wire.Kept
}

// base is the snapshot that a new one rests on.
type base struct {
	*tree
	record wire.Snapshot
	dir    string // "" if there is none
	// sums are those of the files that are still what they were; lost are the
	// entries of which a file is not.
	sums   Manifest
	digest string // of all that it held
	lost   map[datastore.UID]string
	whole  bool
}

// base finds the newest snapshot whose manifest can be read. One that is damaged
// is an administrator's to look at, and no reason to save nothing more.
func (l *Locked) base() (*base, error) {
	list, err := l.Snapshots()
	if err != nil {
		return nil, err
	}
	for _, rec := range list {
		b, err := l.baseOn(rec)
		if err == nil {
			return b, nil
		}
		l.log.Error("no new snapshot can rest on this one: 'xs-backupd verify' tells more", "snapshot", rec.ID, "error", err)
	}
	return &base{tree: &tree{}}, nil
}

func (l *Locked) baseOn(rec wire.Snapshot) (*base, error) {
	snap, err := l.Snapshot(rec.ID)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	st, err := snap.state()
	if err != nil {
		return nil, err
	}
	b := &base{tree: st.tree, record: snap.Record, dir: snap.Ref(),
		sums: st.sums, digest: st.sums.Digest(), lost: st.lost(), whole: st.whole}
	for path, why := range st.bad {
		l.log.Error("a file was damaged here, and is not taken over", "snapshot", rec.ID, "why", why)
		delete(b.sums, path)
	}
	return b, nil
}

// taking is one received tree on its way to become a snapshot.
type taking struct {
	*Locked
	base *base
	have *tree
	// sums and links are the new snapshot's.
	sums  Manifest
	links []link
	// relink: files of current that the base has too, under another inode.
	relink []string
	// arrived is sums without what was taken from the base.
	arrived Manifest
	kept    []wire.Kept
	again   []datastore.UID // did not arrive whole
	// written waits until what arrived is on the disk.
	written func() error
}

// Take turns what rsync received into current into a snapshot: every file that
// is not the latest snapshot's own inode is read and compared with the sums that
// its entry's metadata carries; an entry that did not arrive whole, or that the
// XO could not read, keeps the version of the latest snapshot.
func (l *Locked) Take(ctx context.Context, o Offer, progress func(done, total int)) (Taken, error) {
	t := &taking{Locked: l, sums: Manifest{}, arrived: Manifest{}, written: l.writeOut()}
	defer t.written() // it needs what Unlock closes
	var err error
	if t.have, err = scanTree(l.root, currentDir); err != nil {
		return Taken{}, err
	}
	if len(t.have.foreign) > 0 {
		return Taken{}, &TreeError{t.have.foreign[0].why.Error()}
	}
	if t.base, err = l.base(); err != nil {
		return Taken{}, err
	}
	journal, err := t.journal()
	if err != nil {
		return Taken{}, err
	}
	if err := t.entries(ctx, progress); err != nil {
		return Taken{}, err
	}
	for _, uid := range journal.Kept {
		if _, ok := t.arrived[uid.Path()]; !ok && !slices.Contains(t.again, uid) {
			t.keep(uid, "could not be read on the laptop")
		}
	}
	slices.SortFunc(t.kept, func(a, b wire.Kept) int { return compare(a.UID, b.UID) })
	if err := l.remember(unmatched{o.Digest, t.again}, t.arrived.Digest()); err != nil {
		return Taken{}, err
	}
	return t.finish(ctx, o)
}

// finish makes the snapshot, or confirms the latest if nothing differs.
func (t *taking) finish(ctx context.Context, o Offer) (Taken, error) {
	if t.base.whole && t.base.record.ID == t.newest.ID && t.sums.Digest() == t.base.digest {
		rec, err := t.Confirm(o.Claim)
		if err != nil {
			return Taken{}, err
		}
		return Taken{Snapshot: rec, Confirmed: true, Kept: t.kept}, t.shareInodes()
	}
	rec, err := t.publish(ctx, o)
	if err != nil {
		return Taken{}, err
	}
	if err := t.shareInodes(); err != nil {
		t.log.Warn("current keeps copies of its own", "error", err) // costs room, nothing else
	}
	return Taken{Snapshot: rec, Kept: t.kept}, nil
}

// writeOut begins to write out what arrived: the disk rests while we read it from
// memory and compare.
func (l *Locked) writeOut() (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- syncAll(l.disk) }()
	return sync.OnceValue(func() error { return <-done })
}

func (t *taking) journal() (*datastore.Journal, error) {
	b, err := t.root.ReadFile(currentDir + "/" + journalName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &TreeError{journalName + " is missing"}
	}
	if err != nil {
		return nil, err
	}
	j, err := datastore.DecodeJournal(b)
	if err != nil {
		// If it was damaged here, it comes anew.
		if err := t.drop([]string{journalName}); err != nil {
			return nil, err
		}
		return nil, &TreeError{err.Error()}
	}
	t.include(journalName, sumOf(b))
	return j, nil
}

// include puts a file of current, whose sum is known, into the snapshot. If the
// base has the same content, its inode is used: one copy is enough.
func (t *taking) include(path string, sum Sum) {
	t.sums[path], t.arrived[path] = sum, sum
	from := currentDir
	if t.base.sums[path] == sum {
		if f, ok := t.base.files[path]; ok {
			from = t.base.dir
			if f.inode != t.have.files[path].inode {
				t.relink = append(t.relink, path)
			}
		}
	}
	t.links = append(t.links, link{from: from, path: path})
}

// keep lets the snapshot have the base's version of an entry.
func (t *taking) keep(uid datastore.UID, reason string) {
	k := wire.Kept{UID: string(uid), Reason: reason, Missing: true}
	if why := t.base.lost[uid]; why != "" {
		k.Reason += "; and " + why
		t.kept = append(t.kept, k)
		return
	}
	for _, path := range t.base.entries[uid] {
		if sum, ok := t.base.sums[path]; ok {
			k.Missing = false
			t.sums[path] = sum
			t.links = append(t.links, link{from: t.base.dir, path: path})
		}
	}
	t.kept = append(t.kept, k)
}

// shareInodes replaces files of current by the latest snapshot's own, where the
// content is the same: the next time they need not be read.
func (t *taking) shareInodes() error {
	for _, path := range t.relink {
		temp := currentDir + "/" + tempName()
		if err := t.root.Link(t.base.dir+"/"+path, temp); err != nil {
			return err
		}
		if err := t.root.Rename(temp, currentDir+"/"+path); err != nil {
			return err
		}
	}
	return nil
}
