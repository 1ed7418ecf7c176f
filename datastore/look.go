package datastore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// LookOptions says how to look.
type LookOptions struct {
	Owner Owner
	// Cache is the path of the file that remembers sums from look to look; ""
	// for none. It may be missing, damaged or impossible to write.
	Cache string
	// Known are entries that somebody else knows to be here. Those in a folder
	// that cannot be read are kept, as those are that the cache knows.
	Known []UID
	// Progress, if set, is called after each entry.
	Progress func(done, total int)
}

// Entry reads one entry as it is at one moment. The error is fs.ErrNotExist,
// a *DamagedError, ctx's or the whole datastore's.
func (s *Store) Entry(ctx context.Context, uid UID) (*Entry, error) {
	if _, err := ParseUID(string(uid)); err != nil {
		return nil, err
	}
	l, err := s.newLooker()
	if err != nil {
		return nil, err
	}
	defer l.close()
	var entry *Entry
	try := func(uid UID, accept bool) error {
		folder, err := openDir(l.top, uid.folder())
		if err != nil {
			return fmt.Errorf("entry %s: %w", uid, err)
		}
		defer unix.Close(folder)
		r, err := l.readSoon(ctx, folder, uid, accept)
		if err != nil {
			return named(uid, err)
		}
		entry = r.entry
		return nil
	}
	var d *doubt
	if err := try(uid, false); !errors.As(err, &d) {
		return entry, err
	}
	p := patience{most: l.timing.most}
	var gaveUp error
	p.add(uid, d)
	err = p.work(ctx, try, func(uid UID, d *doubt) {
		gaveUp = &DamagedError{UID: uid, Reason: d.why, Changing: true}
	})
	return entry, cmp.Or(err, gaveUp)
}

// named says which entry an error of read is about.
func named(uid UID, err error) error {
	var d damage
	if errors.As(err, &d) {
		return &DamagedError{UID: uid, Reason: string(d)}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("entry %s: %w", uid, fs.ErrNotExist)
	}
	return err
}

// Look reads the whole Journal, each entry as it is at one moment, and returns
// it as a tree. What is damaged, or does not hold still, is in the tree's
// Summary and its journal's Kept; the rest goes on. It fails only if the
// datastore as a whole cannot be read, or ctx ends.
func (s *Store) Look(ctx context.Context, o LookOptions) (*Tree, error) {
	l, err := s.newLooker()
	if err != nil {
		return nil, fmt.Errorf("datastore: %w", err)
	}
	defer l.close()
	return l.lookAll(ctx, s, o)
}

// Versions answers the versions of those of the entries that are there and can
// be read. What the cache of the last Look remembers is not read again.
func (s *Store) Versions(ctx context.Context, uids []UID, cache string) (map[UID]Version, error) {
	l, err := s.newLooker()
	if err != nil {
		return nil, fmt.Errorf("datastore: %w", err)
	}
	defer l.close()
	return l.versionsOf(ctx, uids, cache)
}

func (l *looker) versionsOf(ctx context.Context, uids []UID, cache string) (map[UID]Version, error) {
	k := l.begin(ctx, LookOptions{Cache: cache})
	for _, uid := range uids {
		if err := k.folder(entries{uid.folder(), []string{string(uid)}}); err != nil {
			return nil, err
		}
	}
	if err := k.patience.work(ctx, k.again, k.giveUp); err != nil {
		return nil, err
	}
	versions := make(map[UID]Version, len(k.records))
	for _, r := range k.records {
		versions[r.uid] = Version(hex.EncodeToString(r.version[:]))
	}
	return versions, nil
}

func (l *looker) begin(ctx context.Context, o LookOptions) *look {
	return &look{
		looker:   l,
		ctx:      ctx,
		options:  o,
		cached:   loadCache(o.Cache),
		damaged:  map[UID]DamagedError{},
		patience: patience{most: l.timing.most},
	}
}

func (l *looker) lookAll(ctx context.Context, s *Store, o LookOptions) (*Tree, error) {
	k := l.begin(ctx, o)
	folders, err := k.list()
	if err != nil {
		return nil, fmt.Errorf("datastore: %s: %w", s.dir, err)
	}
	for _, f := range folders {
		if err := k.folder(f); err != nil {
			return nil, err
		}
	}
	if err := k.patience.work(ctx, k.again, k.giveUp); err != nil {
		return nil, err
	}
	slices.SortFunc(k.records, func(a, b *record) int { return cmp.Compare(a.uid, b.uid) })
	if k.changed || len(k.records)+len(k.unseen) != len(k.cached) {
		// Without it the next look takes longer, and that is all.
		_ = saveCache(o.Cache, append(k.unseen, k.records...))
	}
	return k.tree(s)
}

// look is one Look under way.
type look struct {
	*looker
	ctx      context.Context
	options  LookOptions
	cached   map[UID]*record
	records  []*record
	unseen   []*record // cached, in folders that cannot be read
	damaged  map[UID]DamagedError
	patience patience
	changed  bool // records are not what the cache says

	done, total int
}

