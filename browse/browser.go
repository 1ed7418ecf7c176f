package browse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index"
	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/xsclient"
)

// Config of a Browser.
type Config struct {
	Profile   profile.Profile
	CacheDir  string
	Datastore *service.Client
	School    *xsclient.Client
	Getenv    func(string) string
	Log       *slog.Logger
}

// Browser looks into Journals. Its methods may be called at the same time.
type Browser struct {
	cfg        Config
	journal    *journal
	snapshots  *snapshots
	extensions *extensions

	mu    sync.Mutex
	timer *time.Timer // closes what nobody looks into any more
	busy  int
}

// idle is how long an index stays open after it was last asked.
const idle = 30 * time.Second

// New makes a Browser. It reads nothing yet.
func New(cfg Config) *Browser {
	b := &Browser{cfg: cfg, extensions: newExtensions(cfg.Getenv)}
	b.journal = newJournal(cfg)
	b.snapshots = newSnapshots(cfg)
	return b
}

// shelf is one Journal to look into.
type shelf interface {
	find(context.Context, *index.Query) ([]index.Hit, int, error)
	uids(context.Context, *index.Query) ([]datastore.UID, error)
	activities(context.Context) ([]string, error)
	// properties of an entry that was found, as answer makes them.
	properties(ctx context.Context, hit index.Hit, names []string) (map[string]any, error)
	// hit finds an entry by its uid.
	hit(ctx context.Context, uid datastore.UID) (index.Hit, error)
	// file puts the entry's file at path; false if it has none.
	file(ctx context.Context, uid datastore.UID, path string) (bool, error)
}

// on calls do with a shelf: "" is the Journal that is here. The indexes stay open
// for as long as somebody looks into them.
func (b *Browser) on(ctx context.Context, snapshot string, do func(shelf) error) error {
	b.enter()
	defer b.leave()
	if snapshot == "" {
		return explain(do(b.journal))
	}
	return explain(b.snapshots.on(ctx, snapshot, do))
}

func (b *Browser) enter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy++
	if b.timer != nil {
		b.timer.Stop()
	}
}

func (b *Browser) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy--; b.busy == 0 {
		b.timer = time.AfterFunc(idle, b.closeIdle)
	}
}

func (b *Browser) closeIdle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy > 0 {
		return
	}
	if err := b.close(); err != nil {
		b.cfg.Log.Warn("an index cannot be closed; it will be built anew", "error", err)
	}
}

// Close closes all that is open. What is looked into afterwards is opened again.
func (b *Browser) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
	}
	return b.close()
}

func (b *Browser) close() error {
	b.snapshots.close()
	return b.journal.close()
}

// detached does work that goes on where ctx ends first: what a slow school or a
// slow disk has brought so far is not for nothing. Whoever asks for the same
// meanwhile waits for it, too.
func detached(ctx context.Context, group *singleflight.Group, key string, work func() error) error {
	done := group.DoChan(key, func() (any, error) { return nil, work() })
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", index.ErrBuilding, ctx.Err())
	}
}

// Changed says that an entry of the Journal here was made, changed or deleted.
func (b *Browser) Changed(uid datastore.UID) { b.journal.changed(uid) }

// Stale says that entries of the Journal here may have changed without a word. Like
// Changed it waits for nothing.
func (b *Browser) Stale() { b.journal.stale() }

