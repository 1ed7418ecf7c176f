package datastore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// RefusedError says why Sugar's running datastore did not take an entry that is
// whole. What is there of it afterwards may be neither the old one nor the new.
type RefusedError struct {
	UID    UID
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("Sugar's datastore did not take entry %s: %s", e.UID, e.Reason)
}

// indexFlags are what Sugar's datastore takes for its index being complete.
var indexFlags = []string{"index_updated", "ds_clean"}

// Publish puts entries that Unpack has made into the datastore, in the place of
// those of the same uid. Sugar's service must not run meanwhile (see
// service.Client.Hold); when it starts next it rebuilds its index. The staged
// folders must be on the datastore's file system; they are used up.
//
// In this order, so that a power cut at any instant leaves each entry either
// as it was or as it shall be, and Sugar looking for both:
//
//  1. what is staged is synced;
//  2. the flags of the index are removed, durably: else Sugar would not see
//     what is put there behind its back;
//  3. each entry's folder gets its name at one instant;
//  4. all is synced, and only then what was replaced is deleted.
//
// On an error, ctx's included, what was published by then stays, whole.
func (s *Store) Publish(ctx context.Context, staged map[UID]string) error {
	if err := s.publish(ctx, staged); err != nil {
		return fmt.Errorf("datastore: publish: %w", err)
	}
	return nil
}

func (s *Store) publish(ctx context.Context, staged map[UID]string) error {
	if _, err := s.recover(); err != nil {
		return err
	}
	if err := syncAll(s.dir); err != nil {
		return err
	}
	if err := s.disk.step("staged"); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	marks, err := s.checksums()
	if err != nil {
		return err
	}
	var replaced []string
	for _, uid := range slices.Sorted(maps.Keys(staged)) {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = forget(marks[uid]); err != nil {
			break
		}
		var old string
		if old, err = s.place(uid, staged[uid]); err != nil {
			break
		}
		if old != "" {
			replaced = append(replaced, old)
		}
		if err = s.disk.step("placed"); err != nil {
			return err
		}
	}
	// A service that was on its way when it was stopped may have set them.
	err = errors.Join(err, s.removeFlags(), syncAll(s.dir))
	if err != nil {
		return err
	}
	if err := s.disk.step("synced"); err != nil {
		return err
	}
	for _, old := range replaced {
		err = errors.Join(err, os.RemoveAll(old))
	}
	return err
}

// prepare makes sure that Sugar will see the folder as a datastore of layout
// 6 that needs a new index.
func (s *Store) prepare() error {
	if err := setLayout(s.dir); err != nil {
		return err
	}
	if err := s.removeFlags(); err != nil {
		return err
	}
	if err := syncDir(s.dir); err != nil {
		return err
	}
	return s.disk.step("unflagged")
}

func (s *Store) removeFlags() error {
	for _, name := range indexFlags {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// place gives the staged folder its name. It returns where the entry that it
// replaces is now, if there was one.
func (s *Store) place(uid UID, staged string) (old string, err error) {
	folder := filepath.Join(s.dir, uid.folder())
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	path := filepath.Join(folder, string(uid))
	there, err := exists(path)
	if err != nil {
		return "", err
	}
	if !there {
		return "", os.Rename(staged, path)
	}
	if err := s.disk.exchange(staged, path); err == nil {
		return staged, nil
	} else if !errors.Is(err, errNoExchange) {
		return "", err
	}
	aside := asidePath(path)
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	if err := s.disk.step("aside"); err != nil {
		return "", err
	}
	if err := os.Rename(staged, path); err != nil {
		return "", errors.Join(err, os.Rename(aside, path))
	}
	return aside, nil
}

// asidePath is where an entry is between two renames. Sugar does not take a
// name of 37 characters for an entry.
func asidePath(path string) string {
	dir, uid := filepath.Split(path)
	return dir + "." + uid
}

// PublishPending tells whether there is something for Recover to do.
func (s *Store) PublishPending() (bool, error) {
	aside, err := s.aside()
	if err != nil {
		return false, fmt.Errorf("datastore: %w", err)
	}
	return len(aside) > 0, nil
}

// Recover puts right what a power cut has left of a Publish on a system that
// cannot exchange names: an entry between its two renames. Call it before Sugar
// may look, with the service held; it changes nothing if there is nothing to do.
func (s *Store) Recover() error {
	back, err := s.recover()
	if back {
		// Sugar may have run since, and made an index without it.
		err = errors.Join(err, s.prepare())
	}
	if err != nil {
		return fmt.Errorf("datastore: recover: %w", err)
	}
	return nil
}

// recover tells whether an entry is back.
func (s *Store) recover() (back bool, err error) {
	aside, err := s.aside()
	if err != nil {
		return false, err
	}
	for _, path := range aside {
		moved, err := restoreAside(path)
		back = back || moved
		if err != nil {
			return back, err
		}
	}
	return back, nil
}

// aside lists the entries that are between two renames: see asidePath.
func (s *Store) aside() ([]string, error) {
	// Not filepath.Glob: the path of the profile may hold brackets.
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var aside []string
	for _, f := range folders {
		if !f.IsDir() || len(f.Name()) != 2 {
			continue
		}
		names, err := os.ReadDir(filepath.Join(s.dir, f.Name()))
		if err != nil {
			continue // the look reports it
		}
		for _, d := range names {
			uid, ok := strings.CutPrefix(d.Name(), ".")
			if _, err := ParseUID(uid); ok && err == nil {
				aside = append(aside, filepath.Join(s.dir, f.Name(), d.Name()))
			}
		}
	}
	return aside, nil
}

func restoreAside(aside string) (moved bool, err error) {
	folder, name := filepath.Split(aside)
	path := filepath.Join(folder, name[1:])
	there, err := exists(path)
	if err != nil {
		return false, err
	}
	if there {
		return false, os.RemoveAll(aside)
	}
	if err := os.Rename(aside, path); err != nil {
		return false, err
	}
	return true, syncDir(folder)
}

// checksums finds the optimizer's marks, checksums/MD5/UID, by uid. A mark that
// outlives the data it speaks of makes Sugar replace another entry's data by a
// link to the wrong bytes.
func (s *Store) checksums() (map[UID][]string, error) {
	dir := filepath.Join(s.dir, "checksums")
	sums, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	marks := map[UID][]string{}
	for _, sum := range sums {
		if !sum.IsDir() || sum.Name() == "queue" {
			continue
		}
		names, err := os.ReadDir(filepath.Join(dir, sum.Name()))
		if err != nil {
			return nil, err
		}
		for _, d := range names {
			uid := UID(d.Name())
			marks[uid] = append(marks[uid], filepath.Join(dir, sum.Name(), d.Name()))
		}
	}
	return marks, nil
}

// forget removes marks, and the folders that it empties: the optimizer trusts
// that a folder there is never empty.
func forget(marks []string) error {
	for _, mark := range marks {
		if err := os.Remove(mark); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = os.Remove(filepath.Dir(mark)) // fails unless it is empty
	}
	return nil
}

// writeDurably replaces a small file by way of a temporary one.
func writeDurably(path, content string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(dir)
}
