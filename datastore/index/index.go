package index

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// Index is an index that is open. Its methods may be called at the same time.
//
// On disk it is one segment that never changes, so that nothing which is cut off
// can harm it. What has changed since stands in a second segment, in memory; it is
// written only when there is much of it (Flush), since whoever made the index can
// find out again what has changed since its State.
type Index struct {
	dir   string
	state string

	mu     sync.RWMutex // held to read while anything is read from the segments
	closed bool
	base   *part // nil: nothing
	over   *part // nil: nothing
	// changed are the entries in over.
	changed map[datastore.UID]*Entry
	rank    map[datastore.UID]uint32
	next    uint32 // rank of what is added next
}

// part is a segment as it is to be searched now.
type part struct {
	segment.Segment
	rows rows
	gone *roaring.Bitmap // documents that have been replaced or removed
}

// ErrUnusable is why an index has to be built anew.
var ErrUnusable = errors.New("the index cannot be used")

// Open opens the index in dir. One that is missing, damaged or of another version
// is ErrUnusable.
func Open(dir string) (x *Index, err error) {
	defer recovered(&err)
	state, files, err := checkSums(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	x = &Index{dir: dir, state: state, changed: map[datastore.UID]*Entry{}}
	if _, ok := files[baseName]; !ok {
		return x, nil // there was nothing to index
	}
	s, err := zap.Open(filepath.Join(dir, baseName))
	if err == nil {
		x.base, err = newPart(s)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return x, nil
}

func newPart(s segment.Segment) (*part, error) {
	rows, err := readRows(s)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &part{Segment: s, rows: rows, gone: roaring.New()}, nil
}

// recovered makes an error of a panic: the segments' library has some for files that
// it does not like.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrUnusable, p)
	}
}

// State answers what the index was built or flushed with.
func (x *Index) State() string { return x.state }

// Update puts entries into the index, in the place of those with the same uid,
// and takes others out of it. It writes nothing.
func (x *Index) Update(entries []*Entry, removed []datastore.UID) (err error) {
	if len(entries)+len(removed) == 0 {
		return nil
	}
	defer recovered(&err)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrUnusable
	}
	changed := maps.Clone(x.changed)
	ids := make([]string, 0, len(entries)+len(removed))
	for _, e := range entries {
		changed[e.UID] = e
		ids = append(ids, string(e.UID))
	}
	for _, uid := range removed {
		delete(changed, uid)
		ids = append(ids, string(uid))
	}
	over, err := inMemory(changed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if x.base != nil {
		gone, err := x.base.DocNumbers(ids)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		x.base.gone.Or(gone)
	}
	x.over, x.changed = over, changed
	x.follow(entries, removed)
	return nil
}

// inMemory makes a segment that is in no file; nil for nothing.
func inMemory(entries map[datastore.UID]*Entry) (*part, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	docs := make([]*document, 0, len(entries))
	for _, e := range entries {
		docs = append(docs, newDocument(e))
	}
	s, err := newSegment(docs)
	if err != nil {
		return nil, err
	}
	return newPart(s)
}

// Changes answers how many entries differ from what is on disk.
func (x *Index) Changes() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := len(x.changed)
	if x.base != nil {
		n += int(x.base.gone.GetCardinality())
	}
	return n
}

// Flush writes the index as it is now, for whoever opens it next, with a new state.
func (x *Index) Flush(state string) (err error) {
	defer recovered(&err)
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return ErrUnusable
	}
	return replace(x.dir, state, func(dir string) error {
		var segments []segment.Segment
		var drops []*roaring.Bitmap
		for _, p := range x.parts() {
			if uint64(len(p.rows)) > p.gone.GetCardinality() {
				segments, drops = append(segments, p.Segment), append(drops, p.gone)
			}
		}
		return merge(segments, drops, filepath.Join(dir, baseName))
	})
}

// Close closes the index; what is on disk stays as it was.
func (x *Index) Close() (err error) {
	defer recovered(&err)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	for _, p := range x.parts() {
		err = errors.Join(err, p.Close())
	}
	return err
}

// parts are what the index consists of now.
func (x *Index) parts() (all []*part) {
	for _, p := range []*part{x.base, x.over} {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// replace makes an index with a new folder in the place of the one in dir, which
// stays if that fails.
func replace(dir, state string, fill func(dir string) error) error {
	temp := dir + ".new"
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o700)); err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := fill(temp); err != nil {
		return err
	}
	if err := writeSums(temp, state); err != nil {
		return err
	}
	// No sync: what a power cut leaves half written does not match its sums.
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}
