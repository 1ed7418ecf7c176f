package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// imageSize is the size of the file system to measure on; of its image, what is
// written takes room only.
const imageSize = 6 << 30

// disk makes a folder to measure in. As root that is on a fresh file system in
// an image, whose syncs go to the disk below as any other's: what else is
// written on this machine, and how worn its own file system is, then counts
// less. Elsewhere it is a folder like any other.
func disk(ctx context.Context, in string) (dir, what string, remove func() error, err error) {
	top, err := os.MkdirTemp(in, "xo-bench-")
	if err != nil {
		return "", "", nil, err
	}
	image, mounted := filepath.Join(top, "image"), filepath.Join(top, "disk")
	if err := mount(ctx, image, mounted); err != nil {
		return top, fmt.Sprintf("%s (no file system of its own: %v)", in, err), func() error { return os.RemoveAll(top) }, nil
	}
	return mounted, "a fresh ext4 in an image in " + in, func() error {
		// With the image, all that is in it goes at once.
		return errors.Join(unix.Unmount(mounted, 0), os.RemoveAll(top))
	}, nil
}

func mount(ctx context.Context, image, at string) error {
	if os.Geteuid() != 0 {
		return errors.New("that needs root")
	}
	var room unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(image), &room); err != nil {
		return err
	}
	if free := int64(room.Bavail) * room.Bsize; free < imageSize {
		return fmt.Errorf("that needs %d GiB", imageSize>>30)
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, imageSize); err != nil {
		return err
	}
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	for _, words := range [][]string{
		{"mkfs.ext4", "-q", "-N", "600000", image},
		{"mount", "-o", "loop,noinit_itable", image, at},
	} {
		if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("%s: %w: %s", words[0], err, out), os.Remove(image), os.Remove(at))
		}
	}
	return nil
}

// settle writes out what is dirty where we measure.
func settle(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
