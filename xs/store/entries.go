package store

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// listSuffix is that of a list of entries beside its snapshot.
const listSuffix = ".entries"

// Entries opens the list of the snapshot's entries: lines of JSON, each a
// wire.Entry, by uid; one whose metadata is no longer what was backed up is
// listed as damaged. The list is made when it is first asked for, and kept
// beside the snapshot, which never changes, once nothing in it is damaged.
func (s *Snapshot) Entries(ctx context.Context) (io.ReadCloser, error) {
	name := s.Ref() + listSuffix
	f, err := s.folder.root.Open(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	sums, err := s.Manifest()
	if err != nil {
		return nil, err
	}
	t, err := scanTree(s.folder.root, s.Ref())
	if err != nil {
		return nil, err
	}
	return s.listEntries(ctx, name, listing{s, sums, t})
}

// listEntries writes the list without a name first. Where it cannot be kept (a
// full disk must not stop a restore) it is made anew each time.
func (s *Snapshot) listEntries(ctx context.Context, name string, list listing) (io.ReadCloser, error) {
	root := s.folder.root
	temp := snapshotsDir + "/" + tempName()
	f, err := root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return list.stream(ctx), nil
	}
	damaged, err := list.write(ctx, f)
	if err == nil && damaged == 0 {
		if err = f.Sync(); err == nil {
			err = root.Rename(temp, name)
		}
		// Two may be making it at once: they make the same. And a session that
		// sweeps may take the temporary name away: then it is good for once.
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil || damaged > 0 { // which an administrator may yet bring back
		root.Remove(temp)
	}
	if err == nil {
		if _, err = f.Seek(0, io.SeekStart); err == nil {
			return f, nil
		}
	}
	f.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.folder.log.Warn("list of entries not kept", "error", err)
	return list.stream(ctx), nil
}

// listing is what the list of a snapshot's entries is made of.
type listing struct {
	*Snapshot
	sums Manifest
	tree *tree
}

// stream makes the list while it is read. The goroutine ends with its reader.
func (l listing) stream(ctx context.Context) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := l.write(ctx, w)
		w.CloseWithError(err)
	}()
	return r
}

// write answers how many of the entries are damaged.
func (l listing) write(ctx context.Context, w io.Writer) (damaged int, err error) {
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, uid := range l.sums.uids() {
		if err := ctx.Err(); err != nil {
			return damaged, err
		}
		line := l.entry(uid)
		if line.Damaged != "" {
			damaged++
			l.folder.log.Error("entry is damaged", "snapshot", l.Record.ID, "uid", uid, "reason", line.Damaged)
		}
		if err := enc.Encode(line); err != nil {
			return damaged, err
		}
	}
	return damaged, out.Flush()
}

// entry describes one entry, or says why that cannot be done.
func (l listing) entry(uid datastore.UID) wire.Entry {
	e, b, err := datastore.ReadEntry(l.FS(), uid)
	if reason := metadataDamage(b, err, l.sums[uid.Path()]); reason != "" {
		return wire.Entry{UID: string(uid), Damaged: reason}
	}
	line := wire.Entry{UID: string(uid), Version: string(e.Version()), Metadata: map[string]string{}}
	if e.Data != nil {
		line.DataSize = e.Data.Size
	}
	for _, path := range l.tree.entries[uid] {
		line.Size += l.tree.files[path].size
	}
	for name, value := range e.Metadata {
		if name != "preview" && utf8.Valid(value) {
			line.Metadata[name] = string(value)
		}
	}
	return line
}

// metadataDamage says in words what reading an entry's metadata, whose sum was
// want, has shown to be wrong.
func metadataDamage(b []byte, err error, want Sum) string {
	var bad *datastore.DamagedError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "its metadata is missing at school"
	case errors.As(err, &bad):
		return "its metadata cannot be read at school: " + bad.Reason
	case err != nil:
		return "its metadata cannot be read at school: " + err.Error()
	case sumOf(b) != want:
		return "its metadata was changed at school"
	}
	return ""
}

// Saved answers which of the entries, by uid and version, the snapshot holds,
// whole.
func (s *Snapshot) Saved(ctx context.Context, versions map[string]string) ([]string, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	lost := st.lost()
	r, err := s.Entries(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	uids := []string{}
	dec := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	for {
		var e struct{ UID, Version, Damaged string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return uids, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s%s: %w", s.Record.ID, listSuffix, err)
		}
		if version, ok := versions[e.UID]; ok && version == e.Version && e.Damaged == "" && lost[datastore.UID(e.UID)] == "" {
			uids = append(uids, e.UID)
		}
	}
}
