package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// Journal is the index of the Journal that is here, and follows it. It is opened
// when it is first asked for something, and built anew, without a word, where it
// cannot be used. What takes long goes on when whoever asked first gives up.
type Journal struct {
	dir   string
	open  func() (*datastore.Store, error)
	order func(context.Context) []datastore.UID

	lock  chan struct{} // full: somebody uses what is below
	store *datastore.Store
	index *Index          // nil: closed
	clean datastore.Stamp // ds_clean's, when the index was like the Journal

	hints hints

	mu   sync.Mutex
	life context.Context // of the work that outlives who asked for it; nil: none yet
	end  context.CancelFunc
}

// hints are what is said to have changed. They have a lock of their own: who says
// so must not have to wait.
type hints struct {
	mu    sync.Mutex
	uids  map[datastore.UID]bool
	stale bool // something else has
}

// ErrBuilding is the error of a search that could not wait until the index was
// ready; that goes on.
var ErrBuilding = errors.New("the index is being built")

// NewJournal is the index in dir of the Journal that open opens. order answers the
// entries in the order of Sugar's own index, or nil if that cannot be known now: see
// Index.Rank. Nothing is read yet.
func NewJournal(dir string, open func() (*datastore.Store, error), order func(context.Context) []datastore.UID) *Journal {
	return &Journal{dir: dir, open: open, order: order, lock: make(chan struct{}, 1)}
}

// Changed says that an entry was made, changed or deleted. It costs nothing; the
// next search looks.
func (j *Journal) Changed(uid datastore.UID) {
	j.hints.mu.Lock()
	defer j.hints.mu.Unlock()
	if j.hints.uids == nil {
		j.hints.uids = map[datastore.UID]bool{}
	}
	j.hints.uids[uid] = true
}

// Stale says that nobody knows what has changed: entries have come without a word
// from Sugar's datastore, or that has begun to run anew.
func (j *Journal) Stale() {
	j.hints.mu.Lock()
	defer j.hints.mu.Unlock()
	j.hints.stale = true
}

func (h *hints) take() (uids map[datastore.UID]bool, stale bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	uids, stale = h.uids, h.stale
	h.uids, h.stale = nil, false
	return uids, stale
}

// Find answers as Index.Find does, of the Journal as it is now.
func (j *Journal) Find(ctx context.Context, q *Query) (page []Hit, total int, err error) {
	err = j.use(ctx, func(x *Index) error {
		page, total, err = x.Find(ctx, q)
		return err
	})
	return page, total, err
}

// FindUIDs answers as Index.FindUIDs does.
func (j *Journal) FindUIDs(ctx context.Context, q *Query) (uids []datastore.UID, err error) {
	err = j.use(ctx, func(x *Index) error {
		uids, err = x.FindUIDs(ctx, q)
		return err
	})
	return uids, err
}

// Activities answers as Index.Activities does.
func (j *Journal) Activities(ctx context.Context) (names []string, err error) {
	err = j.use(ctx, func(x *Index) error {
		names, err = x.Activities()
		return err
	})
	return names, err
}

// use calls do with the index as the Journal is now. Where the index turns out to
// be damaged it is built anew, once.
func (j *Journal) use(ctx context.Context, do func(*Index) error) error {
	for again := false; ; again = true {
		if err := j.ready(ctx); err != nil {
			return err
		}
		err := j.with(ctx, func() error {
			if j.index == nil {
				return ErrUnusable // closed just now
			}
			err := do(j.index)
			if errors.Is(err, ErrUnusable) {
				_ = j.index.Close()
				j.index = nil
			}
			return err
		})
		if again || !errors.Is(err, ErrUnusable) {
			return err
		}
	}
}

// with calls do while nobody else uses the index.
func (j *Journal) with(ctx context.Context, do func() error) error {
	select {
	case j.lock <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBuilding, ctx.Err())
	}
	defer func() { <-j.lock }()
	return do()
}

// ready brings the index up to the Journal. That goes on where ctx ends first.
func (j *Journal) ready(ctx context.Context) error {
	return j.detached(ctx, func(life context.Context) error {
		err := j.follow(life)
		if errors.Is(err, ErrUnusable) {
			err = j.rebuild(life, nil)
		}
		return err
	})
}

// detached does work that goes on until it is over or the index is closed, whoever
// waits for it; that waits for it in turn: see Close.
func (j *Journal) detached(ctx context.Context, work func(life context.Context) error) error {
	j.mu.Lock()
	if j.life == nil {
		j.life, j.end = context.WithCancel(context.Background())
	}
	life := j.life
	j.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		done <- j.with(life, func() (err error) {
			defer recovered(&err)
			return work(life)
		})
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBuilding, ctx.Err())
	}
}

// Rebuild makes the index anew. progress is told how many entries are in it.
func (j *Journal) Rebuild(ctx context.Context, progress func(done int)) (entries int, err error) {
	err = j.with(ctx, func() error {
		return j.rebuild(ctx, func(n int) { entries = n; progress(n) })
	})
	return entries, err
}

