package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
)

// dirSpec is the Spec of SourceDir.
type dirSpec struct {
	Dir string `json:"dir"`
	// Only, if not null, are prefixes of the paths to send.
	Only []string `json:"only"`
}

// Dir is the Job that sends the folder dir, read-only. If only is not nil, just
// the files and folders whose path begins with one of its prefixes are sent,
// and the folders that lead there. Links and devices are never sent.
func Dir(dir string, only []string) Job {
	spec, _ := json.Marshal(dirSpec{Dir: dir, Only: only}) // strings always marshal
	return Job{Send: SourceDir, Spec: spec, Read: []string{dir}}
}

func openDir(_ context.Context, spec json.RawMessage, _ func(any)) (fs.FS, error) {
	var s dirSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, fmt.Errorf("spec of a folder: %w", err)
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, err
	}
	return &dirFS{root: root, only: distinct(s.Only)}, nil
}

// dirFS is a real folder without links and devices. It lives as long as the
// child.
type dirFS struct {
	root *os.Root
	only []string // sorted; nil: all

	mu   sync.Mutex
	open *sharedFile // the file that was opened last, if it still is
}

// distinct sorts prefixes and drops those that begin with another.
func distinct(prefixes []string) []string {
	slices.Sort(prefixes)
	kept := prefixes[:0]
	for _, p := range prefixes {
		if n := len(kept); n == 0 || !strings.HasPrefix(p, kept[n-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

func (d *dirFS) has(name string, dir bool) bool {
	if d.only == nil || name == "." {
		return true
	}
	i, found := slices.BinarySearch(d.only, name)
	if found || i > 0 && strings.HasPrefix(name, d.only[i-1]) {
		return true
	}
	return dir && i < len(d.only) && strings.HasPrefix(d.only[i], name+"/")
}

func plain(m fs.FileMode) bool { return m.IsDir() || m.IsRegular() }

func (d *dirFS) Stat(name string) (fs.FileInfo, error) {
	info, err := d.root.Lstat(name)
	if err == nil && !(plain(info.Mode()) && d.has(name, info.IsDir())) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return info, nil
}

func (d *dirFS) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(d.root.FS(), name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(e fs.DirEntry) bool {
		return !plain(e.Type()) || !d.has(path.Join(name, e.Name()), e.IsDir())
	}), nil
}

// Open shares a file that is open already: gokrazy reads each file twice at the
// same time, and both must see the same one when somebody replaces it.
func (d *dirFS) Open(name string) (fs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil && d.open.name == name && d.open.users > 0 {
		return d.open.use(), nil
	}
	info, err := d.Stat(name)
	if err != nil {
		return nil, err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	// What was there a moment ago may be something else by now.
	now, err := f.Stat()
	if err == nil && !os.SameFile(info, now) {
		err = pathError("open", name, fs.ErrNotExist)
	}
	if err != nil || now.IsDir() {
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	d.open = &sharedFile{fs: d, f: f, name: name, info: now}
	return d.open.use(), nil
}

// sharedFile is one open file with several readers.
type sharedFile struct {
	fs    *dirFS
	f     *os.File
	name  string
	info  fs.FileInfo
	users int // guarded by fs.mu
}

func (s *sharedFile) use() *sharedReader {
	s.users++
	return &sharedReader{file: s, SectionReader: io.NewSectionReader(s.f, 0, s.info.Size())}
}

type sharedReader struct {
	*io.SectionReader
	file *sharedFile
	once sync.Once
}

func (r *sharedReader) Stat() (fs.FileInfo, error) { return r.file.info, nil }

func (r *sharedReader) Close() (err error) {
	r.once.Do(func() {
		r.file.fs.mu.Lock()
		defer r.file.fs.mu.Unlock()
		if r.file.users--; r.file.users == 0 {
			err = r.file.f.Close()
		}
	})
	return err
}

func pathError(op, name string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// under shows a tree as the one entry name of a folder: what a stock client
// asks for when its path has no slash at the end.
type under struct {
	name string
	fsys fs.FS
}

func (u under) Open(name string) (fs.File, error) {
	rest, err := u.rest("open", name)
	if err != nil {
		return nil, err
	}
	return u.fsys.Open(rest)
}

func (u under) Stat(name string) (fs.FileInfo, error) {
	rest, err := u.rest("stat", name)
	if err != nil {
		return nil, err
	}
	return fs.Stat(u.fsys, rest)
}

func (u under) ReadDir(name string) ([]fs.DirEntry, error) {
	rest, err := u.rest("readdir", name)
	if err != nil {
		return nil, err
	}
	return fs.ReadDir(u.fsys, rest)
}

func (u under) rest(op, name string) (string, error) {
	if name == u.name {
		return ".", nil
	}
	if rest, ok := strings.CutPrefix(name, u.name+"/"); ok {
		return rest, nil
	}
	return "", pathError(op, name, fs.ErrNotExist)
}
