package datastore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	replacedPrefix = storeName + ".replaced-"
	replacedFor    = 7 * 24 * time.Hour
)

// ReplacedName is a name for Swap to keep a replaced datastore under, that is
// not taken yet: datastore.replaced-2026-11-23.
func ReplacedName(profileDir string, day time.Time) string {
	return freeName(profileDir, replacedPrefix+day.Format(time.DateOnly))
}

// PruneReplaced removes replaced datastores that are older than a week, and
// younger ones, oldest first, until room bytes are free; none of these where not
// even all of them would make so much room. It returns their names.
//
// An XO's clock may have stood at 1970 when one was replaced: a day before the
// first XO is no day, and its week begins now.
func PruneReplaced(profileDir string, now time.Time, room int64) (removed []string, err error) {
	names, err := os.ReadDir(profileDir)
	if err != nil {
		return nil, fmt.Errorf("replaced datastores: %w", err)
	}
	var kept []string
	for _, d := range names {
		day, ok := replacedDay(d.Name())
		if !ok || !d.IsDir() {
			continue
		}
		switch {
		case !plausible(now):
			kept = append(kept, d.Name())
		case !plausible(day):
			name, renameErr := redate(profileDir, d.Name(), now)
			err = errors.Join(err, renameErr)
			kept = append(kept, name)
		case now.Sub(day) > replacedFor:
			err = errors.Join(err, os.RemoveAll(filepath.Join(profileDir, d.Name())))
			removed = append(removed, d.Name())
		default:
			kept = append(kept, d.Name())
		}
	}
	slices.Sort(kept)
	if !enough(profileDir, kept, room) {
		return removed, err
	}
	for _, name := range kept {
		if free(profileDir) >= room {
			break
		}
		err = errors.Join(err, os.RemoveAll(filepath.Join(profileDir, name)))
		removed = append(removed, name)
	}
	return removed, err
}

// enough tells whether room bytes would be free without the folders of those
// names.
func enough(profileDir string, names []string, room int64) bool {
	have := free(profileDir)
	for _, name := range names {
		if have >= room {
			break
		}
		have += diskUse(filepath.Join(profileDir, name))
	}
	return have >= room
}

// diskUse is how much disk a folder takes up. Entries with the same data share
// a file.
func diskUse(dir string) (bytes int64) {
	shared := map[uint64]bool{}
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err != nil || unix.Lstat(path, &st) != nil || shared[st.Ino] {
			return nil
		}
		if st.Nlink > 1 {
			shared[st.Ino] = true
		}
		bytes += st.Blocks * 512
		return nil
	})
	return bytes
}

func replacedDay(name string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, replacedPrefix)
	if !ok || len(rest) < len(time.DateOnly) {
		return time.Time{}, false
	}
	day, err := time.Parse(time.DateOnly, rest[:len(time.DateOnly)])
	return day, err == nil
}

func plausible(t time.Time) bool { return t.Year() >= 2007 }

func redate(profileDir, name string, now time.Time) (string, error) {
	to := ReplacedName(profileDir, now)
	if err := os.Rename(filepath.Join(profileDir, name), filepath.Join(profileDir, to)); err != nil {
		return name, err
	}
	return to, nil
}

// free is how much may be written to the disk, in bytes.
func free(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
