package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// Folder is an account's folder, opened.
type Folder struct {
	ID    AccountID
	root  *os.Root
	store *Store
	log   *slog.Logger
}

// Folder opens an account's folder. The caller closes it.
func (s *Store) Folder(id AccountID) (*Folder, error) {
	if _, err := s.Account(id); err != nil {
		return nil, err
	}
	root, err := s.root.OpenRoot(string(id))
	if err != nil {
		return nil, err
	}
	return &Folder{ID: id, root: root, store: s, log: s.log.With("account", id)}, nil
}

// Close lets the folder go.
func (f *Folder) Close() error { return f.root.Close() }

func (f *Folder) path(name string) string {
	return filepath.Join(f.store.dir, string(f.ID), name)
}

const (
	snapshotsDir = "snapshots"
	currentDir   = "current"
	latestLink   = "latest"
	// The locks: who changes current and snapshots, who changes account.json.
	folderLock  = ".lock"
	accountLock = ".account.lock"
)

// Snapshots lists the records of all snapshots, newest first.
func (f *Folder) Snapshots() ([]wire.Snapshot, error) {
	names, err := readNames(f.root, snapshotsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []wire.Snapshot
	for _, name := range names {
		id, err := ParseSnapshotID(name)
		if err != nil {
			continue // records, manifests, what is in the making
		}
		rec, err := f.record(id)
		if err != nil {
			// Never deleted, never used: an administrator has to look.
			f.log.Error("snapshot left out", "snapshot", id, "error", err)
			continue
		}
		list = append(list, rec)
	}
	if err := f.withPins(list); err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b wire.Snapshot) int {
		switch {
		case a.Seq > b.Seq:
			return -1
		case a.Seq < b.Seq:
			return 1
		}
		return 0
	})
	return list, nil
}

func (f *Folder) record(id SnapshotID) (wire.Snapshot, error) {
	var rec wire.Snapshot
	b, err := f.root.ReadFile(snapshotsDir + "/" + string(id) + ".json")
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		return rec, fmt.Errorf("%s.json: %w", id, err)
	}
	if rec.ID != string(id) {
		return rec, fmt.Errorf("%s.json: says it is of snapshot %q", id, rec.ID)
	}
	return rec, nil
}

func (f *Folder) writeRecord(rec wire.Snapshot) error {
	b, err := encodeRecord(rec)
	if err != nil {
		return err
	}
	return writeFile(f.root, snapshotsDir+"/"+rec.ID+".json", b, 0o600)
}

func encodeRecord(rec wire.Snapshot) ([]byte, error) {
	rec.Pinned = false // account.json says that
	b, err := json.Marshal(rec)
	return append(b, '\n'), err
}

// Snapshot opens the snapshot that ref names: an ID, or Latest. The caller
// closes it.
func (f *Folder) Snapshot(ref string) (*Snapshot, error) {
	var rec wire.Snapshot
	if ref == Latest {
		list, err := f.Snapshots()
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%w: nothing has been backed up yet", ErrNoSnapshot)
		}
		rec = list[0]
	} else {
		id, err := ParseSnapshotID(ref)
		if err != nil {
			return nil, err
		}
		rec, err = f.record(id)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s", ErrNoSnapshot, id)
		}
		if err != nil {
			return nil, err
		}
		one := []wire.Snapshot{rec}
		if err := f.withPins(one); err != nil {
			return nil, err
		}
		rec = one[0]
	}
	root, err := f.root.OpenRoot(snapshotsDir + "/" + rec.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoSnapshot, rec.ID)
	}
	if err != nil {
		return nil, err
	}
	return &Snapshot{Record: rec, root: root, folder: f}, nil
}

// Locked is a folder whose current and snapshots are ours to change.
type Locked struct {
	*Folder
	file *os.File
	// disk was opened before anything is written: see syncAll.
	disk   *os.File
	newest wire.Snapshot // no ID: there is none yet
}

// Lock takes the account for one session, or answers ErrInUse. What a cut left
// behind is swept, since nobody can be using it.
func (f *Folder) Lock() (*Locked, error) {
	file, ok, err := tryLock(f.root, folderLock)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrInUse
	}
	disk, err := f.root.Open(".")
	if err != nil {
		file.Close()
		return nil, err
	}
	l := &Locked{Folder: f, file: file, disk: disk}
	if err := l.mend(); err != nil {
		l.Unlock()
		return nil, err
	}
	return l, nil
}

// Unlock gives the account back; the folder stays open.
func (l *Locked) Unlock() {
	l.disk.Close()
	l.file.Close()
}

// mend brings the folder into a state that the invariants allow.
func (l *Locked) mend() error {
	// Nobody else has anything unfinished in here, but for account.json.
	account, err := waitLock(context.Background(), l.root, accountLock)
	if err != nil {
		return err
	}
	defer account.Close()
	for _, dir := range []string{".", snapshotsDir} {
		names, err := readNames(l.root, dir)
		if errors.Is(err, fs.ErrNotExist) {
			if err = l.root.Mkdir(dir, 0o700); err == nil {
				err = syncDir(l.root, ".")
			}
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if isTemp(name) || dir == snapshotsDir && l.orphan(name, names) {
				if err := l.root.RemoveAll(dir + "/" + name); err != nil {
					return err
				}
			}
		}
	}
	list, err := l.Snapshots()
	if err != nil || len(list) == 0 {
		return err
	}
	l.newest = list[0]
	return errors.Join(l.dropLists(), l.pointLatest(l.newest.ID))
}

// dropLists removes the lists of the older snapshots' entries. Each may be as
// large as the manifest, and is made again if somebody asks for it.
func (l *Locked) dropLists() error {
	names, err := readNames(l.root, snapshotsDir)
	for _, name := range names {
		if strings.HasSuffix(name, listSuffix) && name != l.newest.ID+listSuffix {
			err = errors.Join(err, l.root.Remove(snapshotsDir+"/"+name))
		}
	}
	return err
}

// orphan tells whether name, in snapshots/, is something that lies beside a
// snapshot which is not there.
func (l *Locked) orphan(name string, names []string) bool {
	for _, suffix := range []string{".manifest", ".json", listSuffix, damagedSuffix} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			_, err := ParseSnapshotID(base)
			return err == nil && !slices.Contains(names, base)
		}
	}
	return false
}

func (l *Locked) pointLatest(id string) error {
	target := snapshotsDir + "/" + id
	if have, err := l.root.Readlink(latestLink); err == nil && have == target {
		return nil
	}
	return replaceLink(l.root, target, latestLink)
}

// Confirm notes that the Journal is, now, what the newest snapshot holds; claim is
// that of the key which says so. Who was let in and has all of it has lost nothing.
func (l *Locked) Confirm(claim ClaimID) (wire.Snapshot, error) {
	if claim != "" {
		l.newest.Claim = string(claim)
	}
	// A clock that jumped back must not make the snapshot look older.
	l.newest.Confirmed = max(l.newest.Confirmed, l.store.now().Unix())
	return l.newest, l.writeRecord(l.newest)
}

// CurrentPath is the folder that rsync receives into.
func (l *Locked) CurrentPath() string { return l.path(currentDir) }

// newID is the moment's name, or that of a later second if it is taken.
func (l *Locked) newID(now time.Time) (SnapshotID, error) {
	names, err := readNames(l.root, snapshotsDir)
	if err != nil {
		return "", err
	}
	for ; ; now = now.Add(time.Second) {
		id := now.UTC().Format(snapshotLayout)
		if !slices.Contains(names, id) {
			return SnapshotID(id), nil
		}
	}
}
