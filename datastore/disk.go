package datastore

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// disk is what publishing does to a file system beyond package os. Tests put
// an old kernel in its place, or one that stops at a step.
type disk struct {
	// exchange swaps two names at one instant, or fails with
	// errNoExchange where kernel (before 3.15) or file system cannot.
	exchange func(a, b string) error
	// step is called after each step that a power cut may follow.
	step func(name string) error
}

var errNoExchange = errors.New("cannot exchange two names")

func realDisk() disk {
	return disk{exchange: exchange, step: func(string) error { return nil }}
}

func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	switch err {
	case nil:
		return nil
	case unix.ENOSYS, unix.EINVAL, unix.EPERM, unix.EOPNOTSUPP: // EPERM: a seccomp filter of old
		return errNoExchange
	}
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
}

// syncAll writes all that the file system of dir has in memory to its disk: one
// call for thousands of files.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return &fs.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return nil
}

// syncDir makes what was renamed, made or removed in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
