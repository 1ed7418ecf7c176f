package browse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// Bounds of what is kept of snapshots; a Journal of 1,000 entries takes 2 MB.
const (
	mostSnapshots = 6
	mostBytes     = 32 << 20
)

// snapshots are the shelves of the snapshots at school. What is kept of each is a
// folder in the cache.
type snapshots struct {
	cfg Config
	dir string

	mu      sync.Mutex
	shelves map[string]*snapshot // by the name of their folder
}

func newSnapshots(cfg Config) *snapshots {
	return &snapshots{cfg: cfg, dir: filepath.Join(cfg.CacheDir, "snapshots"), shelves: map[string]*snapshot{}}
}

// open answers the shelf of a snapshot; what is not here of it yet is fetched.
func (s *snapshots) open(ctx context.Context, id string) (*snapshot, error) {
	account := s.cfg.School.Status().Account
	if account == "" {
		return nil, &Error{Code: "NotRegistered", Message: "This laptop is not registered with a school server yet: choose Register while it is in reach."}
	}
	if err := wire.CheckName(id); err != "" {
		return nil, &Error{Code: "NoSnapshot", Message: fmt.Sprintf("There is no snapshot called %.40q.", id)}
	}
	s.mu.Lock()
	name := account + "." + id
	shelf, ok := s.shelves[name]
	if !ok {
		shelf = &snapshot{cfg: s.cfg, id: id, dir: filepath.Join(s.dir, name)}
		s.shelves[name] = shelf
	}
	s.mu.Unlock()
	fetched, err := shelf.open(ctx)
	if err != nil {
		return nil, err
	}
	if fetched {
		s.prune(name)
	}
	return shelf, nil
}

func (s *snapshots) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for name, shelf := range s.shelves {
		err = errors.Join(err, shelf.close())
		delete(s.shelves, name)
	}
	return err
}

// kept is what is kept of a snapshot.
type kept struct {
	name  string
	bytes int64
	used  time.Time
}

// prune removes what has not been used for the longest time, beyond the bounds;
// never what is open, nor the one of that name.
func (s *snapshots) prune(name string) {
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
		if n < mostSnapshots && bytes <= mostBytes || k.name == name || open && shelf.isOpen() {
			continue
		}
		delete(s.shelves, k.name)
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
