package datastore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrChanged is what opening a file of a Tree fails with, inside an
// *fs.PathError, when the entry is no longer as the look saw it.
var ErrChanged = errors.New("the entry has changed since the look")

// Open implements fs.FS. Files are io.Seekers and io.ReaderAts as well.
func (t *Tree) Open(name string) (fs.File, error) {
	f, err := t.openName(name)
	if err != nil {
		// Not wrapped any further: rsync's sender skips a file by this type.
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

func (t *Tree) openName(name string) (fs.File, error) {
	i, r, err := t.locate(name)
	if err != nil {
		return nil, err
	}
	if i.IsDir() {
		list, err := t.ReadDir(name)
		return &openDirectory{info: i, list: list}, err
	}
	if r == nil {
		return newOpenFile(i, bytes.NewReader(t.journal), 0, func() {}), nil
	}
	key, make, from := name, t.makeMetadata, int64(0)
	if i.place.kind != cjsonOf {
		key, make, from = string(r.uid), t.makeData, int64(i.place.part)*PartSize
	}
	s, err := t.share(key, func() (source, error) { return make(r) })
	if err != nil {
		return nil, err
	}
	return newOpenFile(i, s.source, from, func() { t.release(key, s) }), nil
}

// source is where the bytes of an open file come from.
type source interface {
	io.ReaderAt
	io.Closer
}

// shared is a source that is open more than once: rsync's sender reads a file
// through one handle and its checksum through another, and both must see the
// same bytes, whatever is renamed in between.
type shared struct {
	source
	users int
}

func (t *Tree) share(key string, make func() (source, error)) (*shared, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.open[key]
	if s == nil {
		src, err := make()
		if err != nil {
			return nil, err
		}
		s = &shared{source: src}
		t.open[key] = s
	}
	s.users++
	return s, nil
}

func (t *Tree) release(key string, s *shared) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.users--; s.users == 0 {
		s.Close()
		delete(t.open, key)
	}
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// makeMetadata reads the metadata anew. If it makes the .cjson that the look
// saw, then it is of the same moment, too.
func (t *Tree) makeMetadata(r *record) (source, error) {
	folder, err := t.store.openFolder(r.uid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(folder)
	var p properties
	metadata, err := p.read(folder, r.uid)
	if err != nil {
		return nil, err
	}
	e := &Entry{UID: r.uid, Metadata: metadata}
	if r.state.hasData() {
		e.Data = &Data{SHA256: r.data, Size: r.state.data.size}
	}
	b, err := e.Encode()
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(b) != r.cjson {
		return nil, ErrChanged
	}
	return inMemory{bytes.NewReader(b)}, nil
}

// makeData opens the data if it is what the look saw. A changed ctime is no
// change: a link was made to the file, when an activity opened the entry or the
// optimizer found the same data elsewhere. That replaces inodes, too: then it
// takes another reading to know.
func (t *Tree) makeData(r *record) (source, error) {
	folder, err := t.store.openFolder(r.uid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(folder)
	fd, err := openFile(folder, string(r.uid)+"/data")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), string(r.uid)+"/data")
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, err
	}
	is, want := stampOf(&st), r.state.data
	if is.sameButCtime(want) {
		return f, nil
	}
	if is.size == want.size && st.Mode&unix.S_IFMT == unix.S_IFREG {
		s, err := new(looker).sumFile(context.Background(), fd, want.size)
		if err == nil && s.whole == r.data {
			return f, nil
		}
	}
	f.Close()
	return nil, ErrChanged
}

// openTreeFile is an open file of a tree.
type openTreeFile struct {
	*io.SectionReader
	info    *info
	release func() // nil: closed
}

func newOpenFile(i *info, r io.ReaderAt, from int64, release func()) *openTreeFile {
	return &openTreeFile{io.NewSectionReader(r, from, i.size), i, release}
}

func (f *openTreeFile) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *openTreeFile) Close() error {
	if f.release == nil {
		return fs.ErrClosed
	}
	f.release()
	f.release = nil
	return nil
}

func (f *openTreeFile) Read(b []byte) (int, error) {
	if f.release == nil {
		return 0, fs.ErrClosed
	}
	return f.SectionReader.Read(b)
}

func (f *openTreeFile) ReadAt(b []byte, at int64) (int, error) {
	if f.release == nil {
		return 0, fs.ErrClosed
	}
	return f.SectionReader.ReadAt(b, at)
}

// openDirectory is an open folder of a tree.
type openDirectory struct {
	info *info
	list []fs.DirEntry // not yet read
}

func (d *openDirectory) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDirectory) Close() error               { return nil }

func (d *openDirectory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("it is a folder")}
}

func (d *openDirectory) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.list)
	} else if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	list := d.list[:n]
	d.list = d.list[n:]
	return list, nil
}
