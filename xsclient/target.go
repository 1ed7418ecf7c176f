package xsclient

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// checkTarget tells whether path can be the name of a new file, or of one that
// takes an older one's place. A person, or a program, has chosen it.
func checkTarget(path string) error {
	no := func(format string, args ...any) error {
		return &Error{Code: InvalidArgument, Message: fmt.Sprintf(format, args...)}
	}
	shown := sentence(path)
	dir, name := filepath.Split(path)
	switch {
	case !filepath.IsAbs(path):
		return no("%q is no whole path: it has to begin with a slash.", shown)
	case name == "", name == ".", name == "..", strings.ContainsRune(path, 0):
		return no("%q cannot be the name of a file.", shown)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return no("There is no folder %q: make it first, or choose another one.", sentence(dir))
	}
	// What is there is replaced, never followed.
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return no("%q is there already and is no file: choose another name.", shown)
	}
	return nil
}

// roomFor tells whether size bytes fit where path is. On the laptop's own disk
// some room stays free, see reserve.
func (c *Client) roomFor(path string, size int64) error {
	dir := filepath.Dir(path)
	free, err := freeBytes(dir)
	if err != nil {
		return err
	}
	if own, err := sameDisk(dir, c.cfg.Profile.Dir); err != nil {
		return err
	} else if own {
		free -= reserve
	}
	if size > free {
		return noRoom(dir, fmt.Errorf("%d bytes are needed, %d are free", size, free))
	}
	return nil
}

func noRoom(dir string, err error) error {
	return &Error{
		Code:    DiskFull,
		Message: fmt.Sprintf("There is not enough room in %q: remove something there, or choose another folder.", sentence(dir)),
		Err:     err,
	}
}

// writeBeside writes a file so that it is there whole, and on the disk, or not at
// all: under a name of its own first.
func writeBeside(path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	temp := filepath.Join(dir, ".xo-export-"+rand.Text())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return notWritten(path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(temp)
		}
	}()
	out := bufio.NewWriterSize(disk{f, path}, 64<<10) // a zip is written in small pieces
	if err := write(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return notWritten(path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return notWritten(path, err)
	}
	if err := syncFolder(dir); err != nil {
		return notWritten(path, err)
	}
	return nil
}

// disk tells an error of the disk's from every other.
type disk struct {
	f    *os.File
	path string
}

func (d disk) Write(b []byte) (int, error) {
	n, err := d.f.Write(b)
	if err != nil {
		err = notWritten(d.path, err)
	}
	return n, err
}

// notWritten says why a file of a person's choice cannot be written.
func notWritten(path string, err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return noRoom(filepath.Dir(path), err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return &Error{Code: InvalidArgument, Message: fmt.Sprintf("Nothing may be written to %q: choose another folder.", sentence(filepath.Dir(path))), Err: err}
	}
	return &Error{Code: Failed, Message: fmt.Sprintf("%q cannot be written: %s.", sentence(path), inWords(err)), Err: err}
}

// syncFolder brings a name in a folder to the disk. Not each file system that
// sticks have knows how.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// sameDisk tells whether two folders are on one file system.
func sameDisk(a, b string) (bool, error) {
	var at, bt unix.Stat_t
	if err := errors.Join(unix.Stat(a, &at), unix.Stat(b, &bt)); err != nil {
		return false, err
	}
	return at.Dev == bt.Dev, nil
}
