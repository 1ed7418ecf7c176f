package browse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index"
)

// journal is the shelf of the Journal that is here.
type journal struct {
	cfg   Config
	index *index.Journal

	following atomic.Bool // asked while a message comes in: nothing may make that wait

	mu     sync.Mutex
	opened *datastore.Store
}

func newJournal(cfg Config) *journal {
	j := &journal{cfg: cfg}
	j.index = index.NewJournal(filepath.Join(cfg.CacheDir, "index"), j.open, j.order)
	return j
}

// open is called when the index is to be read: from then on the bus tells what
// changes.
func (j *journal) open() (*datastore.Store, error) {
	if err := os.MkdirAll(j.cfg.CacheDir, 0o700); err != nil {
		return nil, err
	}
	if err := j.follow(); err != nil {
		return nil, fmt.Errorf("session bus: %w", err)
	}
	return j.store()
}

// follow is called by one at a time.
func (j *journal) follow() error {
	if j.following.Load() {
		return nil
	}
	err := j.cfg.Datastore.Follow(context.Background())
	j.following.Store(err == nil)
	return err
}

// store is the Journal's folder.
func (j *journal) store() (_ *datastore.Store, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.opened == nil {
		j.opened, err = datastore.Open(j.cfg.Profile.Datastore(), nil)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Code: "Failed", Message: "There is no Journal on this laptop yet.", Err: err}
	}
	return j.opened, err
}

// order is known while Sugar's datastore runs.
func (j *journal) order(ctx context.Context) []datastore.UID {
	uids, err := j.cfg.Datastore.Order(ctx)
	if err != nil {
		j.cfg.Log.Warn("entries of the same time may be in another order than in Sugar", "error", err)
	}
	return uids
}

func (j *journal) changed(uid datastore.UID) {
	if j.following.Load() {
		j.index.Changed(uid)
	}
}

func (j *journal) stale() {
	if j.following.Load() {
		j.index.Stale()
	}
}

func (j *journal) close() error {
	err := j.index.Close()
	if j.following.Swap(false) {
		err = errors.Join(err, j.cfg.Datastore.Unfollow(context.Background()))
	}
	return err
}

func (j *journal) find(ctx context.Context, q *index.Query) ([]index.Hit, int, error) {
	return j.index.Find(ctx, q)
}

func (j *journal) activities(ctx context.Context) ([]string, error) { return j.index.Activities(ctx) }

func (j *journal) uids(ctx context.Context, q *index.Query) ([]datastore.UID, error) {
	return j.index.FindUIDs(ctx, q)
}

func (j *journal) hit(_ context.Context, uid datastore.UID) (index.Hit, error) {
	return index.Hit{UID: uid}, nil // whether it is there is found out by reading it
}

// properties come from the index where it has them; Sugar's datastore notes the
// checksum without a word.
func (j *journal) properties(_ context.Context, hit index.Hit, names []string) (map[string]any, error) {
	store, err := j.store()
	if err != nil {
		return nil, err
	}
	read, known := names, map[string][]byte{}
	if hit.Properties != nil && len(names) > 0 && !slices.Contains(names, "checksum") {
		known = only(hit.Properties, names)
		read = []string{"preview"}
		if !slices.Contains(names, "preview") {
			read = []string{""} // none: only its size is looked at
		}
	}
	properties, size, err := store.Retrieve(hit.UID, read)
	if err != nil {
		return nil, ofEntry(hit.UID, err)
	}
	maps.Copy(known, properties)
	return answer(known, string(hit.UID), size, names), nil
}

func (j *journal) file(_ context.Context, uid datastore.UID, path string) (bool, error) {
	store, err := j.store()
	if err != nil {
		return false, err
	}
	err = store.LinkData(uid, path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
