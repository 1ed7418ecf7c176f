package store

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// inode tells whether two names are one file.
type inode struct{ dev, ino uint64 }

// fileSig changes whenever a file was written or replaced.
type fileSig struct {
	inode
	size         int64
	mtime, ctime [2]int64
}

func sigOf(fi fs.FileInfo) fileSig {
	st := fi.Sys().(*syscall.Stat_t) // what Lstat answers on Linux
	return fileSig{inode{uint64(st.Dev), st.Ino}, fi.Size(),
		[2]int64{int64(st.Mtim.Sec), int64(st.Mtim.Nsec)},
		[2]int64{int64(st.Ctim.Sec), int64(st.Ctim.Nsec)}}
}

// treeFile is a file of a tree, as it lies on the disk.
type treeFile struct {
	inode
	size   int64
	mtime  int64 // Unix seconds
	shared bool  // it has another name, too
}

// tree is what a look at a travelling tree found. No file was read.
type tree struct {
	files map[string]treeFile
	// entries are the files of each entry, metadata first as names sort.
	entries map[datastore.UID][]string
	// foreign is what has no place in a tree, and why.
	foreign []foreign
}

type foreign struct {
	path string
	why  error
}

const journalName = "journal.cjson"

// scanTree looks at the travelling tree in root's folder dir.
func scanTree(root *os.Root, dir string) (*tree, error) {
	top, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	t := &tree{files: map[string]treeFile{}, entries: map[datastore.UID][]string{}}
	return t, t.scan(top, "")
}

// scan looks at one folder, by its descriptor: a tree has thousands of files,
// and a path of four names costs four times as much. Links are not followed.
func (t *tree) scan(dir *os.File, prefix string) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &fs.PathError{Op: "stat", Path: dir.Name() + "/" + name, Err: err}
		}
		full := prefix + name
		if err := allowed(full, &st); err != nil {
			t.foreign = append(t.foreign, foreign{full, err})
			continue
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			t.files[full] = treeFile{inode{uint64(st.Dev), st.Ino}, st.Size, int64(st.Mtim.Sec), st.Nlink > 1}
			if uid, ok := uidOf(full); ok {
				t.entries[uid] = append(t.entries[uid], full)
			}
			continue
		}
		sub, err := openDirAt(dir, name)
		if err != nil {
			return err
		}
		err = t.scan(sub, full+"/")
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// allowed tells whether what lies there has a place in a tree.
func allowed(name string, st *unix.Stat_t) error {
	dir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if !dir && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%.80q is neither a file nor a folder", name)
	}
	if st.Mode&0o7000 != 0 {
		return fmt.Errorf("%.80q has mode %#o", name, st.Mode&0o7777)
	}
	return datastore.CheckFile(name, dir, st.Size, fs.FileMode(st.Mode&0o777))
}

// uidOf answers which entry a file of a tree belongs to, by its name alone.
func uidOf(name string) (datastore.UID, bool) {
	base, _, _ := strings.Cut(path.Base(name), ".")
	uid, err := datastore.ParseUID(base)
	return uid, err == nil
}

func readNames(root *os.Root, dir string) ([]string, error) {
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
