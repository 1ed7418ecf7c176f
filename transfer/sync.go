package transfer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Sync waits until all that was written to the file system that dir is on has
// reached the disk. What a child received counts only after it.
func Sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("syncing the file system of %s: %w", dir, err)
	}
	return nil
}
