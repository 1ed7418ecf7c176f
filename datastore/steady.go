package datastore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// looker reads entries of one Store so that metadata and data belong together.
//
// It reads the data first, which may take long, and remembers its sum by the
// file's stamp. Then, in one short moment under ds_clean, it reads the metadata
// and sees that entry and data are still the ones it has read. Three things
// that Sugar's datastore does beside that lock are looked for as well:
//
//   - It copies data in the background, and meanwhile the end of another
//     change can make ds_clean anew. Then the file is open for writing.
//   - Its optimizer adds the property checksum: the folder's stamp changes.
//   - Its optimizer removes the data and puts a link to the same bytes in its
//     place. In between, data is missing that the metadata speaks of.
type looker struct {
	top    int // the datastore's folder, open
	flag   cleanFlag
	props  properties
	buf    []byte
	known  map[stamp]sums // of data, by the file: entries with the same data share one
	pins   []pinned
	reads  int // how many data files were read
	timing timing
	before func(UID) // for tests: called between reading data and metadata
}

// timing is how long what looks wrong must look the same to be taken for so.
type timing struct {
	missing time.Duration // long beside the moment between an unlink and a link
	// dirty is long beside one change on a slow flash. After a change that
	// failed, ds_clean stays away although nothing happens any more.
	dirty time.Duration
	// most is how long a look waits for entries that do not hold still, all
	// in all.
	most time.Duration
}

var fieldTiming = timing{missing: 2 * time.Second, dirty: 10 * time.Second, most: 30 * time.Second}

func (s *Store) newLooker() (*looker, error) {
	top, err := openDir(unix.AT_FDCWD, s.dir+"/.")
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: s.dir, Err: err}
	}
	return &looker{
		top:    top,
		flag:   cleanFlag{top: top, live: s.live, fd: -1},
		known:  map[stamp]sums{},
		timing: s.timing,
	}, nil
}

func (l *looker) close() {
	l.flag.close()
	for _, p := range l.pins {
		unix.Close(p.fd)
	}
	unix.Close(l.top)
}

// reading is an entry as it was at one moment.
type reading struct {
	entry *Entry
	state state
	sums  sums
	// trusted: if the state is the same another time, so is the entry.
	trusted bool
}

// doubt is why an entry, as it was just read, does not count.
type doubt struct {
	why   string
	state state
	// settle: if the same doubt stands for that long and nothing about the
	// entry changes, then it is simply so on disk. 0: it never is.
	settle time.Duration
}

func (d *doubt) Error() string { return d.why }

// readSoon tries again at once what changed while it was read: most likely that
// was one change, and it is over.
func (l *looker) readSoon(ctx context.Context, folder int, uid UID, accept bool) (*reading, error) {
	for tries := 1; ; tries++ {
		r, err := l.read(ctx, folder, uid, accept)
		var d *doubt
		if tries == 3 || !errors.As(err, &d) || d.why != errChanged.Error() {
			return r, err
		}
	}
}

// read tries once. It returns a *doubt if another try may help, damage, or
// fs.ErrNotExist. With accept the doubts that can settle are put aside.
func (l *looker) read(ctx context.Context, folder int, uid UID, accept bool) (*reading, error) {
	r := &reading{}
	var dataErr error
	s, err := stateOf(folder, uid)
	if err == nil && s.hasData() {
		if r.sums, dataErr = l.sumData(ctx, folder, uid, s.data); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if l.before != nil {
		l.before(uid)
	}
	g := l.flag.hold()
	if g == dirty && !accept {
		return nil, &doubt{why: "Sugar's datastore is changing something and does not finish", state: s, settle: l.timing.dirty}
	}
	now := time.Now().UnixNano()
	again, err := stateOf(folder, uid)
	if err == nil && again != s {
		return nil, &doubt{why: errChanged.Error(), state: again}
	}
	r.state, r.trusted = again, !again.racy(now) && r.sums.writers != some
	if err == nil {
		err = dataErr
	}
	if err == nil {
		err = l.fill(folder, uid, r)
	}
	if errors.Is(err, errChanged) || !l.flag.still(g) {
		return nil, &doubt{why: errChanged.Error(), state: s}
	}
	if err != nil {
		return nil, err
	}
	if d := l.mismatch(r); d != nil && !(accept && d.settle > 0) && !l.isSo(folder, r) {
		return nil, d
	}
	return r, nil
}

// isSo tells at once that data is missing for good: with no service running there
// is nobody to put a link in its place.
func (l *looker) isSo(folder int, r *reading) bool {
	if r.state.hasData() || l.flag.live() {
		return false
	}
	now, err := stateOf(folder, r.entry.UID)
	return err == nil && now == r.state
}

// fill reads the metadata of an entry that is in r.state.
func (l *looker) fill(folder int, uid UID, r *reading) error {
	metadata, err := l.props.read(folder, uid)
	if err == nil && !r.trusted {
		// The folder's stamp may be too coarse to tell of a change just now.
		var second map[string][]byte
		if second, err = l.props.read(folder, uid); err == nil && !maps.EqualFunc(metadata, second, bytes.Equal) {
			return errChanged
		}
	}
	if now, statErr := stateOf(folder, uid); statErr != nil || now != r.state {
		return errChanged
	}
	if err != nil {
		return err
	}
	r.entry = &Entry{UID: uid, Metadata: metadata}
	if r.state.hasData() {
		r.entry.Data = &Data{SHA256: r.sums.whole, Size: r.state.data.size}
	}
	if err := r.entry.check(); err != nil {
		return damage(err.Error())
	}
	if l.props.total > MaxFile/8 { // else it fits, whatever it is made of
		if _, err := r.entry.Encode(); err != nil {
			return damage(errTooMuch.Error())
		}
	}
	return nil
}

// mismatch doubts an entry whose metadata speaks of other data than there is,
// or whose data is being written. A file that is not written to can simply have
// another size: an activity may store an old filesize. And one that is open
// may be whole: an activity may edit the link that it was given.
func (l *looker) mismatch(r *reading) *doubt {
	size, err := strconv.ParseInt(string(r.entry.Metadata["filesize"]), 10, 64)
	said := err == nil
	if !r.state.hasData() {
		if said && size > 0 || len(r.entry.Metadata["checksum"]) > 0 {
			return &doubt{"its data is missing", r.state, l.timing.missing}
		}
		return nil
	}
	other := said && size != r.state.data.size
	switch {
	case r.sums.writers == some && other:
		return &doubt{"its data is being written", r.state, 0}
	case r.sums.writers == some:
		return &doubt{"its data is being written", r.state, l.timing.dirty}
	case r.sums.writers == unknown && other:
		return &doubt{"its data is not as long as its metadata says", r.state, l.timing.missing}
	}
	return nil
}
