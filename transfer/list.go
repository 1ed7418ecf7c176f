package transfer

import (
	"bytes"
	"cmp"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"unsafe"
)

// list is what a sender has announced, kept small: a Journal's may have tens of
// thousands of names.
type list struct {
	names   []byte // one after the other
	entries []entry
	size    int64 // of all files
}

type entry struct {
	off   uint32 // of the name in names
	len   uint16
	dir   bool
	moved bool
	mtime int32
	size  int64
}

// name is good as long as the list is.
func (l *list) name(e *entry) string {
	b := l.names[e.off : e.off+uint32(e.len)]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (l *list) add(name string, e entry) {
	e.off, e.len = uint32(len(l.names)), uint16(len(name))
	l.names = append(l.names, name...)
	l.entries = append(l.entries, e)
	if !e.dir {
		l.size += e.size
	}
}

// last is the name that was added last, "" at first.
func (l *list) last() string {
	if len(l.entries) == 0 {
		return ""
	}
	return l.name(&l.entries[len(l.entries)-1])
}

// inside tells whether name, which follows the last one, is in a folder of the
// list: that is either the last one itself or around it.
func (l *list) inside(name string) bool {
	parent := path.Dir(name)
	if parent == "." {
		return true
	}
	if last := l.last(); last != parent {
		return strings.HasPrefix(last, parent+"/")
	}
	return l.entries[len(l.entries)-1].dir
}

// sort puts the list into the order by which rsync counts its files.
func (l *list) sort() {
	slices.SortFunc(l.entries, func(a, b entry) int {
		return cmp.Compare(l.name(&a), l.name(&b))
	})
}

// find needs a sorted list.
func (l *list) find(name string) *entry {
	i, found := sort.Find(len(l.entries), func(i int) int {
		return strings.Compare(name, l.name(&l.entries[i]))
	})
	if !found {
		return nil
	}
	return &l.entries[i]
}

// follows tells whether b comes after a in the order of fs.WalkDir.
func follows(a, b string) bool {
	if a == "" || b == "" || b == "." {
		return a == "" && b == "."
	}
	if a == "." {
		return true
	}
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			return y != '/' && (x == '/' || x < y)
		}
	}
	return len(a) < len(b)
}

// Bits of a list entry's first byte, and of its mode.
const (
	sameMode = 1 << 1
	sameName = 1 << 5
	longName = 1 << 6
	sameTime = 1 << 7

	modeType    = 0o170000
	modeDir     = 0o040000
	modeRegular = 0o100000

	maxName = 4000 // bytes
)

// lister reads and checks a file list, one entry at a time.
type lister struct {
	*strainer
	list   list
	allow  Allow
	limits Limits
	prev   []byte // the last name
	mtime  int32  // of the last entry, as mode
	mode   int32
}

// entry reads one entry; end is true at the list's end.
func (l *lister) entry() (end bool, err error) {
	flags, err := l.byte()
	if err != nil || flags == 0 {
		return err == nil, err
	}
	name, err := l.name(flags)
	if err != nil {
		return false, err
	}
	size, err := l.int64()
	if err != nil {
		return false, err
	}
	if flags&sameTime == 0 {
		if l.mtime, err = l.int32(); err != nil {
			return false, err
		}
	}
	if flags&sameMode == 0 {
		if l.mode, err = l.int32(); err != nil {
			return false, err
		}
	}
	return false, l.check(name, size)
}

func (l *lister) name(flags byte) (string, error) {
	var same, rest int
	if flags&sameName != 0 {
		b, err := l.byte()
		if err != nil {
			return "", err
		}
		same = int(b)
	}
	if flags&longName != 0 {
		n, err := l.int32()
		if err != nil {
			return "", err
		}
		if n < 0 || n > maxName {
			return "", refusef("a name of %d bytes", n)
		}
		rest = int(n)
	} else {
		b, err := l.byte()
		if err != nil {
			return "", err
		}
		rest = int(b)
	}
	if same > len(l.prev) || same+rest > maxName {
		return "", refusef("a name of %d bytes, %d of them from the name before", same+rest, same)
	}
	b, err := l.bytes(rest)
	if err != nil {
		return "", err
	}
	l.prev = append(l.prev[:same], b...)
	return string(l.prev), nil
}

func (l *lister) check(name string, size int64) error {
	dir := l.mode&modeType == modeDir
	switch {
	case !fs.ValidPath(name) || bytes.IndexByte(l.prev, 0) >= 0:
		return refusef("%s: not a name", quote(name))
	case !dir && l.mode&modeType != modeRegular:
		return refusef("%s: neither a file nor a folder (mode %o)", quote(name), uint32(l.mode))
	case l.mode&^(modeType|0o777) != 0:
		return refusef("%s: mode %o", quote(name), uint32(l.mode))
	case name == "." && !dir:
		return refusef("the top is not a folder")
	case size < 0:
		return refusef("%s: a size of %d", quote(name), size)
	case !follows(l.list.last(), name):
		return refusef("%s: listed after %s, out of order or twice", quote(name), quote(l.list.last()))
	case !l.list.inside(name):
		return refusef("%s: in a folder that is not listed", quote(name))
	case len(l.list.entries) >= l.limits.Files:
		return refusef("%s: more than %d files", quote(name), l.limits.Files)
	}
	if dir {
		size = 0
	}
	if size > l.limits.FileSize || size > l.limits.Total-l.list.size {
		return refusef("%s: %d bytes are more than may be received", quote(name), size)
	}
	if l.allow != nil {
		if err := l.allow(name, dir, size, fs.FileMode(l.mode)&fs.ModePerm); err != nil {
			return refusef("%v", err)
		}
	}
	l.list.add(name, entry{dir: dir, mtime: l.mtime, size: size})
	return nil
}
