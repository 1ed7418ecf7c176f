package datastore

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"time"

	"golang.org/x/sys/unix"
)

// sums is what reading an entry's data once has told.
type sums struct {
	whole [32]byte
	// parts are the mtimes of the parts, as modSeconds; nil where the data is
	// one file.
	parts []uint32
	// writers is who had the file open for writing after it was read.
	writers writers
}

var errChanged = errors.New("it changed while it was read")

// sumData reads the data below the open folder UU, which must be as data says
// before and after. Damage comes back as damage.
func (l *looker) sumData(ctx context.Context, folder int, uid UID, data stamp) (sums, error) {
	known, ok := l.known[data]
	if ok && known.writers != some {
		return known, nil
	}
	if err := checkSize(data.size); err != nil {
		return sums{}, damage(err.Error())
	}
	fd, err := openFile(folder, string(uid)+"/data")
	if err == unix.ENOENT || err == unix.ELOOP {
		return sums{}, errChanged
	}
	if err != nil {
		return sums{}, damage("its data cannot be read: " + err.Error())
	}
	keep := false
	defer func() {
		if !keep {
			unix.Close(fd)
		}
	}()
	if !hasStamp(fd, data) {
		return sums{}, errChanged
	}
	if ok && writersOf(fd) == some {
		return known, nil // still: no use in reading it again and again
	}
	l.reads++
	s, err := l.sumFile(ctx, fd, data.size)
	if ctx.Err() != nil {
		return sums{}, ctx.Err()
	}
	if err != nil && err != errChanged {
		return sums{}, damage("its data cannot be read: " + err.Error())
	}
	s.writers = writersOf(fd)
	if err != nil || !hasStamp(fd, data) {
		return sums{}, errChanged
	}
	l.known[data] = s
	if racy(time.Now().UnixNano(), data.mtime, data.ctime) {
		keep = true
		l.pin(data, fd)
	}
	return s, nil
}

// pin keeps young data open for as long as its sum is remembered: so the inode
// cannot become another file's, with the same stamp.
func (l *looker) pin(data stamp, fd int) {
	const most = 32
	if len(l.pins) == most {
		unix.Close(l.pins[0].fd)
		delete(l.known, l.pins[0].data)
		l.pins = l.pins[1:]
	}
	l.pins = append(l.pins, pinned{data, fd})
}

type pinned struct {
	data stamp
	fd   int
}

func hasStamp(fd int, want stamp) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && stampOf(&st) == want
}

// sumFile reads size bytes, once, for the sum of the whole and of each part.
func (l *looker) sumFile(ctx context.Context, fd int, size int64) (sums, error) {
	if l.buf == nil {
		l.buf = make([]byte, 128<<10)
	}
	whole := sha256.New()
	var part hash.Hash // of the part, if there is more than one
	if size > PartSize {
		part = sha256.New()
	}
	var s sums
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		// PartSize is a multiple of the buffer's: no read crosses two parts.
		n, err := readFull(fd, l.buf)
		if err != nil {
			return s, err
		}
		at += int64(n)
		if at > size {
			return s, errChanged
		}
		whole.Write(l.buf[:n])
		end := n < len(l.buf)
		if part != nil {
			part.Write(l.buf[:n])
			if at%PartSize == 0 && n > 0 || end && at%PartSize != 0 {
				s.parts = append(s.parts, modSeconds([32]byte(part.Sum(nil))))
				part.Reset()
			}
		}
		if end {
			if at != size {
				return s, errChanged
			}
			whole.Sum(s.whole[:0])
			return s, nil
		}
	}
}

type writers int

const (
	unknown writers = iota
	none            // that is, by nobody
	some
)

// writersOf tells whether anybody has the file open for writing: for as long as
// that is so the kernel grants no lease for reading. Sugar's datastore copies
// data piece by piece into a file that it keeps open. Some file systems have
// no leases, and only a file's owner may take one: then it is unknown.
func writersOf(fd int) writers {
	switch _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err {
	case nil:
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
		return none
	case unix.EAGAIN:
		return some
	}
	return unknown
}
