package datastore

import (
	"errors"
	"io"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// properties reads the metadata of entries. It keeps one buffer: a Journal of
// 1,000 entries has 20,000 small files, and os.ReadFile takes twice the time.
type properties struct {
	buf   []byte
	total int // bytes in the names and values read last
}

// read reads the metadata of an entry below the open folder UU. Damage comes
// back as damage.
func (p *properties) read(folder int, uid UID) (map[string][]byte, error) {
	metadata := make(map[string][]byte, 24)
	err := p.each(folder, uid, func(name string, value []byte) error {
		metadata[name] = append([]byte{}, value...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return metadata, nil
}

// each calls do for each property but those left out. The value is good until do
// returns.
func (p *properties) each(folder int, uid UID, do func(name string, value []byte) error, without ...string) error {
	fd, err := openDir(folder, string(uid))
	if err != nil {
		return damage("its folder cannot be read: " + err.Error())
	}
	defer unix.Close(fd)
	fd, err = openDir(fd, "metadata")
	if err != nil {
		return damage("its metadata cannot be read: " + err.Error())
	}
	dir := os.NewFile(uintptr(fd), "metadata")
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return damage("its metadata cannot be read: " + reason(err))
	}
	left := MaxFile
	for _, name := range names {
		if name[0] == '.' || slices.Contains(without, name) {
			continue // temporary, of the datastore's; or not asked for
		}
		if err := checkProperty(name); err != nil {
			return damage(err.Error())
		}
		value, err := p.readOne(fd, name, left)
		if errors.Is(err, unix.ENOENT) {
			// Replaced while we look. Whether the whole look counts is for the
			// caller to find out, by the folder's stamp.
			continue
		}
		if err != nil {
			return err
		}
		if left -= len(name) + len(value); left < 0 {
			return damage(errTooMuch.Error())
		}
		if err := do(name, value); err != nil {
			return err
		}
	}
	p.total = MaxFile - left
	return nil
}

// readOne reads into p.buf.
func (p *properties) readOne(dir int, name string, most int) ([]byte, error) {
	fd, err := openFile(dir, name)
	if err == unix.ENOENT {
		return nil, err
	}
	if err != nil {
		return nil, damage("its property " + quote(name) + " cannot be read: " + err.Error())
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, damage("its property " + quote(name) + " cannot be read: " + err.Error())
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, damage("its property " + quote(name) + " is no plain file")
	}
	if st.Size > int64(most) {
		return nil, damage(errTooMuch.Error())
	}
	if need := int(st.Size) + 1; len(p.buf) < need { // one more byte, to see the end
		p.buf = make([]byte, max(need, 64<<10))
	}
	n, err := readFull(fd, p.buf[:st.Size+1])
	if err != nil {
		return nil, damage("its property " + quote(name) + " cannot be read: " + err.Error())
	}
	if int64(n) != st.Size {
		return nil, damage("its property " + quote(name) + " changes while it is read")
	}
	return p.buf[:n], nil
}

// readFull fills buf or stops at the end of the file.
func readFull(fd int, buf []byte) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

// reason is an error without the names that the caller says better.
func reason(err error) string {
	var path *os.PathError
	var call *os.SyscallError
	switch {
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.As(err, &call):
		return call.Err.Error()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	}
	return err.Error()
}
