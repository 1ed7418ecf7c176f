package datastore

import (
	"time"

	"golang.org/x/sys/unix"
)

// cleanFlag uses ds_clean as a lock to read under. Sugar's datastore removes
// the file before it changes anything and makes it anew when it is done, so
// what was read while one and the same ds_clean stood is of one moment. The
// file is held open meanwhile: its inode cannot become another's, and whether
// it still stands is told by its count of links.
type cleanFlag struct {
	top  int // the datastore's folder, open
	live func() bool

	fd    int // of ds_clean, -1: none
	asked time.Time
	at    stamp // of the datastore's folder when live was asked
}

type guard int

const (
	held  guard = iota // ds_clean stands
	idle               // there is none, and no service that could change things
	dirty              // the service is changing something, or failed to
)

func (c *cleanFlag) hold() guard {
	if c.fd >= 0 && stands(c.fd) {
		return held
	}
	c.close()
	fd, err := openFile(c.top, "ds_clean")
	if err == nil {
		if !stands(fd) {
			unix.Close(fd)
			return dirty
		}
		c.fd = fd
		return held
	}
	// To ask whether the service lives costs a call over the bus. It need not
	// be asked again while nothing has changed here: a service that starts
	// makes its flags first.
	at := c.stamp()
	if at == c.at && time.Since(c.asked) < time.Second {
		return idle
	}
	c.at, c.asked = stamp{}, time.Now()
	if c.live() {
		return dirty
	}
	c.at = at
	return idle
}

// still tells whether what hold has answered holds yet.
func (c *cleanFlag) still(g guard) bool {
	switch g {
	case held:
		return c.fd >= 0 && stands(c.fd)
	case idle:
		var st unix.Stat_t
		return unix.Fstatat(c.top, "ds_clean", &st, unix.AT_SYMLINK_NOFOLLOW) == unix.ENOENT && c.stamp() == c.at
	}
	return true // dirty was accepted with open eyes, see patience
}

func (c *cleanFlag) stamp() stamp {
	var st unix.Stat_t
	if unix.Fstat(c.top, &st) != nil {
		return stamp{}
	}
	return stampOf(&st)
}

func stands(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Nlink > 0
}

func (c *cleanFlag) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}
