package browse

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index"
	"github.com/sugarlabs/xo-backupd/wire"
)

// snapshot is the shelf of a snapshot. Its folder holds an index of the list of
// entries that the XS has sent, and previews that somebody has asked for.
type snapshot struct {
	cfg Config
	id  string
	dir string

	// fetched does work that goes on where ctx ends first.
	fetched func(ctx context.Context, what string, work func(life context.Context) error) error

	mu    sync.RWMutex
	index *index.Index // nil: closed
}

func (s *snapshot) indexPath() string { return filepath.Join(s.dir, "index") }

// open opens what is here of the snapshot, or fetches it; it tells which.
func (s *snapshot) open(ctx context.Context) (built bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index != nil {
		return false, nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return false, err
	}
	now := time.Now()
	_ = os.Chtimes(s.dir, now, now) // for prune
	_ = os.RemoveAll(s.filesPath()) // what a power cut has left
	x, err := index.Open(s.indexPath())
	if err != nil {
		built = true
		if err := room(s.dir, 0, leastForIndex); err != nil {
			return false, err
		}
		if err := index.Build(ctx, s.indexPath(), "", s.entries(ctx)); err != nil {
			return false, fmt.Errorf("snapshot %s: %w", s.id, err)
		}
		if x, err = index.Open(s.indexPath()); err != nil {
			return false, err
		}
	}
	s.index = x
	return built, nil
}

func (s *snapshot) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index == nil {
		return nil
	}
	x := s.index
	s.index = nil
	return x.Close()
}

// entries are those of the snapshot, as they come. One that is damaged at school
// has nothing to show.
func (s *snapshot) entries(ctx context.Context) iter.Seq2[*index.Entry, error] {
	return func(yield func(*index.Entry, error) bool) {
		stopped := errors.New("no more is wanted")
		err := s.cfg.School.SnapshotEntries(ctx, s.id, func(e wire.Entry) error {
			uid, err := datastore.ParseUID(e.UID)
			if err != nil || e.Damaged != "" {
				return nil
			}
			extra := binary.AppendUvarint(nil, uint64(max(e.DataSize, 0)))
			if !yield(&index.Entry{UID: uid, Properties: e.Metadata, Extra: extra}, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(nil, err)
		}
	}
}

// drop forgets what is kept: something of it is not what it was.
func (s *snapshot) drop() {
	_ = s.close()
	_ = os.RemoveAll(s.dir)
}

func (s *snapshot) find(ctx context.Context, q *index.Query) ([]index.Hit, int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.index == nil {
		return nil, 0, fs.ErrClosed
	}
	return s.index.Find(ctx, q)
}

func (s *snapshot) uids(ctx context.Context, q *index.Query) ([]datastore.UID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.index == nil {
		return nil, fs.ErrClosed
	}
	return s.index.FindUIDs(ctx, q)
}

func (s *snapshot) activities(context.Context) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.index == nil {
		return nil, fs.ErrClosed
	}
	return s.index.Activities()
}

func (s *snapshot) hit(ctx context.Context, uid datastore.UID) (index.Hit, error) {
	q, err := index.ParseQuery(map[string]any{"uid": string(uid), "limit": 1})
	if err != nil {
		return index.Hit{}, err
	}
	hits, _, err := s.find(ctx, q)
	if err != nil {
		return index.Hit{}, err
	}
	if len(hits) == 0 {
		return index.Hit{}, noEntry(uid)
	}
	return hits[0], nil
}

func (s *snapshot) properties(ctx context.Context, hit index.Hit, names []string) (map[string]any, error) {
	properties := only(hit.Properties, names)
	if wants(names, "preview") {
		if preview, ok := s.preview(ctx, hit.UID); ok {
			properties["preview"] = preview
		}
	}
	size, n := binary.Uvarint([]byte(hit.Extra))
	if n <= 0 {
		return nil, index.ErrUnusable
	}
	return answer(properties, string(hit.UID), int64(size), names), nil
}

func (s *snapshot) previewPath(uid datastore.UID) string {
	return filepath.Join(s.dir, "previews", string(uid))
}

// preview fetches an entry's preview, or answers the one that was fetched before.
// It tells whether there is one. A list without its pictures is better than none: that the
// XS is away does not end it.
func (s *snapshot) preview(ctx context.Context, uid datastore.UID) ([]byte, bool) {
	if b, err := os.ReadFile(s.previewPath(uid)); err == nil && len(b) > 0 {
		return b[1:], b[0] == hasPreview
	}
	e, err := s.cfg.School.SnapshotEntry(ctx, s.id, string(uid))
	if err != nil {
		s.cfg.Log.Warn("a preview cannot be fetched", "snapshot", s.id, "uid", uid, "error", err)
		return nil, false
	}
	preview, has := e.Metadata["preview"]
	first := byte(hasNoPreview)
	if has {
		first = hasPreview
	}
	s.keepPreview(uid, append([]byte{first}, preview...))
	return preview, has
}

// The file of a preview begins with one of these, so that one that a power cut left
// empty says nothing.
const (
	hasNoPreview = '-'
	hasPreview   = '+'
)

// keepPreview may fail: it is a cache.
func (s *snapshot) keepPreview(uid datastore.UID, kept []byte) {
	path := s.previewPath(uid)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path+".new", kept, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		os.Remove(path + ".new")
	}
}

func (s *snapshot) filesPath() string { return filepath.Join(s.dir, "files") }

// file fetches an entry's file into the cache, and moves it to path from there: what
// is cut off leaves nothing where Sugar looks.
func (s *snapshot) file(ctx context.Context, uid datastore.UID, path string) (bool, error) {
	e, err := s.cfg.School.SnapshotEntry(ctx, s.id, string(uid))
	if err != nil || e.Data == nil {
		return false, err
	}
	kept := filepath.Join(s.filesPath(), string(uid))
	for {
		err := move(kept, path)
		if !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
		err = s.fetched(ctx, string(uid), func(life context.Context) error { return s.fetch(life, e, kept) })
		if err != nil {
			return false, err
		}
		// Somebody else may have taken it by now.
	}
}

// fetch fetches a file under a name that it has only when it is whole.
func (s *snapshot) fetch(ctx context.Context, e *datastore.Entry, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := room(filepath.Dir(to), e.Data.Size, leastForFiles); err != nil {
		return err
	}
	out, err := os.OpenFile(to+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(s.cfg.School.SnapshotData(ctx, s.id, string(e.UID), out), out.Close())
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		os.Remove(to + ".new")
	}
	return err
}

// move moves a file, also to another file system.
func move(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, unix.EXDEV) {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		os.Remove(to)
		return err
	}
	return os.Remove(from)
}
