package datastore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"sort"
	"sync"
	"time"
)

// Tree is a look's result as a travelling tree: an fs.FS whose files are made
// when they are opened. Of each entry it keeps a few hundred bytes.
//
// Opening a file fails with an *fs.PathError if the entry is no longer what the
// look saw: whoever reads the tree gets what its listing says, or nothing.
type Tree struct {
	store   *Store
	records []*record // sorted by uid
	journal []byte
	summary Summary

	mu   sync.Mutex
	open map[string]*shared // what is open at the moment
}

// Summary says what a look has found.
type Summary struct {
	// Digest is equal for equal trees.
	Digest         string
	Entries, Files int
	Bytes          int64 // of all files
	Damaged        []DamagedError
}

var (
	_ fs.ReadDirFS = (*Tree)(nil)
	_ fs.StatFS    = (*Tree)(nil)
)

// tree makes the tree of a look that is over.
func (k *look) tree(s *Store) (*Tree, error) {
	t := &Tree{store: s, records: k.records, open: map[string]*shared{}}
	j := Journal{Owner: k.options.Owner}
	for _, d := range k.damaged {
		if _, ok := t.find(d.UID); ok {
			continue
		}
		t.summary.Damaged = append(t.summary.Damaged, d)
		if _, err := ParseUID(string(d.UID)); err == nil {
			j.Kept = append(j.Kept, d.UID)
		}
	}
	sort.Slice(t.summary.Damaged, func(a, b int) bool { return t.summary.Damaged[a].UID < t.summary.Damaged[b].UID })
	var err error
	if t.journal, err = j.Encode(); err != nil {
		return nil, err
	}
	t.summarise()
	return t, nil
}

func (t *Tree) summarise() {
	digest := sha256.New()
	line := func(sum [32]byte, path string) { fmt.Fprintf(digest, "%x  %s\n", sum, path) }
	wroteJournal := false
	sum := &t.summary
	for _, r := range t.records {
		if !wroteJournal && r.uid.Path() > journalName {
			line(sha256.Sum256(t.journal), journalName)
			wroteJournal = true
		}
		line(r.cjson, r.uid.Path())
		sum.Entries++
		sum.Files++
		sum.Bytes += r.size
		if r.state.hasData() {
			sum.Files += parts(r.state.data.size)
			sum.Bytes += r.state.data.size
		}
	}
	if !wroteJournal {
		line(sha256.Sum256(t.journal), journalName)
	}
	sum.Files++
	sum.Bytes += int64(len(t.journal))
	sum.Digest = hex.EncodeToString(digest.Sum(nil))
}

// Summary says what the look has found.
func (t *Tree) Summary() Summary { return t.summary }

// EntryInfo is what a Tree knows of an entry without reading it again.
type EntryInfo struct {
	Version Version
	Bytes   int64 // of all its files
}

// Entries yields the entries of the tree, sorted by uid.
func (t *Tree) Entries() iter.Seq2[UID, EntryInfo] {
	return func(yield func(UID, EntryInfo) bool) {
		for _, r := range t.records {
			version := Version(hex.EncodeToString(r.version[:]))
			if !yield(r.uid, EntryInfo{version, r.size + r.state.data.size}) {
				return
			}
		}
	}
}

func (t *Tree) find(uid UID) (*record, bool) {
	i := sort.Search(len(t.records), func(i int) bool { return t.records[i].uid >= uid })
	if i < len(t.records) && t.records[i].uid == uid {
		return t.records[i], true
	}
	return nil, false
}

// inFolder are the records of one folder U.
func (t *Tree) inFolder(name string) []*record {
	from := sort.Search(len(t.records), func(i int) bool { return t.records[i].uid.shard() >= name })
	to := sort.Search(len(t.records), func(i int) bool { return t.records[i].uid.shard() > name })
	return t.records[from:to]
}

// Stat implements fs.StatFS.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	info, _, err := t.locate(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

// locate finds what name stands for: the record is that of its entry, if any.
func (t *Tree) locate(name string) (*info, *record, error) {
	if !fs.ValidPath(name) {
		return nil, nil, fs.ErrInvalid
	}
	p, err := parsePlace(name)
	if err != nil {
		return nil, nil, fs.ErrNotExist
	}
	switch p.kind {
	case top:
		return dirInfo("."), nil, nil
	case journal:
		return t.journalInfo(), nil, nil
	case folder:
		if len(t.inFolder(name)) == 0 {
			return nil, nil, fs.ErrNotExist
		}
		return dirInfo(name), nil, nil
	}
	r, ok := t.find(p.uid)
	if !ok {
		return nil, nil, fs.ErrNotExist
	}
	for _, f := range r.files() {
		if f.place == p {
			return f, r, nil
		}
	}
	return nil, nil, fs.ErrNotExist
}

// ReadDir implements fs.ReadDirFS.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	i, _, err := t.locate(name)
	if err == nil && !i.IsDir() {
		err = errors.New("it is no folder")
	}
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	var list []fs.DirEntry
	if i.place.kind == folder {
		for _, r := range t.inFolder(name) {
			for _, f := range r.files() {
				list = append(list, f)
			}
		}
		return list, nil
	}
	list = append(list, t.journalInfo())
	for i := 0; i < len(t.records); {
		folder := t.records[i].uid.shard()
		list = append(list, dirInfo(folder))
		i += len(t.inFolder(folder))
	}
	sort.Slice(list, func(a, b int) bool { return list[a].Name() < list[b].Name() })
	return list, nil
}

// files are the files of an entry, in order of their names.
func (r *record) files() []*info {
	uid := string(r.uid)
	list := make([]*info, 0, 2+len(r.parts))
	list = append(list, &info{
		place: place{kind: cjsonOf, uid: r.uid},
		name:  uid + ".cjson",
		size:  r.size,
		mtime: modSeconds(r.cjson),
	})
	if !r.state.hasData() {
		return list
	}
	for i, f := range dataFiles(r.uid, r.state.data.size) {
		in := &info{place: place{kind: dataOf, uid: r.uid}, name: path.Base(f.Path), size: f.Size, mtime: modSeconds(r.data)}
		if len(r.parts) > 0 {
			in.place.kind, in.place.part, in.mtime = partOf, i, r.parts[i]
		}
		list = append(list, in)
	}
	return list
}

func dirInfo(name string) *info {
	kind := folder
	if name == "." {
		kind = top
	}
	return &info{place: place{kind: kind}, name: name}
}

func (t *Tree) journalInfo() *info {
	return &info{
		place: place{kind: journal},
		name:  journalName,
		size:  int64(len(t.journal)),
		mtime: modSeconds(sha256.Sum256(t.journal)),
	}
}

// info is an fs.FileInfo and an fs.DirEntry.
type info struct {
	place place
	name  string
	size  int64
	mtime uint32 // of files
}

func (i *info) Name() string               { return i.name }
func (i *info) Size() int64                { return i.size }
func (i *info) IsDir() bool                { return i.place.kind == top || i.place.kind == folder }
func (i *info) Type() fs.FileMode          { return i.Mode().Type() }
func (i *info) Info() (fs.FileInfo, error) { return i, nil }
func (i *info) Sys() any                   { return nil }

func (i *info) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | dirPerm
	}
	return filePerm
}

func (i *info) ModTime() time.Time {
	if i.IsDir() {
		return dirTime
	}
	return time.Unix(int64(i.mtime), 0)
}
