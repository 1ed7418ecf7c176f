package browse

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index"
	"github.com/sugarlabs/xo-backupd/wire"
)

// snapshot is the shelf of a snapshot. Its folder holds the list of entries as the
// XS sent it (entries), an index of that, in which each entry says where in the list
// it is, and previews that somebody has asked for.
type snapshot struct {
	cfg Config
	id  string
	dir string

	mu    sync.RWMutex
	list  *os.File // nil: closed
	index *index.Index
}

func (s *snapshot) listPath() string  { return filepath.Join(s.dir, "entries") }
func (s *snapshot) indexPath() string { return filepath.Join(s.dir, "index") }

// open opens what is here of the snapshot, or fetches it; it tells which.
func (s *snapshot) open(ctx context.Context) (fetched bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list != nil {
		return false, nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return false, err
	}
	now := time.Now()
	_ = os.Chtimes(s.dir, now, now) // for prune
	if err = s.openKept(); err == nil {
		return false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		s.cfg.Log.Info("what is kept of a snapshot cannot be used; it is fetched", "snapshot", s.id, "why", err)
	}
	if err := s.fetch(ctx); err != nil {
		return false, err
	}
	return true, s.openKept()
}

func (s *snapshot) openKept() error {
	list, err := os.Open(s.listPath())
	if err != nil {
		return err
	}
	x, err := index.Open(s.indexPath())
	if err == nil && x.State() != stateOf(list) {
		err = errors.Join(errors.New("its list is another one"), x.Close(x.State()))
	}
	if err != nil {
		return errors.Join(err, list.Close())
	}
	s.list, s.index = list, x
	return nil
}

// stateOf is the state of an index of a list.
func stateOf(list *os.File) string {
	info, err := list.Stat()
	if err != nil {
		return ""
	}
	return strconv.FormatInt(info.Size(), 10)
}

func (s *snapshot) isOpen() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.list != nil
}

func (s *snapshot) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		return nil
	}
	err := errors.Join(s.index.Close(s.index.State()), s.list.Close())
	s.list, s.index = nil, nil
	return err
}

// fetch fetches the list, and indexes it while it comes.
func (s *snapshot) fetch(ctx context.Context) error {
	temp := s.listPath() + ".new"
	out, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	defer os.Remove(temp)
	l := &listWriter{out: bufio.NewWriterSize(out, 64<<10)}
	// Only its end tells its size: the state is given when the index is closed.
	if err := index.Build(ctx, s.indexPath(), "", s.entries(ctx, l)); err != nil {
		return fmt.Errorf("snapshot %s: %w", s.id, err)
	}
	if err := l.out.Flush(); err != nil {
		return err
	}
	x, err := index.Open(s.indexPath())
	if err != nil {
		return err
	}
	if err := x.Close(stateOf(out)); err != nil {
		return err
	}
	return os.Rename(temp, s.listPath())
}

// listWriter keeps count of where it is.
type listWriter struct {
	out *bufio.Writer
	at  int64
}

// add writes a line, and answers where it is.
func (l *listWriter) add(e wire.Entry) (extra []byte, err error) {
	line, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	extra = binary.AppendUvarint(binary.AppendUvarint(nil, uint64(l.at)), uint64(len(line)))
	_, err = l.out.Write(append(line, '\n'))
	l.at += int64(len(line)) + 1
	return extra, err
}

// entries are those of the snapshot, as they come. One that is damaged at school
// has nothing to show.
func (s *snapshot) entries(ctx context.Context, l *listWriter) iter.Seq2[*index.Entry, error] {
	return func(yield func(*index.Entry, error) bool) {
		stopped := errors.New("no more is wanted")
		err := s.cfg.School.SnapshotEntries(ctx, s.id, func(e wire.Entry) error {
			uid, err := datastore.ParseUID(e.UID)
			if err != nil || e.Damaged != "" {
				return nil
			}
			extra, err := l.add(e)
			if err != nil {
				return err
			}
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

// read reads an entry's line of the list.
func (s *snapshot) read(hit index.Hit) (e wire.Entry, err error) {
	b := []byte(hit.Extra)
	at, n := binary.Uvarint(b)
	length, m := binary.Uvarint(b[max(n, 0):])
	if n <= 0 || m <= 0 || length > wire.MaxLine {
		return e, index.ErrUnusable
	}
	line := make([]byte, length)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.list == nil {
		return e, fs.ErrClosed
	}
	if _, err := s.list.ReadAt(line, int64(at)); err != nil && !errors.Is(err, io.EOF) {
		return e, err
	}
	if err := json.Unmarshal(line, &e); err != nil || e.UID != string(hit.UID) {
		return e, index.ErrUnusable
	}
	return e, nil
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
	e, err := s.read(hit)
	if err != nil {
		return nil, err
	}
	properties := make(map[string][]byte, len(e.Metadata)+1)
	for name, value := range e.Metadata {
		if len(names) == 0 || slices.Contains(names, name) {
			properties[name] = []byte(value)
		}
	}
	if wants(names, "preview") {
		if preview, ok := s.preview(ctx, hit.UID); ok {
			properties["preview"] = preview
		}
	}
	return answer(properties, e.UID, e.DataSize, names), nil
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

func (s *snapshot) file(ctx context.Context, uid datastore.UID, path string) (bool, error) {
	e, err := s.cfg.School.SnapshotEntry(ctx, s.id, string(uid))
	if err != nil || e.Data == nil {
		return false, err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false, err
	}
	err = errors.Join(s.cfg.School.SnapshotData(ctx, s.id, string(uid), out), out.Close())
	if err != nil {
		os.Remove(path)
	}
	return err == nil, err
}
