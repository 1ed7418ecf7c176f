package store

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

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

func inodeOf(fi fs.FileInfo) inode {
	st := fi.Sys().(*syscall.Stat_t) // what Lstat answers on Linux
	return inode{uint64(st.Dev), st.Ino}
}

func sigOf(fi fs.FileInfo) fileSig {
	st := fi.Sys().(*syscall.Stat_t)
	return fileSig{inodeOf(fi), fi.Size(),
		[2]int64{int64(st.Mtim.Sec), int64(st.Mtim.Nsec)},
		[2]int64{int64(st.Ctim.Sec), int64(st.Ctim.Nsec)}}
}

// treeFile is a file of a tree, as it lies on the disk.
type treeFile struct {
	inode
	size  int64
	mtime int64 // Unix seconds
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
	top, err := root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	t := &tree{files: map[string]treeFile{}, entries: map[datastore.UID][]string{}}
	return t, t.scan(top, "")
}

func (t *tree) scan(root *os.Root, prefix string) error {
	names, err := readNames(root, ".")
	if err != nil {
		return err
	}
	for _, name := range names {
		fi, err := root.Lstat(name)
		if err != nil {
			return err
		}
		full := path.Join(prefix, name)
		if err := allowed(full, fi); err != nil {
			t.foreign = append(t.foreign, foreign{full, err})
			continue
		}
		if !fi.IsDir() {
			t.add(full, fi)
			continue
		}
		sub, err := root.OpenRoot(name)
		if err != nil {
			return err
		}
		err = t.scan(sub, full)
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func allowed(name string, fi fs.FileInfo) error {
	if !fi.IsDir() && !fi.Mode().IsRegular() {
		return fmt.Errorf("%.80q is neither a file nor a folder (%s)", name, fi.Mode().Type())
	}
	if special := fi.Mode() & (fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky); special != 0 {
		return fmt.Errorf("%.80q has mode %s", name, fi.Mode())
	}
	return datastore.CheckFile(name, fi.IsDir(), fi.Size(), fi.Mode().Perm())
}

func (t *tree) add(name string, fi fs.FileInfo) {
	t.files[name] = treeFile{inodeOf(fi), fi.Size(), fi.ModTime().Unix()}
	if uid, ok := uidOf(name); ok {
		t.entries[uid] = append(t.entries[uid], name)
	}
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