// Close closes the index, and ends what is under way. It is opened again when it is
// needed.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.end != nil {
		j.end()
		j.life, j.end = nil, nil
	}
	j.mu.Unlock()
	return j.with(context.Background(), func() error {
		if j.index == nil {
			return nil
		}
		j.hints.take()
		x := j.index
		var err error
		// Little is found out again when it is opened; flash is not written for that.
		if x.Changes() > most/8 {
			// Whatever was said or not said: what it is like is what counts then.
			if err = j.compare(context.Background()); err == nil && x == j.index {
				err = x.Flush(stateOf(j.clean))
			}
			x = j.index
		}
		j.index, j.store = nil, nil
		if x != nil {
			err = errors.Join(err, x.Close())
		}
		return err
	})
}

// follow opens the index if need be, and brings it up to the Journal.
func (j *Journal) follow(ctx context.Context) error {
	opening := j.index == nil
	if opening {
		if err := j.openIndex(ctx); err != nil {
			return err
		}
	}
	changed, stale := j.hints.take()
	clean := j.store.CleanStamp()
	switch {
	case j.index.Changes() > 2*most: // each further one costs as much as all of them
		return j.rebuild(ctx, nil)
	case stale || opening && clean != j.clean || len(changed) > most:
		if stale && !opening {
			j.index.Rank(j.order(ctx)) // Sugar may have built its index anew
		}
		return j.compare(ctx)
	case len(changed) > 0:
		if err := j.reread(changed); err != nil {
			return err
		}
		j.clean = clean
	case clean != j.clean || clean == datastore.Stamp{}:
		// Nobody has said what: Sugar does not run, or was faster than its word.
		return j.compare(ctx)
	}
	return nil
}

func (j *Journal) openIndex(ctx context.Context) error {
	store, err := j.open()
	if err != nil {
		return err
	}
	j.store, j.clean = store, datastore.Stamp{}
	if j.index, err = Open(j.dir); err != nil {
		j.index = nil
		return j.rebuild(ctx, nil)
	}
	j.index.Rank(j.order(ctx))
	if clean := store.CleanStamp(); stateOf(clean) == j.index.State() {
		j.clean = clean
	}
	return nil
}

// stateOf is the state of an index of a Journal: the ds_clean that it is like.
func stateOf(clean datastore.Stamp) string {
	return fmt.Sprintf("%d %d %d", clean.Inode, clean.Modified, clean.Changed)
}

func (j *Journal) rebuild(ctx context.Context, progress func(int)) error {
	if j.store == nil {
		store, err := j.open()
		if err != nil {
			return err
		}
		j.store = store
	}
	if j.index != nil {
		_ = j.index.Close()
		j.index = nil
	}
	j.hints.take()
	clean := j.store.CleanStamp()
	if err := Build(ctx, j.dir, stateOf(clean), j.entries(ctx, progress)); err != nil {
		return err
	}
	x, err := Open(j.dir)
	if err != nil {
		return err
	}
	x.Rank(j.order(ctx))
	j.index, j.clean = x, clean
	return nil
}

// entries are those of the Journal.
func (j *Journal) entries(ctx context.Context, progress func(int)) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		n := 0
		err := j.store.Scan(ctx, nil, func(e datastore.Scanned) error {
			if !yield(entryOf(e), nil) {
				return errStop
			}
			if n++; progress != nil {
				progress(n)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

var errStop = errors.New("no more is wanted")

func entryOf(e datastore.Scanned) *Entry {
	b := make([]byte, 0, 24)
	for _, n := range []int64{e.Stamp.Inode, e.Stamp.Modified, e.Stamp.Changed} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return &Entry{UID: e.UID, Properties: e.Properties, Extra: b}
}

func stampIn(extra string) (s datastore.Stamp) {
	if len(extra) != 24 {
		return s
	}
	number := func(at int) int64 { return int64(binary.BigEndian.Uint64([]byte(extra[at : at+8]))) }
	return datastore.Stamp{Inode: number(0), Modified: number(8), Changed: number(16)}
}

// reread brings some entries up to date.
func (j *Journal) reread(uids map[datastore.UID]bool) error {
	var changed []*Entry
	var gone []datastore.UID
	for uid := range uids {
		e, err := j.store.ScanEntry(uid)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			gone = append(gone, uid)
		case err != nil:
			return err
		default:
			changed = append(changed, entryOf(e))
		}
	}
	return j.index.Update(changed, gone)
}

// most is how many entries are brought up to date one by one; for more it is
// cheaper to build all anew.
const most = 500

// compare finds what has changed since it was indexed by the stamps of the
// entries: that costs one lstat each.
func (j *Journal) compare(ctx context.Context) error {
	clean := j.store.CleanStamp()
	known, err := j.index.extras()
	if err != nil {
		return err
	}
	var changed []*Entry
	tooMany := false
	err = j.store.Scan(ctx, func(uid datastore.UID, s datastore.Stamp) bool {
		extra, ok := known[uid]
		delete(known, uid)
		return ok && stampIn(extra) == s
	}, func(e datastore.Scanned) error {
		if changed = append(changed, entryOf(e)); len(changed) > most {
			tooMany = true
			return errStop
		}
		return nil
	})
	if tooMany {
		return j.rebuild(ctx, nil)
	}
	if err != nil {
		return err
	}
	var gone []datastore.UID
	for uid := range known {
		gone = append(gone, uid)
	}
	if err := j.index.Update(changed, gone); err != nil {
		return err
	}
	j.clean = clean
	return nil
}
