package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// File opens one entry's metadata ("UID.cjson"), its whole data ("UID.data"), or
// both as a Journal entry bundle ("UID.xoj"), of which the size is not known: -1.
//
// Metadata that is no longer what was backed up is a *datastore.DamagedError;
// so is data in a bundle, where it shows while that is read. Data alone is for
// whoever has the metadata, and so its sum.
func (s *Snapshot) File(name string) (io.ReadCloser, int64, error) {
	base, kind, _ := strings.Cut(name, ".")
	uid, err := datastore.ParseUID(base)
	if err != nil {
		return nil, 0, &NameError{"entry", name, "is not a uid"}
	}
	if kind != "cjson" && kind != "data" && kind != "xoj" {
		return nil, 0, fmt.Errorf("%.80q: %w", name, fs.ErrNotExist)
	}
	e, b, err := s.metadata(uid)
	if err != nil {
		return nil, 0, err
	}
	switch kind {
	case "cjson":
		return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
	case "data":
		if e.Data == nil {
			return nil, 0, fmt.Errorf("%w: entry %s has no file", ErrNoEntry, uid)
		}
		r, err := s.data(e)
		return r, e.Data.Size, err
	}
	r, err := s.bundle(e)
	return r, -1, err
}

// metadata reads an entry's. The manifest, which has a line for each file of the
// snapshot, is read only where something is amiss: a file's time is made of its
// content's sum.
func (s *Snapshot) metadata(uid datastore.UID) (*datastore.Entry, []byte, error) {
	e, b, err := datastore.ReadEntry(s.FS(), uid)
	if err == nil {
		fi, err := s.root.Lstat(uid.Path())
		if err == nil && fi.ModTime().Unix() == datastore.ModTime(sumOf(b)).Unix() {
			return e, b, nil
		}
	}
	sums, manifestErr := s.Manifest()
	if manifestErr != nil {
		return nil, nil, manifestErr
	}
	want, known := sums[uid.Path()]
	if !known {
		return nil, nil, fmt.Errorf("%w: %s is not in backup %s", ErrNoEntry, uid, s.Record.ID)
	}
	if reason := metadataDamage(b, err, want); reason != "" {
		return nil, nil, s.damaged(uid, reason)
	}
	return e, b, nil
}

// data opens an entry's, its parts joined.
func (s *Snapshot) data(e *datastore.Entry) (io.ReadCloser, error) {
	r, err := datastore.OpenData(s.FS(), e)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.damaged(e.UID, "its data is missing at school")
	}
	if err != nil {
		return nil, s.damaged(e.UID, "its data cannot be read at school: "+err.Error())
	}
	return r, nil
}

// damaged says so, in the log of whoever looks after the server too.
func (s *Snapshot) damaged(uid datastore.UID, reason string) error {
	s.folder.log.Error("entry is damaged", "snapshot", s.Record.ID, "uid", uid, "reason", reason)
	return &datastore.DamagedError{UID: uid, Reason: reason}
}

// bundle makes a bundle while it is read. The goroutine ends with its reader.
func (s *Snapshot) bundle(e *datastore.Entry) (io.ReadCloser, error) {
	data := io.ReadCloser(io.NopCloser(strings.NewReader("")))
	if e.Data != nil {
		var err error
		if data, err = s.data(e); err != nil {
			return nil, err
		}
	}
	r, w := io.Pipe()
	go func() {
		defer data.Close()
		err := datastore.WriteBundle(w, e, data)
		var bad *datastore.DamagedError
		if errors.As(err, &bad) {
			err = s.damaged(e.UID, bad.Reason)
		}
		w.CloseWithError(err)
	}()
	return r, nil
}
