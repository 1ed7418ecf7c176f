package transfer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// disk is what has to stay free on the file system that is received into. It is
// asked as the files come: what a file takes in the end depends on what the old
// one gives back, and others write to the same disk meanwhile.
type disk struct {
	dir           *os.File // nil: nothing has to
	bytes, inodes int64
}

func newDisk(root *os.Root, l Limits) (disk, error) {
	d := disk{bytes: l.KeepBytes, inodes: l.KeepInodes}
	if d.bytes == 0 && d.inodes == 0 {
		return d, nil
	}
	var err error
	d.dir, err = root.Open(".")
	return d, err
}

func (d disk) close() {
	if d.dir != nil {
		d.dir.Close()
	}
}

// has tells whether so much more may be written.
func (d disk) has(bytes, inodes int64) error {
	if d.dir == nil {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.dir.Fd()), &st); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	blocks := uint64(d.bytes+bytes) / uint64(max(st.Bsize, 1)) // whole ones, so that 0 needs 0
	if st.Bavail < blocks || st.Files > 0 && st.Ffree < uint64(d.inodes+inodes) {
		return &Error{Kind: Full, Message: fmt.Sprintf("the disk is full, but for the %d bytes and %d inodes that stay free", d.bytes, d.inodes)}
	}
	return nil
}
