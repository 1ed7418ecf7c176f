package datastore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Unpack makes the folder dir into the entry e as layout 6 has it, with the
// data that the tree fsys has for the uid from: e's own, or, for a twin, that of
// the entry it is the twin of. The data's sha256 is checked while it is written:
// what is wrong in the tree is a *DamagedError, what is wrong here is any
// other. Nothing is synced: Publish and Swap do that once for all.
//
// dir may exist, empty. After an error it holds anything and is the caller's
// to remove.
func Unpack(fsys fs.FS, from UID, e *Entry, dir string) error {
	if err := e.check(); err != nil {
		return &DamagedError{UID: e.UID, Reason: err.Error()}
	}
	metadata := filepath.Join(dir, "metadata")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("entry %s: %w", e.UID, err)
	}
	if err := os.Mkdir(metadata, 0o755); err != nil {
		return fmt.Errorf("entry %s: %w", e.UID, err)
	}
	for name, value := range e.Metadata {
		if err := writeNew(filepath.Join(metadata, name), value); err != nil {
			return fmt.Errorf("entry %s: %w", e.UID, err)
		}
	}
	if e.Data == nil {
		return nil
	}
	return unpackData(fsys, from, e, filepath.Join(dir, "data"))
}

func unpackData(fsys fs.FS, from UID, e *Entry, path string) error {
	src, err := OpenData(fsys, &Entry{UID: from, Data: e.Data})
	if err != nil {
		return &DamagedError{UID: e.UID, Reason: reason(err)}
	}
	defer src.Close()
	f, err := createNew(path)
	if err != nil {
		return fmt.Errorf("entry %s: %w", e.UID, err)
	}
	sum := sha256.New()
	in := &readError{Reader: src}
	_, err = io.CopyBuffer(onlyWriter{f}, io.TeeReader(in, sum), make([]byte, 128<<10))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	switch {
	case in.err != nil:
		return &DamagedError{UID: e.UID, Reason: reason(in.err)}
	case err != nil:
		return fmt.Errorf("entry %s: %w", e.UID, err)
	case [32]byte(sum.Sum(nil)) != e.Data.SHA256:
		return &DamagedError{UID: e.UID, Reason: "its data is not what its sha256 says"}
	}
	return nil
}

// readError remembers whether it was reading that failed, and not writing.
type readError struct {
	io.Reader
	err error
}

func (r *readError) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// onlyWriter hides ReaderFrom, so that CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }

func createNew(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o644)
}

func writeNew(path string, b []byte) error {
	f, err := createNew(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
