package datastore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Unpack makes the folder dir into the entry e as layout 6 has it. The file data,
// which JoinData has made, is moved there; "" for an entry without. dir may exist,
// empty, on the same file system.
//
// Properties that cannot be are a *DamagedError; what is wrong here is any other.
// Nothing is synced: Publish and Swap do that once for all. After an error dir
// holds anything and is the caller's to remove.
func Unpack(e *Entry, data, dir string) error {
	if err := e.check(); err != nil {
		return &DamagedError{UID: e.UID, Reason: err.Error()}
	}
	err := unpackMetadata(e, dir)
	if err == nil && data != "" {
		err = os.Rename(data, filepath.Join(dir, "data"))
	}
	if err != nil {
		return fmt.Errorf("entry %s: %w", e.UID, err)
	}
	return nil
}

// unpackMetadata writes below an open folder and without os.File, which asks
// the poller about every one of 20,000 small files.
func unpackMetadata(e *Entry, dir string) error {
	metadata := filepath.Join(dir, "metadata")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(metadata, 0o755); err != nil {
		return err
	}
	folder, err := openDir(unix.AT_FDCWD, metadata)
	if err != nil {
		return err
	}
	defer unix.Close(folder)
	for name, value := range e.Metadata {
		if err := writeNew(folder, name, value); err != nil {
			return fmt.Errorf("property %s: %w", quote(name), err)
		}
	}
	return nil
}

func writeNew(folder int, name string, value []byte) error {
	fd, err := unix.Openat(folder, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	for len(value) > 0 && err == nil {
		var n int
		n, err = unix.Write(fd, value)
		value = value[max(n, 0):]
		if err == unix.EINTR {
			err = nil
		}
	}
	return errors.Join(err, unix.Close(fd))
}

// JoinData moves the data of an entry out of the travelling tree in the folder
// tree to the path to, which must be on the same file system and not exist: the
// file itself, or its first part with the others behind it, each removed once it
// is there. So nothing is written twice, and little more room is needed than the
// data takes. What is moved has the time now, and not one made of its content.
//
// It is for an entry that VerifyEntry has found whole: here no sum is checked.
// Data of another size is a *DamagedError all the same.
func JoinData(tree string, e *Entry, to string) error {
	size, err := joinData(tree, e.Files(), to)
	if err != nil {
		return fmt.Errorf("entry %s: %w", e.UID, err)
	}
	if size != e.Data.Size {
		return &DamagedError{UID: e.UID, Reason: "its data has changed since it came"}
	}
	return nil
}

// joinData answers the size of what there is then.
func joinData(tree string, files []File, to string) (int64, error) {
	if err := os.Rename(filepath.Join(tree, files[0].Path), to); err != nil {
		return 0, err
	}
	if len(files) > 1 {
		if err := appendParts(tree, files[1:], to); err != nil {
			return 0, err
		}
	}
	now := time.Now()
	if err := os.Chtimes(to, now, now); err != nil {
		return 0, err
	}
	info, err := os.Lstat(to)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func appendParts(tree string, parts []File, to string) error {
	out, err := os.OpenFile(to, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	if _, err := out.Seek(0, io.SeekEnd); err != nil { // not O_APPEND: the kernel could not copy by itself
		return errors.Join(err, out.Close())
	}
	for _, part := range parts {
		if err := appendPart(out, filepath.Join(tree, part.Path)); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return out.Close()
}

func appendPart(out *os.File, path string) error {
	part, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer part.Close()
	if _, err := io.Copy(out, part); err != nil {
		return err
	}
	return os.Remove(path)
}
