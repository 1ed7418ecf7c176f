package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// unmatchedFile remembers an offer that did not come out as it was offered.
const unmatchedFile = ".unmatched"

// unmatched says of which tree, and which of its entries did not arrive whole
// (none: that is not known).
type unmatched struct {
	Digest string          `json:"digest"`
	UIDs   []datastore.UID `json:"uids"`
}

// Held is how much of a tree current has already.
type Held struct {
	Files int
	Bytes int64
}

// Prepare makes current ready to receive the tree that the digest offered
// names: what a cut left stays, since rsync goes on from there, but what has no
// place in a tree goes.
func (l *Locked) Prepare(offered string) (has Held, err error) {
	if err := l.seed(); err != nil {
		return has, err
	}
	t, err := scanTree(l.root, currentDir)
	if err != nil {
		return has, err
	}
	for _, f := range t.foreign {
		l.log.Warn("removed from current", "path", f.path, "why", f.why)
		if err := l.root.RemoveAll(currentDir + "/" + f.path); err != nil {
			return has, err
		}
	}
	if err := l.dropMarked(t); err != nil {
		return has, err
	}
	has.Files = len(t.files)
	for _, f := range t.files {
		has.Bytes += f.size
	}
	return has, l.forget(t, offered)
}

// seed makes a current that is not there out of the latest snapshot, so that
// not everything has to be sent again.
func (l *Locked) seed() error {
	fi, err := l.root.Lstat(currentDir)
	if err == nil && fi.IsDir() {
		return nil
	}
	if err == nil {
		err = l.root.Remove(currentDir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp := tempName()
	if err := l.mkdir(temp); err != nil {
		return err
	}
	base, err := l.base()
	if err != nil {
		return err
	}
	var links []link
	for path := range base.sums {
		links = append(links, link{from: base.dir, path: path})
	}
	if err := l.linkAll(links, temp); err != nil {
		return err
	}
	return l.root.Rename(temp, currentDir)
}

// forget removes from current what makes the same offer fail again and again.
// rsync takes a file of the same size and time for the same file; times are 31
// bits of the content's sum, so once in two thousand million changes it is not.
func (l *Locked) forget(t *tree, offered string) error {
	b, err := l.root.ReadFile(unmatchedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var u unmatched
	if err := json.Unmarshal(b, &u); err != nil || u.Digest != offered {
		return nil
	}
	var again []string
	for _, uid := range u.UIDs {
		again = append(again, t.entries[uid]...)
	}
	if len(u.UIDs) == 0 {
		for path := range t.files {
			if strings.HasSuffix(path, cjsonSuffix) {
				again = append(again, path)
			}
		}
	}
	l.log.Warn("files are fetched anew, since the last copy of the same Journal did not match", "files", len(again))
	return l.drop(again)
}

// drop removes files from current, so that they are sent again.
func (l *Locked) drop(paths []string) error {
	for _, path := range paths {
		if err := l.root.Remove(currentDir + "/" + path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// GiveBack removes from current what no snapshot has: it takes room that others
// need, and files that are to be replaced need room beside them.
func (l *Locked) GiveBack() error {
	t, err := scanTree(l.root, currentDir)
	if err != nil {
		return err
	}
	var own []string
	for _, f := range t.foreign { // such as a file that has arrived in part
		own = append(own, f.path)
	}
	for path, f := range t.files {
		if !f.shared {
			own = append(own, path)
		}
	}
	for _, path := range own {
		if err := l.root.RemoveAll(currentDir + "/" + path); err != nil {
			return err
		}
	}
	l.log.Warn("removed from current what did not fit the disk", "files", len(own))
	return nil
}

// remember notes whether what arrived is what was offered.
func (l *Locked) remember(u unmatched, arrived string) error {
	if u.Digest == arrived {
		err := l.root.Remove(unmatchedFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return writeFile(l.root, unmatchedFile, b, 0o600)
}
