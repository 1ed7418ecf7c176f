package store

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// damagedSuffix is that of the list, beside a snapshot, of those of its files
// that a Verifier has found not to be what they were. It is the one thing that
// says so of a file whose size and time are as they should be.
const damagedSuffix = ".damaged"

// DamagedError says of a snapshot that nobody can tell any more what is in it.
type DamagedError struct{ Snapshot, Why string }

func (e *DamagedError) Error() string {
	return fmt.Sprintf("backup %s is damaged: %s", e.Snapshot, e.Why)
}

// damage makes a DamagedError of what went wrong with a file beside a snapshot,
// unless the fault is not the file's.
func damage(id, what string, err error) error {
	var file *fs.PathError
	if errors.As(err, &file) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EIO) {
		return err
	}
	return &DamagedError{id, fmt.Sprintf("%s: %v", what, err)}
}

// state is a snapshot as it lies on the disk now.
type state struct {
	sums Manifest
	tree *tree
	// bad are the files that are not what they were, and why not.
	bad map[string]string
	// whole: there are none, and the manifest is what the record says.
	whole bool
}

// state looks which files of the snapshot are still what they were, as far as
// that shows without reading them: their times are made of their sums, the record
// has the size of them all, and the last verification has noted what it found.
func (s *Snapshot) state() (*state, error) {
	st := &state{bad: map[string]string{}}
	var err error
	if st.sums, err = s.Manifest(); err != nil {
		return nil, err
	}
	if st.tree, err = scanTree(s.folder.root, s.Ref()); err != nil {
		return nil, err
	}
	marked, err := s.folder.marked(s.Record.ID)
	if err != nil {
		return nil, err
	}
	size := int64(0)
	for path, sum := range st.sums {
		f, ok := st.tree.files[path]
		size += f.size
		switch {
		case !ok:
			st.bad[path] = path + " is missing at school"
		case f.mtime != datastore.ModTime(sum).Unix():
			st.bad[path] = path + " was changed at school"
		case marked[path]:
			st.bad[path] = path + " was found damaged at school"
		}
	}
	if size != s.Record.Bytes {
		s.compareSizes(st)
	}
	st.whole = len(st.bad) == 0 && size == s.Record.Bytes && st.sums.Digest() == s.Record.Digest
	return st, nil
}

// compareSizes finds the files whose size is wrong: those of metadata by reading
// them, the others by what the metadata says.
func (s *Snapshot) compareSizes(st *state) {
	for path, sum := range st.sums {
		if !strings.HasSuffix(path, cjsonSuffix) {
			continue
		}
		if got, err := sumFile(s.root, path); err != nil || got != sum {
			st.bad[path] = path + " was changed at school"
		}
	}
	for _, uid := range st.sums.uids() {
		e, _, err := datastore.ReadEntry(s.FS(), uid)
		if err != nil {
			continue // its metadata is bad
		}
		for _, f := range e.Files() {
			if st.tree.files[f.Path].size != f.Size {
				st.bad[f.Path] = f.Path + " has another size at school"
			}
		}
	}
}

// lost are the entries of which a file is bad, and why.
func (st *state) lost() map[datastore.UID]string {
	lost := map[datastore.UID]string{}
	for path, why := range st.bad {
		if uid, ok := uidOf(path); ok {
			lost[uid] = why
		}
	}
	return lost
}

// mark notes which files of the snapshot are damaged; none is good news.
func (s *Snapshot) mark(damaged []string) error {
	name := s.Ref() + damagedSuffix
	if len(damaged) == 0 {
		err := s.folder.root.Remove(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	list := []byte(strings.Join(damaged, "\n") + "\n")
	for try := 1; ; try++ {
		// Whoever verifies need not be who serves, and has to be understood.
		err := writeFile(s.folder.root, name, list, 0o644)
		if try == 3 || !errors.Is(err, fs.ErrNotExist) { // a session that begins sweeps temporary files away
			return err
		}
	}
}

// marked answers the files of a snapshot that were found damaged.
func (f *Folder) marked(id string) (map[string]bool, error) {
	file, err := f.root.Open(snapshotsDir + "/" + id + damagedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	paths := map[string]bool{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		paths[lines.Text()] = true
	}
	return paths, lines.Err()
}

// Holds tells whether the tree that the digest names is what the newest snapshot
// holds, whole: a snapshot that was damaged at school is not confirmed, so that
// what the laptop still has is fetched.
func (l *Locked) Holds(digest string) bool {
	if l.newest.ID == "" || l.newest.Digest != digest {
		return false
	}
	snap, err := l.Snapshot(l.newest.ID)
	if err == nil {
		defer snap.Close()
		var st *state
		if st, err = snap.state(); err == nil && st.whole {
			return true
		}
		if err == nil {
			err = fmt.Errorf("%d of its files are not what they were", len(st.bad))
		}
	}
	l.log.Error("the newest snapshot is damaged, and not confirmed", "snapshot", l.newest.ID, "error", err)
	return false
}

// dropMarked removes from current the files that it shares with a snapshot in
// which they were found damaged: by size and time they are right, so that rsync
// would not send them.
func (l *Locked) dropMarked(t *tree) error {
	names, err := readNames(l.root, snapshotsDir)
	if err != nil {
		return err
	}
	var wrong []string
	for _, name := range names {
		id, ok := strings.CutSuffix(name, damagedSuffix)
		if !ok {
			continue
		}
		marked, err := l.marked(id)
		if err != nil {
			return err
		}
		for path := range marked {
			fi, err := l.root.Lstat(snapshotsDir + "/" + id + "/" + path)
			if f, there := t.files[path]; err == nil && there && sigOf(fi).inode == f.inode {
				wrong = append(wrong, path)
				delete(t.files, path)
			}
		}
	}
	if len(wrong) > 0 {
		l.log.Warn("files are fetched anew, since they were found damaged here", "files", len(wrong))
	}
	return l.drop(wrong)
}
