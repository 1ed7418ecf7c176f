package store

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Entries opens the list of the snapshot's entries: lines of JSON, each a
// wire.Entry, by uid. It is made when it is first asked for, and kept beside
// the snapshot, which never changes.
func (s *Snapshot) Entries(ctx context.Context) (io.ReadCloser, error) {
	name := s.Ref() + ".entries"
	f, err := s.folder.root.Open(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	return s.listEntries(ctx, name)
}

// listEntries writes the list without a name first. Where it cannot be kept (a
// full disk must not stop a restore) it is made anew each time.
func (s *Snapshot) listEntries(ctx context.Context, name string) (io.ReadCloser, error) {
	root := s.folder.root
	temp := snapshotsDir + "/" + tempName()
	f, err := root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return s.streamEntries(ctx), nil
	}
	if err = s.writeEntries(ctx, f); err == nil {
		err = f.Sync()
	}
	if err == nil {
		// Two may be making it at once: they make the same. And a session that
		// sweeps may take the temporary name away: then it is good for once.
		err = root.Rename(temp, name)
	}
	if err != nil {
		root.Remove(temp)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		if _, err = f.Seek(0, io.SeekStart); err == nil {
			return f, nil
		}
	}
	f.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.folder.log.Warn("list of entries not kept", "error", err)
	return s.streamEntries(ctx), nil
}

// streamEntries makes the list while it is read. The goroutine ends with its
// reader.
func (s *Snapshot) streamEntries(ctx context.Context) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(s.writeEntries(ctx, w)) }()
	return r
}

func (s *Snapshot) writeEntries(ctx context.Context, w io.Writer) error {
	t, err := scanTree(s.folder.root, s.Ref())
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, uid := range slices.Sorted(maps.Keys(t.entries)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, _, err := datastore.ReadEntry(s.FS(), uid)
		if err != nil {
			// The rest is worth having; the restore names this one.
			s.folder.log.Error("entry left out of the list", "snapshot", s.Record.ID, "uid", uid, "error", err)
			continue
		}
		line := wire.Entry{UID: string(uid), Version: string(e.Version()), Metadata: map[string]string{}}
		for _, path := range t.entries[uid] {
			line.Size += t.files[path].size
		}
		for name, value := range e.Metadata {
			if name != "preview" && utf8.Valid(value) {
				line.Metadata[name] = string(value)
			}
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Saved answers which of the entries, by uid and version, the snapshot holds.
func (s *Snapshot) Saved(ctx context.Context, versions map[string]string) ([]string, error) {
	r, err := s.Entries(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	uids := []string{}
	dec := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	for {
		var e struct{ UID, Version string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return uids, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s.entries: %w", s.Record.ID, err)
		}
		if version, ok := versions[e.UID]; ok && version == e.Version {
			uids = append(uids, e.UID)
		}
	}
}

// File opens one entry's metadata ("UID.cjson") or its whole data ("UID.data").
func (s *Snapshot) File(name string) (io.ReadCloser, int64, error) {
	base, kind, _ := strings.Cut(name, ".")
	uid, err := datastore.ParseUID(base)
	if err != nil {
		return nil, 0, &NameError{"entry", name, "is not a uid"}
	}
	if kind == "cjson" {
		f, err := s.root.Open(uid.Path())
		if err != nil {
			return nil, 0, err
		}
		fi, err := f.Stat()
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		return f, fi.Size(), nil
	}
	if kind != "data" {
		return nil, 0, fmt.Errorf("%.80q: %w", name, fs.ErrNotExist)
	}
	e, _, err := datastore.ReadEntry(s.FS(), uid)
	if err != nil {
		return nil, 0, err
	}
	if e.Data == nil {
		return nil, 0, fmt.Errorf("entry %s has no file: %w", uid, fs.ErrNotExist)
	}
	r, err := datastore.OpenData(s.FS(), e)
	return r, e.Data.Size, err
}
