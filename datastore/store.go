package datastore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Store is a Journal in layout 6: that of a running Sugar, or a raw copy.
type Store struct {
	dir    string
	live   func() bool
	disk   disk
	timing timing
}

// Open opens the datastore in dir. live tells whether Sugar's service runs on
// it at the moment; nil means that none ever does. It is asked only when
// ds_clean is missing.
func Open(dir string, live func() bool) (*Store, error) {
	if live == nil {
		live = func() bool { return false }
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("datastore: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("datastore: %s is no folder", dir)
	}
	if err := checkLayout(dir); err != nil {
		return nil, err
	}
	return &Store{dir: dir, live: live, disk: realDisk(), timing: fieldTiming}, nil
}

// Create makes dir, if it is not there yet, into a datastore of layout 6 that
// Sugar has not seen yet, and opens it.
func Create(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("datastore: %w", err)
	}
	s, err := Open(dir, nil)
	if err != nil {
		return nil, err
	}
	if err := setLayout(dir); err != nil {
		return nil, fmt.Errorf("datastore: %w", err)
	}
	return s, nil
}

// setLayout writes the file version where there is none.
func setLayout(dir string) error {
	path := filepath.Join(dir, "version")
	if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeDurably(path, strconv.Itoa(Layout))
}

// checkLayout refuses what an older Sugar has written. A missing or empty
// version file is let pass: a power cut can leave one, and Sugar mends it.
func checkLayout(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "version"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("datastore: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || string(b) == strconv.Itoa(Layout) {
		return nil
	}
	return fmt.Errorf("datastore: %s has layout %s; only layout %d can be read", dir, quote(string(b)), Layout)
}

// stamp tells whether a file or folder is still the one that it was: all that
// a stat says that changes with content.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // Unix nanoseconds
}

func stampOf(st *unix.Stat_t) stamp {
	return stamp{
		dev:   uint64(st.Dev),
		ino:   st.Ino,
		size:  st.Size,
		mtime: int64(st.Mtim.Sec)*1e9 + int64(st.Mtim.Nsec),
		ctime: int64(st.Ctim.Sec)*1e9 + int64(st.Ctim.Nsec),
	}
}

// sameButCtime is for telling a file that only got or lost a hard link.
func (s stamp) sameButCtime(o stamp) bool {
	s.ctime = o.ctime
	return s == o
}

// state is what two lstats say of an entry. Every property is replaced by
// rename, so the folder's stamp changes with any of them.
type state struct {
	metadata stamp // of the folder metadata/
	data     stamp // zero if there is none
}

func (s state) hasData() bool { return s.data != stamp{} }

// racy tells whether a file could still change without changing its stamps, as
// seen at the moment now: they can be as coarse as a second (two on FAT), and a
// clock that was set back proves nothing. It is git's "racily clean".
func racy(now int64, stamps ...int64) bool {
	const coarse = 2e9
	return now-slices.Max(stamps) < coarse
}

func (s state) racy(now int64) bool {
	return racy(now, s.metadata.mtime, s.metadata.ctime, s.data.mtime, s.data.ctime)
}

// damage is a reason, as words for a DamagedError.
type damage string

func (d damage) Error() string { return string(d) }

// stateOf looks at an entry below the open folder UU. Damage comes back as
// damage, an entry that is not there as fs.ErrNotExist.
func stateOf(folder int, uid UID) (state, error) {
	var s state
	var st unix.Stat_t
	if err := unix.Fstatat(folder, string(uid)+"/metadata", &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if err != unix.ENOENT {
			return s, damage("its metadata cannot be read: " + err.Error())
		}
		if err := unix.Fstatat(folder, string(uid), &st, unix.AT_SYMLINK_NOFOLLOW); err == unix.ENOENT {
			return s, fs.ErrNotExist
		}
		return s, damage("it has no metadata")
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return s, damage("metadata is no folder")
	}
	s.metadata = stampOf(&st)
	switch err := unix.Fstatat(folder, string(uid)+"/data", &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == unix.ENOENT:
		return s, nil
	case err != nil:
		return s, damage("its data cannot be read: " + err.Error())
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return s, damage("data is no plain file")
	}
	s.data = stampOf(&st)
	return s, nil
}

// openDir opens the folder name below the open folder at, which may not be a
// link.
func openDir(at int, name string) (int, error) {
	return openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY)
}

// openFile opens a file to read it. It neither follows a link nor waits for
// the other end of a pipe.
func openFile(at int, name string) (int, error) {
	return openat(at, name, unix.O_RDONLY|unix.O_NONBLOCK)
}

func openat(at int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// OpenData opens the file of an entry; one that is not there is fs.ErrNotExist.
// Sugar may change it while it is read: what Entry has answered says what it
// should be, see CopyData.
func (s *Store) OpenData(uid UID) (io.ReadCloser, error) {
	if _, err := ParseUID(string(uid)); err != nil {
		return nil, err
	}
	f, err := s.openData(uid)
	if err != nil {
		return nil, fmt.Errorf("entry %s: data: %w", uid, err)
	}
	return f, nil
}

func (s *Store) openData(uid UID) (*os.File, error) {
	folder, err := s.openFolder(uid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(folder)
	fd, err := openFile(folder, string(uid)+"/data")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), string(uid)+"/data")
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no plain file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openFolder opens the folder UU of an entry. What is not there is
// fs.ErrNotExist (syscall.Errno knows).
func (s *Store) openFolder(uid UID) (int, error) {
	top, err := openDir(unix.AT_FDCWD, s.dir+"/.")
	if err != nil {
		return -1, err
	}
	defer unix.Close(top)
	return openDir(top, uid.folder())
}
