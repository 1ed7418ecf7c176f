package store

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// link is a file of a tree to be hard-linked from the tree in the folder from.
type link struct{ from, path string }

// linkAll hard-links files into the folder to, which exists and is empty. All
// folders of a tree have the time 1, so that rsync has nothing to say of them.
func (l *Locked) linkAll(links []link, to string) error {
	slices.SortFunc(links, func(a, b link) int { return strings.Compare(a.path, b.path) })
	top, err := l.root.Open(to)
	if err != nil {
		return err
	}
	defer top.Close()
	from := &openDirs{root: l.root}
	defer from.close()
	for i := 0; i < len(links); {
		n, sub := i, path.Dir(links[i].path)
		for n < len(links) && path.Dir(links[n].path) == sub {
			n++
		}
		if err := linkFolder(from, links[i:n], top, sub); err != nil {
			return err
		}
		if i <= len(links)/2 && n > len(links)/2 {
			l.store.step("half linked")
		}
		i = n
	}
	return setDirTime(top, ".")
}

// linkFolder links the files of one folder of the tree.
func linkFolder(from *openDirs, links []link, top *os.File, sub string) error {
	dst := top
	if sub != "." {
		if err := unix.Mkdirat(int(top.Fd()), sub, 0o755); err != nil {
			return &fs.PathError{Op: "mkdir", Path: sub, Err: err}
		}
		var err error
		if dst, err = openDirAt(top, sub); err != nil {
			return err
		}
		defer dst.Close()
		if err := dst.Chmod(0o755); err != nil { // whatever the umask
			return err
		}
	}
	defer from.close()
	for _, link := range links {
		src, err := from.open(path.Join(link.from, sub))
		if err != nil {
			return err
		}
		name := path.Base(link.path)
		if err := unix.Linkat(int(src.Fd()), name, int(dst.Fd()), name, 0); err != nil {
			return &os.LinkError{Op: "link", Old: link.from + "/" + link.path, New: top.Name() + "/" + link.path, Err: err}
		}
	}
	return setDirTime(top, sub)
}

func setDirTime(parent *os.File, name string) error {
	one := []unix.Timespec{{Sec: 1}, {Sec: 1}}
	if err := unix.UtimesNanoAt(int(parent.Fd()), name, one, 0); err != nil {
		return &fs.PathError{Op: "utimes", Path: name, Err: err}
	}
	return nil
}

func (l *Locked) mkdir(name string) error {
	if err := l.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return l.root.Chmod(name, 0o755) // whatever the umask
}

// openDirAt opens a folder in a folder, and no link to one.
func openDirAt(parent *os.File, name string) (*os.File, error) {
	for {
		fd, err := unix.Openat(int(parent.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: parent.Name() + "/" + name, Err: err}
		}
		return os.NewFile(uintptr(fd), parent.Name()+"/"+name), nil
	}
}

// openDirs keeps the few folders open that files are linked from.
type openDirs struct {
	root *os.Root
	dirs map[string]*os.File
}

func (o *openDirs) open(name string) (*os.File, error) {
	if f, ok := o.dirs[name]; ok {
		return f, nil
	}
	f, err := o.root.Open(name)
	if err != nil {
		return nil, err
	}
	if o.dirs == nil {
		o.dirs = map[string]*os.File{}
	}
	o.dirs[name] = f
	return f, nil
}

func (o *openDirs) close() {
	for _, f := range o.dirs {
		f.Close()
	}
	clear(o.dirs)
}
