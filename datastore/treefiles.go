package datastore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

const (
	// PartSize is where data is cut into parts, so that a connection that
	// breaks costs one part and not all that came before.
	PartSize = 8 << 20
	// MaxFile is the most that any file of a travelling tree may hold.
	MaxFile = PartSize
	// maxParts is what four digits can count: 80 GB.
	maxParts = 10000
	// journalName is the one file of a tree that belongs to no entry.
	journalName = "journal.cjson"

	filePerm fs.FileMode = 0o644
	dirPerm  fs.FileMode = 0o755
)

// dirTime is the mtime of every folder of a tree.
var dirTime = time.Unix(1, 0)

// ModTime is the mtime of a file of a travelling tree, made of the sha256 of
// what it holds: rsync compares size and mtime, so for it too the same content
// is the same file. It has 31 bits because rsync's protocol 27 has no more.
func ModTime(sum [32]byte) time.Time { return time.Unix(int64(modSeconds(sum)), 0) }

func modSeconds(sum [32]byte) uint32 {
	s := binary.BigEndian.Uint32(sum[:4]) & 0x7fffffff
	if s == 0 {
		s = 1 // some file systems take 0 for "not set"
	}
	return s
}

// File is a file of a travelling tree.
type File struct {
	Path string
	Size int64
}

// Files lists the files of a tree that hold the entry's data: none, one, or
// parts.
func (e *Entry) Files() []File {
	if e.Data == nil {
		return nil
	}
	return dataFiles(e.UID, e.Data.Size)
}

func dataFiles(uid UID, size int64) []File {
	base := uid.shard() + "/" + string(uid) + ".data"
	if size <= PartSize {
		return []File{{base, size}}
	}
	files := make([]File, 0, parts(size))
	for i := 0; size > 0; i++ {
		n := min(size, PartSize)
		files = append(files, File{fmt.Sprintf("%s.%04d", base, i), n})
		size -= n
	}
	return files
}

// parts is how many files hold data of that size.
func parts(size int64) int { return max(1, int((size+PartSize-1)/PartSize)) }

// place is what a path of a travelling tree stands for.
type place struct {
	kind kind
	uid  UID
	part int // of kind part
}

type kind int

const (
	top     kind = iota // "."
	journal             // journal.cjson
	folder              // U
	cjsonOf             // U/UID.cjson
	dataOf              // U/UID.data
	partOf              // U/UID.data.0000
)

var errNotOfTree = errors.New("no such file belongs into a Journal's tree")

// parsePlace reads a path that may be hostile.
func parsePlace(name string) (place, error) {
	switch name {
	case ".":
		return place{kind: top}, nil
	case journalName:
		return place{kind: journal}, nil
	}
	if len(name) == shardLen && uidBytes(name) {
		return place{kind: folder}, nil
	}
	shard, file, ok := strings.Cut(name, "/")
	if !ok || len(shard) != shardLen || len(file) < uidLen {
		return place{}, errNotOfTree
	}
	uid, err := ParseUID(file[:uidLen])
	if err != nil {
		return place{}, err
	}
	if uid.shard() != shard {
		return place{}, errors.New("it is in the wrong folder")
	}
	switch rest := file[uidLen:]; rest {
	case ".cjson":
		return place{kind: cjsonOf, uid: uid}, nil
	case ".data":
		return place{kind: dataOf, uid: uid}, nil
	default:
		digits, ok := strings.CutPrefix(rest, ".data.")
		if !ok || len(digits) != 4 {
			return place{}, errNotOfTree
		}
		n := 0
		for _, c := range []byte(digits) {
			if c < '0' || c > '9' {
				return place{}, errNotOfTree
			}
			n = n*10 + int(c-'0')
		}
		return place{kind: partOf, uid: uid, part: n}, nil
	}
}

func uidBytes(s string) bool {
	_, err := ParseUID(s + strings.Repeat("0", uidLen-len(s)))
	return err == nil
}

// CheckFile tells whether a file or folder with that path, size and mode may
// be in a travelling tree. The name may be anything that a peer has sent.
func CheckFile(name string, dir bool, size int64, perm fs.FileMode) error {
	if err := checkFile(name, dir, size, perm); err != nil {
		return fmt.Errorf("%s: %w", quote(name), err)
	}
	return nil
}

func checkFile(name string, dir bool, size int64, perm fs.FileMode) error {
	p, err := parsePlace(name)
	if err != nil {
		return err
	}
	if isDir := p.kind == top || p.kind == folder; isDir != dir {
		if dir {
			return errors.New("it is a folder where a file belongs")
		}
		return errors.New("it is a file where a folder belongs")
	}
	if dir {
		if perm&^fs.ModeDir != dirPerm {
			return fmt.Errorf("its mode is %v and not %v", perm, dirPerm)
		}
		return nil
	}
	if perm != filePerm {
		return fmt.Errorf("its mode is %v and not %v", perm, filePerm)
	}
	least := int64(1)
	if p.kind == dataOf {
		least = 0
	}
	if size < least || size > MaxFile {
		return fmt.Errorf("its size is %d, and may be from %d to %d", size, least, MaxFile)
	}
	return nil
}
