package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"

	"github.com/blevesearch/bleve/v2/index/scorch"
	bleve "github.com/blevesearch/bleve_index_api"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// Index is an index that is open. Its methods may be called at the same time.
type Index struct {
	dir   string
	state string

	life   sync.RWMutex // held to read by whoever uses what is below
	bleve  bleve.Index
	queue  *bleve.AnalysisQueue
	closed bool
	failed chan struct{} // closed when Bleve cannot write any more
	once   sync.Once

	updating sync.Mutex
	changed  bool // since it was opened: what the sums say is no longer true

	mu   sync.Mutex
	rows map[uint64]rows // by the number of their segment
	rank map[datastore.UID]uint32
}

// ErrUnusable is why an index has to be built anew.
var ErrUnusable = errors.New("the index cannot be used")

// opened are the indexes that are open, by their folder: Bleve's word for an error
// in the background comes with no more than that.
var opened sync.Map

const onError = "xo-backupd"

func init() {
	scorch.RegistryAsyncErrorCallbacks[onError] = func(err error, dir string) {
		if x, ok := opened.Load(dir); ok {
			x.(*Index).fail()
		}
	}
}

// Open opens the index in dir. One that is missing, damaged, of another version
// or that was not closed is ErrUnusable.
func Open(dir string) (x *Index, err error) {
	defer recovered(&err)
	state, err := checkSums(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	x = &Index{dir: dir, state: state, rows: map[uint64]rows{}, queue: bleve.NewAnalysisQueue(1), failed: make(chan struct{})}
	x.bleve, err = scorch.NewScorch(scorch.Name, map[string]any{
		"path":         dir,
		"unsafe_batch": true, // what a power cut takes is built anew
		"bolt_timeout": "5s",
		// What has been replaced is of no use to anybody.
		"numSnapshotsToKeep":     1,
		"asyncErrorCallbackName": onError,
	}, x.queue)
	opened.Store(dir, x)
	if err == nil {
		err = x.bleve.Open()
	}
	if err != nil {
		opened.Delete(dir)
		x.queue.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return x, nil
}

// fail ends an index that cannot be written, on a full disk say: Bleve would try
// again and again, without a pause. It does not wait.
func (x *Index) fail() {
	x.once.Do(func() {
		close(x.failed)
		go x.shut()
	})
}

// shut closes Bleve, once, when nobody uses it.
func (x *Index) shut() (err error) {
	defer recovered(&err)
	x.life.Lock()
	defer x.life.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	opened.Delete(x.dir)
	x.queue.Close()
	return x.bleve.Close()
}

// live calls do while the index is open.
func (x *Index) live(do func() error) (err error) {
	defer recovered(&err)
	x.life.RLock()
	defer x.life.RUnlock()
	if x.closed {
		return ErrUnusable
	}
	return do()
}

// recovered makes an error of a panic: Bleve has some for files that it does not
// like.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrUnusable, p)
	}
}

// batchSize is how many documents are in memory at once while an index is built;
// each may have maxWords.
const batchSize = 64

// Build makes an index of entries in dir, in place of what is there. The state is
// whatever State shall answer.
func Build(ctx context.Context, dir, state string, entries iter.Seq2[*Entry, error]) (err error) {
	defer recovered(&err)
	temp := dir + ".new"
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o700)); err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := build(ctx, temp, entries); err != nil {
		return err
	}
	if err := writeSums(temp, state); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

func build(ctx context.Context, dir string, entries iter.Seq2[*Entry, error]) error {
	b, err := scorch.NewBuilder(map[string]any{"path": dir, "buildPathPrefix": dir, "batchSize": batchSize, "mergeMax": 40})
	if err != nil {
		return err
	}
	documents, stop := cut(ctx, entries)
	defer stop()
	n := 0
	for d := range documents {
		if d.err != nil {
			return d.err
		}
		if err := b.Index(d.document); err != nil {
			return err
		}
		n++
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if n == 0 {
		return buildEmpty(dir)
	}
	return b.Close()
}

// buildEmpty makes an index without documents, which Bleve's builder cannot.
func buildEmpty(dir string) error {
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil { // what that has left
		return err
	}
	x, err := scorch.NewScorch(scorch.Name, map[string]any{"path": dir}, nil)
	if err == nil {
		err = x.Open()
	}
	if err != nil {
		return err
	}
	return x.Close()
}

// cutDocument is a document, or why there are no more.
type cutDocument struct {
	*document
	err error
}

// cut reads entries and cuts them into words beside the one who writes them. stop
// ends it and waits for that.
func cut(ctx context.Context, entries iter.Seq2[*Entry, error]) (<-chan cutDocument, func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan cutDocument, 16)
	go func() {
		defer close(out)
		send := func(d cutDocument) bool {
			select {
			case out <- d:
				return d.err == nil
			case <-ctx.Done():
				return false
			}
		}
		var err error
		defer func() {
			if err != nil {
				send(cutDocument{err: err})
			}
		}()
		defer recovered(&err)
		for e, failed := range entries {
			if err = failed; err != nil || !send(cutDocument{document: newDocument(e)}) {
				return
			}
		}
	}()
	return out, func() {
		cancel()
		for range out {
		}
	}
}

// State answers what the index was built or closed with.
func (x *Index) State() string { return x.state }

// Update puts entries into the index, in the place of those with the same uid,
// and takes others out of it.
func (x *Index) Update(entries []*Entry, removed []datastore.UID) error {
	if len(entries)+len(removed) == 0 {
		return nil
	}
	x.updating.Lock()
	defer x.updating.Unlock()
	return x.live(func() error {
		if !x.changed {
			// From here on it is true again only when it has been closed.
			if err := removeSums(x.dir); err != nil {
				return err
			}
			x.changed = true
		}
		batch := bleve.NewBatch()
		for _, e := range entries {
			batch.Update(newDocument(e))
		}
		for _, uid := range removed {
			batch.Delete(string(uid))
		}
		if err := x.bleve.Batch(batch); err != nil {
			return fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		x.follow(entries, removed)
		return nil
	})
}

// Close closes the index; with another state it answers that the next time. Where
// what has changed cannot be written it is built anew then.
func (x *Index) Close(state string) error {
	x.updating.Lock()
	defer x.updating.Unlock()
	err := x.live(x.settle)
	if err = errors.Join(err, x.shut()); err != nil {
		return err
	}
	return writeSums(x.dir, state) // Bleve writes also where nothing has changed
}

// settle waits until all is in files.
func (x *Index) settle() error {
	if !x.changed {
		return nil
	}
	persisted := make(chan error, 1)
	batch := bleve.NewBatch()
	batch.SetInternal([]byte("closed"), []byte(x.state))
	batch.SetPersistedCallback(func(err error) { persisted <- err })
	if err := x.bleve.Batch(batch); err != nil {
		return err
	}
	select {
	case err := <-persisted:
		return err
	case <-x.failed:
		return fmt.Errorf("%w: it cannot be written", ErrUnusable)
	}
}