// Find answers a page of what a query finds, with those properties (all, if none
// are named), and how many there are in all.
func (b *Browser) Find(ctx context.Context, snapshot string, query map[string]any, names []string) (found []map[string]any, count int, err error) {
	q, err := index.ParseQuery(query)
	if err != nil {
		return nil, 0, invalid("This cannot be looked for", err)
	}
	err = b.on(ctx, snapshot, func(s shelf) error {
		hits, total, err := s.find(ctx, q)
		if err != nil {
			return err
		}
		count = total
		found = make([]map[string]any, 0, len(hits))
		bytes := 0
		for _, hit := range hits {
			if bytes > mostInOne {
				return invalid("That is too much for one answer", fmt.Errorf("ask for a page of it, by offset and limit"))
			}
			properties, err := s.properties(ctx, hit, names)
			var gone *Error
			if errors.As(err, &gone) && gone.Code == "NoEntry" {
				count-- // just now
				continue
			}
			if err != nil {
				return err
			}
			found = append(found, properties)
			bytes += sizeOf(properties)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return found, count, nil
}

// mostInOne is how much one answer may hold: the bus takes 128 MiB, and a laptop has
// 256.
const mostInOne = 32 << 20

func sizeOf(properties map[string]any) (bytes int) {
	for name, value := range properties {
		bytes += len(name) + 16
		switch v := value.(type) {
		case string:
			bytes += len(v)
		case []byte:
			bytes += len(v)
		}
	}
	return bytes
}

// FindIDs answers only the uids.
func (b *Browser) FindIDs(ctx context.Context, snapshot string, query map[string]any) (uids []string, err error) {
	q, err := index.ParseQuery(query)
	if err != nil {
		return nil, invalid("This cannot be looked for", err)
	}
	err = b.on(ctx, snapshot, func(s shelf) error {
		found, err := s.uids(ctx, q)
		uids = make([]string, 0, len(found))
		for _, uid := range found {
			uids = append(uids, string(uid))
		}
		return err
	})
	return uids, err
}

// Properties answers all properties of an entry.
func (b *Browser) Properties(ctx context.Context, snapshot, uid string) (properties map[string]any, err error) {
	err = b.onEntry(ctx, snapshot, uid, func(s shelf, uid datastore.UID) error {
		hit, err := s.hit(ctx, uid)
		if err == nil {
			properties, err = s.properties(ctx, hit, nil)
		}
		return err
	})
	return properties, err
}

func (b *Browser) onEntry(ctx context.Context, snapshot, name string, do func(shelf, datastore.UID) error) error {
	uid, err := datastore.ParseUID(name)
	if err != nil {
		return invalid("This is no entry", err)
	}
	return b.on(ctx, snapshot, func(s shelf) error { return do(s, uid) })
}

// Filename answers a file to look at, which the caller removes in the end, or "" for
// an entry without.
func (b *Browser) Filename(ctx context.Context, snapshot, uid string) (path string, err error) {
	err = b.onEntry(ctx, snapshot, uid, func(s shelf, uid datastore.UID) error {
		hit, err := s.hit(ctx, uid)
		if err != nil {
			return err
		}
		properties, err := s.properties(ctx, hit, []string{"mime_type"})
		if err != nil {
			return err
		}
		kind, _ := properties["mime_type"].(string)
		if path, err = b.freePath(uid, b.extensions.get(kind)); err != nil {
			return ofEntry(uid, err)
		}
		has, err := s.file(ctx, uid, path)
		if err != nil || !has {
			path = ""
		}
		return ofEntry(uid, err)
	})
	return path, err
}

// UniqueValues answers the values of the one property that Sugar asks for.
func (b *Browser) UniqueValues(ctx context.Context, snapshot, property string) (values []string, err error) {
	if property != "activity" {
		return nil, invalid("Only of the property activity can the values be listed", fmt.Errorf("not of %.40q", property))
	}
	err = b.on(ctx, snapshot, func(s shelf) error {
		values, err = s.activities(ctx)
		return err
	})
	return values, err
}

// Reindex builds the index of the Journal here anew, and answers how many entries
// it has.
func (b *Browser) Reindex(ctx context.Context, progress func(done int)) (int, error) {
	b.enter()
	defer b.leave()
	return b.journal.index.Rebuild(ctx, progress)
}

// dataDir is where Sugar puts files to look at.
func dataDir(p profile.Profile) string { return filepath.Join(p.Dir, "data") }
