package datastore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	storeName = "datastore"
	// swapMarker is in the profile while a Swap is under way, and after a power
	// cut in the midst of one.
	swapMarker = "datastore.swap"
)

// swapState is what the marker says: which folder is which, whatever its name
// is by now.
type swapState struct {
	Staged string `json:"staged"` // path of the folder that becomes the datastore, from the profile if it is below
	Keep   string `json:"keep"`   // name for the one that was, in the profile
	New    uint64 `json:"new"`    // inodes
	Old    uint64 `json:"old"`    // 0: there was none
}

// Swap makes the folder staged the profile's datastore and keeps the one that
// was there as profileDir/keep. staged is a path on the same file system. It
// holds entries that Unpack has made, as UU/UID, and nothing else; Swap adds the
// file version. Sugar's service must not run meanwhile (see service.Client.Hold).
//
// Where two names can be exchanged there is a datastore at every instant.
// Elsewhere there is none for a moment; if the power fails in it, RecoverSwap
// finishes what was begun. The new one is on the disk in full before it gets
// the name.
func Swap(profileDir, staged, keep string) error {
	if err := swap(realDisk(), profileDir, staged, keep); err != nil {
		return fmt.Errorf("swap of the datastore: %w", err)
	}
	return nil
}

func swap(d disk, profile, staged, keep string) error {
	if keep != filepath.Base(keep) || keep == "." || keep == ".." || keep == storeName || keep == swapMarker {
		return fmt.Errorf("%s cannot be a folder's name there", quote(keep))
	}
	if err := recoverSwap(d, profile); err != nil {
		return err
	}
	if there, err := exists(filepath.Join(profile, keep)); err != nil {
		return err
	} else if there {
		return fmt.Errorf("%s is already there: %w", keep, fs.ErrExist)
	}
	if _, err := Create(staged); err != nil {
		return err
	}
	state := swapState{Keep: keep}
	var err error
	if state.Staged, err = fromProfile(profile, staged); err != nil {
		return err
	}
	if state.New, err = inode(staged); err != nil {
		return err
	}
	if state.Old, err = inode(filepath.Join(profile, storeName)); err != nil {
		return err
	}
	if err := syncAll(profile); err != nil {
		return err
	}
	if err := d.step("staged"); err != nil {
		return err
	}
	if err := state.mark(profile); err != nil {
		return err
	}
	if err := d.step("marked"); err != nil {
		return err
	}
	return state.finish(d, profile)
}

func (s swapState) mark(profile string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(profile, swapMarker), string(b))
}

// fromProfile is a path that stays true if the profile's folder is moved.
func fromProfile(profile, path string) (string, error) {
	profile, err := filepath.Abs(profile)
	if err != nil {
		return "", err
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(profile, path); err == nil && filepath.IsLocal(rel) {
		return rel, nil
	}
	return path, nil
}

func (s swapState) stagedPath(profile string) string {
	if filepath.IsAbs(s.Staged) {
		return s.Staged
	}
	return filepath.Join(profile, s.Staged)
}

// finish does what is left to do. It looks at the folders and not at how far
// it came before, so it can begin anywhere.
func (s swapState) finish(d disk, profile string) error {
	store, staged := filepath.Join(profile, storeName), s.stagedPath(profile)
	there, err := inode(store)
	if err != nil {
		return err
	}
	switch {
	case there == s.New:
		// Done, but for what was replaced.
	case there == 0:
		if err := os.Rename(staged, store); err != nil {
			return err
		}
	default:
		if there != s.Old {
			// Sugar has begun an empty one while there was none: it is kept, too.
			s.Old = there
			if err := s.mark(profile); err != nil {
				return err
			}
		}
		if err := s.exchange(d, profile); err != nil {
			return err
		}
	}
	if err := d.step("exchanged"); err != nil {
		return err
	}
	if err := errors.Join(syncDir(profile), syncDir(filepath.Dir(staged))); err != nil {
		return err
	}
	if err := d.step("synced"); err != nil {
		return err
	}
	if err := s.keepOld(profile); err != nil {
		return err
	}
	if err := d.step("kept"); err != nil {
		return err
	}
	return endSwap(profile)
}

func (s swapState) exchange(d disk, profile string) error {
	store, staged := filepath.Join(profile, storeName), s.stagedPath(profile)
	err := d.exchange(staged, store)
	if !errors.Is(err, errNoExchange) {
		return err
	}
	aside := filepath.Join(profile, freeName(profile, s.Keep))
	if err := os.Rename(store, aside); err != nil {
		return err
	}
	if err := d.step("aside"); err != nil {
		return err
	}
	if err := os.Rename(staged, store); err != nil {
		return errors.Join(err, os.Rename(aside, store))
	}
	return nil
}

// keepOld gives the replaced datastore its name, if an exchange has left it
// under the staged one's.
func (s swapState) keepOld(profile string) error {
	staged := s.stagedPath(profile)
	there, err := inode(staged)
	if err != nil || there == 0 || there != s.Old {
		return err
	}
	if err := os.Rename(staged, filepath.Join(profile, freeName(profile, s.Keep))); err != nil {
		return err
	}
	// Both folders, in this order: no crash may leave it without a name.
	return errors.Join(syncDir(profile), syncDir(filepath.Dir(staged)))
}

// freeName is the name, or, if that is taken, the name with a number. After a
// power cut between two renames, Sugar may have begun an empty datastore before
// us: then there are two to keep.
func freeName(profile, name string) string {
	free := name
	for n := 2; ; n++ {
		if there, err := exists(filepath.Join(profile, free)); err != nil || !there {
			return free
		}
		free = name + "-" + strconv.Itoa(n)
	}
}

func endSwap(profile string) error {
	if err := os.Remove(filepath.Join(profile, swapMarker)); err != nil {
		return err
	}
	return syncDir(profile)
}

// SwapPending tells whether a Swap was cut off, so that RecoverSwap has
// something to do.
func SwapPending(profileDir string) bool {
	there, err := exists(filepath.Join(profileDir, swapMarker))
	return err != nil || there
}

// RecoverSwap finishes a Swap that was cut off, or undoes it if nothing had
// been moved yet; then the staged folder is where it was. Call it at start, with
// the service held if SwapPending; it may be called any number of times.
func RecoverSwap(profileDir string) error {
	if err := recoverSwap(realDisk(), profileDir); err != nil {
		return fmt.Errorf("recovery of a swap of the datastore: %w", err)
	}
	return nil
}

func recoverSwap(d disk, profile string) error {
	b, err := os.ReadFile(filepath.Join(profile, swapMarker))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s swapState
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%s: %w", swapMarker, err)
	}
	store, err := inode(filepath.Join(profile, storeName))
	if err != nil {
		return err
	}
	staged, err := inode(s.stagedPath(profile))
	if err != nil {
		return err
	}
	switch {
	case store != 0 && store == s.Old, // nothing was moved
		store != s.New && staged != s.New: // what was staged is gone: nothing to finish with
		return endSwap(profile)
	}
	return s.finish(d, profile)
}

// inode is the number of a folder, 0 if there is none.
func inode(path string) (uint64, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if err == unix.ENOENT {
		return 0, nil
	}
	if err != nil {
		return 0, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return 0, fmt.Errorf("%s is no folder", path)
	}
	return st.Ino, nil
}
