package browse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sugarlabs/xo-backupd/datastore/index"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Bounds of what is kept of snapshots; a Journal of 1,000 entries takes 2 MB.
const (
	mostSnapshots = 6
	mostBytes     = 32 << 20
	mostOpen      = 2 // each holds its rows in memory
)

// snapshots are the shelves of the snapshots at school. What is kept of each is a
// folder in the cache.
type snapshots struct {
	cfg Config
	dir string

	opening singleflight.Group

	mu      sync.Mutex
	shelves map[string]*inUse // by the name of their folder
	life    context.Context   // of what is fetched; nil: nothing yet
	end     context.CancelFunc
	fetches sync.WaitGroup
}

// inUse is a shelf that is open, or about to be.
type inUse struct {
	*snapshot
	users int
	used  time.Time
}

func newSnapshots(cfg Config) *snapshots {
	return &snapshots{cfg: cfg, dir: filepath.Join(cfg.CacheDir, "snapshots"), shelves: map[string]*inUse{}}
}

// on calls do with the shelf of a snapshot; what is not here of it yet is fetched.
func (s *snapshots) on(ctx context.Context, id string, do func(shelf) error) error {
	account := s.cfg.School.Status().Account
	if account == "" {
		return &Error{Code: "NotRegistered", Message: "This laptop is not registered with a school server yet: choose Register while it is in reach."}
	}
	if wrong := wire.CheckName(id); wrong != "" {
		return &Error{Code: "NoSnapshot", Message: fmt.Sprintf("There is no snapshot called %.40q.", id)}
	}
	if id == "latest" { // which it is changes
		latest, err := s.cfg.School.Snapshot(ctx, "")
		if err != nil {
			return err
		}
		id = latest.ID
	}
	shelf := s.take(account + "." + id)
	defer s.release(shelf)
	err := s.open(ctx, shelf)
	if err == nil {
		err = do(shelf)
	}
	if !errors.Is(err, index.ErrUnusable) {
		return err
	}
	s.cfg.Log.Info("what is kept of a snapshot is damaged; it is fetched anew", "snapshot", id, "why", err)
	shelf.drop()
	if err := s.open(ctx, shelf); err != nil {
		return err
	}
	return do(shelf)
}

func (s *snapshots) take(name string) *inUse {
	s.mu.Lock()
	defer s.mu.Unlock()
	shelf, ok := s.shelves[name]
	if !ok {
		_, id, _ := strings.Cut(name, ".")
		shelf = &inUse{snapshot: &snapshot{cfg: s.cfg, id: id, dir: filepath.Join(s.dir, name)}}
		shelf.fetched = func(ctx context.Context, what string, work func(context.Context) error) error {
			return s.fetched(ctx, shelf, what, work)
		}
		s.shelves[name] = shelf
	}
	shelf.users++
	return shelf
}

// release closes what has not been used for the longest time, if too much is open.
func (s *snapshots) release(shelf *inUse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shelf.users--
	shelf.used = time.Now()
	for len(s.shelves) > mostOpen {
		var oldest string
		for name, other := range s.shelves {
			if other.users == 0 && (oldest == "" || other.used.Before(s.shelves[oldest].used)) {
				oldest = name
			}
		}
		if oldest == "" {
			return
		}
		s.forget(oldest)
	}
}

// forget closes a shelf that nobody uses.
func (s *snapshots) forget(name string) {
	if err := s.shelves[name].close(); err != nil {
		s.cfg.Log.Warn("what is kept of a snapshot cannot be closed; it will be fetched anew", "error", err)
	}
	delete(s.shelves, name)
}

// open has a shelf opened; what has to be fetched for that is fetched also if ctx
// ends first.
func (s *snapshots) open(ctx context.Context, shelf *inUse) error {
	return s.fetched(ctx, shelf, "", func(life context.Context) error {
		built, err := shelf.open(life)
		switch {
		case err != nil:
			os.Remove(shelf.dir) // if there is nothing in it
		case built:
			s.prune()
		}
		return err
	})
}

// fetched does work for a shelf, which stays in use for as long as that takes.
func (s *snapshots) fetched(ctx context.Context, shelf *inUse, what string, work func(life context.Context) error) error {
	return detached(ctx, &s.opening, shelf.dir+"\x00"+what, func() error {
		s.mu.Lock()
		if s.life == nil {
			s.life, s.end = context.WithCancel(context.Background())
		}
		life := s.life
		shelf.users++
		s.fetches.Add(1)
		s.mu.Unlock()
		defer s.fetches.Done()
		defer s.release(shelf)
		return work(life)
	})
}

// close ends what is being fetched, closes all, and keeps what is kept within its
// bounds.
func (s *snapshots) close() {
	s.mu.Lock()
	if s.end != nil {
		s.end()
		s.life, s.end = nil, nil
	}
	s.mu.Unlock()
	s.fetches.Wait()
	s.prune()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, shelf := range s.shelves {
		if shelf.users == 0 {
			s.forget(name)
		}
	}
}

// kept is what is kept of a snapshot.
type kept struct {
	name  string
	bytes int64
	used  time.Time
}

// prune removes what has not been used for the longest time, beyond the bounds;
// never what is in use.
func (s *snapshots) prune() {
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	var all []kept
	for _, f := range folders {
		if info, err := f.Info(); err == nil {
			all = append(all, kept{f.Name(), size(filepath.Join(s.dir, f.Name())), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return b.used.Compare(a.used) })
	s.mu.Lock()
	defer s.mu.Unlock()
	var bytes int64
	for n, k := range all {
		bytes += k.bytes
		shelf, open := s.shelves[k.name]
		if n < mostSnapshots && bytes <= mostBytes || open && shelf.users > 0 {
			continue
		}
		if open {
			s.forget(k.name)
		}
		if err := os.RemoveAll(filepath.Join(s.dir, k.name)); err != nil {
			s.cfg.Log.Warn("what is kept of a snapshot cannot be removed", "error", err)
		}
		bytes -= k.bytes
	}
}

func size(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}