// entries are the names in one folder UU.
type entries struct {
	name string
	uids []string
}

// list finds the entries by name. What is no entry's, as Sugar's datastore sees
// it, is passed over.
func (k *look) list() ([]entries, error) {
	names, err := readDir(k.top, ".")
	if err != nil {
		return nil, err
	}
	var folders []entries
	for _, d := range names {
		name := d.Name()
		if len(name) != 2 || !d.IsDir() && d.Type() != fs.ModeSymlink {
			continue
		}
		inside, err := readDir(k.top, name)
		if err != nil {
			k.unreadable(name, err)
			continue
		}
		f := entries{name: name}
		for _, d := range inside {
			if len(d.Name()) == uidLen {
				f.uids = append(f.uids, d.Name())
			}
		}
		k.total += len(f.uids)
		folders = append(folders, f)
	}
	return folders, nil
}

// unreadable keeps what is known to have been in a folder that cannot be read.
func (k *look) unreadable(name string, err error) {
	why := "its folder cannot be read: " + reason(err)
	if _, ok := k.damaged[UID(name)]; ok {
		return // for another of its entries
	}
	k.damage(UID(name), why)
	for uid, r := range k.cached {
		if uid.folder() == name {
			k.damage(uid, why)
			k.unseen = append(k.unseen, r)
		}
	}
	for _, uid := range k.options.Known {
		if uid.folder() == name {
			k.damage(uid, why)
		}
	}
}

func (k *look) folder(f entries) error {
	fd, err := openDir(k.top, f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // with its last entry
	}
	if err != nil {
		k.unreadable(f.name, err)
		return nil
	}
	defer unix.Close(fd)
	for _, name := range f.uids {
		if err := k.ctx.Err(); err != nil {
			return err
		}
		uid, err := ParseUID(name)
		if err == nil && uid.folder() != f.name {
			err = fmt.Errorf("it is in the folder %s, where Sugar does not find it", quote(f.name))
		}
		if err != nil {
			k.damage(UID(name), err.Error())
			continue
		}
		err = k.entry(fd, uid, false)
		var d *doubt
		if errors.As(err, &d) {
			k.patience.add(uid, d)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (k *look) again(uid UID, accept bool) error {
	fd, err := openDir(k.top, uid.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		k.unreadable(uid.folder(), err)
		return nil
	}
	defer unix.Close(fd)
	return k.entry(fd, uid, accept)
}

func (k *look) giveUp(uid UID, d *doubt) {
	k.damaged[uid] = DamagedError{UID: uid, Reason: d.why, Changing: true}
	k.progress()
}

// entry takes up one entry, as the cache remembers it if nothing has changed.
func (k *look) entry(folder int, uid UID, accept bool) error {
	old := k.cached[uid]
	if old != nil && old.trusted {
		if s, err := stateOf(folder, uid); err == nil && s == old.state {
			if s.hasData() {
				k.known[s.data] = sums{whole: old.data, parts: old.parts, writers: none}
			}
			k.records = append(k.records, old)
			k.progress()
			return nil
		}
	}
	r, err := k.readSoon(k.ctx, folder, uid, accept)
	if err == nil {
		var rec *record
		if rec, err = newRecord(r); err == nil {
			k.records = append(k.records, rec)
			k.changed = true
		}
	}
	var d damage
	var whole *DamagedError
	switch {
	case errors.As(err, &d):
		k.damage(uid, string(d))
	case errors.As(err, &whole):
		k.damage(uid, whole.Reason)
	case errors.Is(err, fs.ErrNotExist):
		k.total--
	case err != nil:
		return err
	}
	k.progress()
	return nil
}

// damage notes the first reason found. An entry that stands in two folders is
// not damaged for the one that Sugar does not find.
func (k *look) damage(uid UID, reason string) {
	if _, ok := k.damaged[uid]; !ok {
		k.damaged[uid] = DamagedError{UID: uid, Reason: reason}
	}
}

func (k *look) progress() {
	k.done++
	if k.options.Progress != nil {
		k.options.Progress(min(k.done, k.total), k.total)
	}
}

// newRecord keeps of a reading what a tree needs.
func newRecord(r *reading) (*record, error) {
	b, err := r.entry.Encode()
	if err != nil {
		return nil, err
	}
	return &record{
		uid:     r.entry.UID,
		state:   r.state,
		trusted: r.trusted,
		cjson:   sha256.Sum256(b),
		size:    int64(len(b)),
		version: r.entry.version(),
		data:    r.sums.whole,
		parts:   r.sums.parts,
	}, nil
}

// readDir lists the folder name below the open folder at. Types come with the
// listing, without a stat.
func readDir(at int, name string) ([]fs.DirEntry, error) {
	fd, err := openDir(at, name)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	return dir.ReadDir(-1)
}
