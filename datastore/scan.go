package datastore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Stamp tells whether the metadata of an entry is still what it was when it was
// read, or whether Sugar's datastore has changed anything. It is comparable; the
// zero Stamp is that of nothing.
type Stamp struct{ Inode, Modified, Changed int64 }

func (s stamp) public() Stamp { return Stamp{int64(s.ino), s.mtime, s.ctime} }

// CleanStamp is the stamp of ds_clean, which Sugar's datastore makes anew after
// every change; the zero Stamp while there is none.
func (s *Store) CleanStamp() Stamp {
	var st unix.Stat_t
	if unix.Lstat(s.dir+"/ds_clean", &st) != nil {
		return Stamp{}
	}
	return stampOf(&st).public()
}

// Scanned is an entry's metadata as it is read for an index: without looking at
// the data, and without any care for what changes meanwhile. Whoever needs the
// truth compares the Stamp later.
type Scanned struct {
	UID        UID
	Stamp      Stamp
	Properties map[string]string // without preview
}

// Scan calls each for every entry that can be read, in no order, except for those
// that known says it has with that stamp. What cannot be read is left out.
func (s *Store) Scan(ctx context.Context, known func(UID, Stamp) bool, each func(Scanned) error) error {
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("datastore: %w", err)
	}
	var r scanner
	for _, f := range folders {
		if len(f.Name()) != 2 || !f.IsDir() {
			continue
		}
		if err := r.folder(ctx, s.dir+"/"+f.Name(), known, each); err != nil {
			return err
		}
	}
	return nil
}

// ScanEntry reads one entry as Scan does; fs.ErrNotExist where there is none that
// can be read.
func (s *Store) ScanEntry(uid UID) (Scanned, error) {
	fd, err := s.openFolder(uid)
	if err != nil {
		return Scanned{}, err
	}
	defer unix.Close(fd)
	var r scanner
	stamp, ok := metadataStamp(fd, uid)
	if !ok {
		return Scanned{}, fs.ErrNotExist
	}
	return r.entry(fd, uid, stamp)
}

// scanner keeps its buffer from entry to entry.
type scanner struct{ properties }

func (r *scanner) folder(ctx context.Context, name string, known func(UID, Stamp) bool, each func(Scanned) error) error {
	fd, err := openDir(unix.AT_FDCWD, name)
	if err != nil {
		return nil
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	for _, name := range names {
		uid, err := ParseUID(name)
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		stamp, ok := metadataStamp(fd, uid)
		if !ok || known != nil && known(uid, stamp) {
			continue
		}
		e, err := r.entry(fd, uid, stamp)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = each(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func metadataStamp(folder int, uid UID) (Stamp, bool) {
	var st unix.Stat_t
	if unix.Fstatat(folder, string(uid)+"/metadata", &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return Stamp{}, false
	}
	return stampOf(&st).public(), true
}

func (r *scanner) entry(folder int, uid UID, stamp Stamp) (Scanned, error) {
	e := Scanned{UID: uid, Stamp: stamp, Properties: make(map[string]string, 24)}
	err := r.each(folder, uid, func(name string, value []byte) error {
		e.Properties[name] = string(value)
		return nil
	}, "preview")
	var d damage
	if errors.As(err, &d) {
		return e, fs.ErrNotExist
	}
	return e, err
}

// Retrieve reads properties of an entry, all if no names are given, and the size of
// its data, 0 where it has none. What cannot be read is left out; an entry that is
// not there is fs.ErrNotExist.
func (s *Store) Retrieve(uid UID, names []string) (properties map[string][]byte, size int64, err error) {
	fd, err := s.openFolder(uid)
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(fd)
	if _, ok := metadataStamp(fd, uid); !ok {
		return nil, 0, fs.ErrNotExist
	}
	var r scanner
	properties = make(map[string][]byte, max(len(names), 24))
	if len(names) == 0 {
		err = r.each(fd, uid, func(name string, value []byte) error {
			properties[name] = append([]byte{}, value...)
			return nil
		})
	} else {
		err = r.some(fd, uid, names, properties)
	}
	var d damage
	if errors.As(err, &d) {
		err = nil
	}
	var st unix.Stat_t
	if unix.Fstatat(fd, string(uid)+"/data", &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		size = st.Size
	}
	return properties, size, err
}

// some reads only the properties of those names.
func (r *scanner) some(folder int, uid UID, names []string, into map[string][]byte) error {
	fd, err := openDir(folder, string(uid)+"/metadata")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, name := range names {
		if checkProperty(name) != nil {
			continue
		}
		if value, err := r.readOne(fd, name, MaxFile); err == nil {
			into[name] = append([]byte{}, value...)
		}
	}
	return nil
}

// LinkData gives the data of an entry another name, as Sugar's datastore does for
// whoever wants to look at it: a hard link, or a symbolic one to another file system.
// fs.ErrNotExist where the entry has no data.
func (s *Store) LinkData(uid UID, to string) error {
	if _, err := ParseUID(string(uid)); err != nil {
		return err
	}
	data := filepath.Join(s.dir, uid.folder(), string(uid), "data")
	if info, err := os.Lstat(data); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("entry %s: its data is no plain file", uid)
	}
	err := os.Link(data, to)
	if errors.Is(err, unix.EXDEV) {
		err = os.Symlink(data, to)
	}
	return err
}
