package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tempPrefix begins the name of whatever is not yet what it will be.
const tempPrefix = ".new-"

func tempName() string {
	var b [8]byte
	rand.Read(b[:])
	return tempPrefix + hex.EncodeToString(b[:])
}

func isTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }

// writeFile puts b under name, durably: after a power cut the file is the old
// or the new one, whole.
func writeFile(root *os.Root, name string, b []byte, perm fs.FileMode) error {
	temp := path.Join(path.Dir(name), tempName())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(perm) // whatever the umask
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		root.Remove(temp)
		return err
	}
	return syncDir(root, path.Dir(name))
}

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// replaceLink makes name a symbolic link to target, in one step.
func replaceLink(root *os.Root, target, name string) error {
	temp := path.Join(path.Dir(name), tempName())
	if err := root.Symlink(target, temp); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		root.Remove(temp)
		return err
	}
	return syncDir(root, path.Dir(name))
}

// syncAll writes out the whole file system that f is on. f has to have been
// opened before the writing began: the kernel tells each open file of the
// errors since.
func syncAll(f *os.File) error {
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", f.Name(), err)
	}
	return nil
}

// tryLock takes the flock on root's file name, or answers false when another
// process, or another part of this one, holds it.
func tryLock(root *os.Root, name string) (*os.File, bool, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, true, nil
		}
		if err == unix.EINTR {
			continue
		}
		f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("lock %s: %w", name, err)
	}
}

// waitLock waits for the flock: for changes that take milliseconds only. It asks
// again and again, since a flock that blocks holds a thread for each who waits,
// and Go ends a program of 10,000 threads.
func waitLock(ctx context.Context, root *os.Root, name string) (*os.File, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		f, ok, err := tryLock(root, name)
		if err != nil || ok {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s: %w", name, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}
