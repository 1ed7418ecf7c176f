package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

const (
	againstRsync = "rsync -a --delete over OpenSSH, cp -al"
	changedEach  = 10 // entries
	repeats      = 2  // within a round
)

// journal writes the Journal that all but the memory is measured with. Each XO
// gets a copy that shares its files; nothing writes into them in place.
func (b *bench) journal() (err error) {
	b.master = filepath.Join(b.dir, "datastore")
	if b.uids, err = bed.WriteRaw(b.master, b.entries, 0, 1); err != nil {
		return err
	}
	var files, bytes int64
	err = filepath.WalkDir(b.master, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	b.notes = append(b.notes, fmt.Sprintf("the Journal: %d entries, %d files, %.1f MB", b.entries, files, float64(bytes)/1e6))
	return err
}

// times does everything that is timed, afresh in each round.
func (b *bench) times() error {
	for i := range b.rounds {
		if err := b.round(filepath.Join(b.dir, fmt.Sprint("round", i))); err != nil {
			return err
		}
		fmt.Fprint(os.Stderr, ".")
	}
	return nil
}

func (b *bench) round(dir string) (err error) {
	// Both work on this one Journal: the XO's.
	ours, err := newOurs(b.ctx, filepath.Join(dir, "ours"), b.master, b.programs, with{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close(), os.RemoveAll(dir)) }()
	journal := ours.xo.Datastore
	theirs, err := newRival(b.ctx, filepath.Join(dir, "theirs"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.close()) }()
	// The page cache is warm for both, and no round pays for the last one's writes.
	if _, err := bed.ReadDisk(journal); err != nil {
		return err
	}

	both := func(work string, goal float64) error {
		row := b.table.row(work, seconds, againstRsync, goal)
		return b.pair(row,
			func() error { return ours.backup(b.ctx) },
			func() error { return theirs.backup(b.ctx, journal, theirs.port) })
	}
	if err := both("first backup, verified and synced", 0.9); err != nil {
		return err
	}
	for range repeats {
		if err := both("backup, nothing changed", 0.3); err != nil {
			return err
		}
	}
	for i := range repeats {
		if err := bed.ChangeRaw(journal, b.uids[i*changedEach:(i+1)*changedEach], uint64(i)); err != nil {
			return err
		}
		used, err := sizes(ours.xs.Root, theirs.path("store"))
		if err != nil {
			return err
		}
		if err := both("backup, 10 entries changed", 0.4); err != nil {
			return err
		}
		now, err := sizes(ours.xs.Root, theirs.path("store"))
		if err != nil {
			return err
		}
		row := b.table.row("a snapshot's disk use, 10 entries changed", megas, "cp -al of the raw tree", 0.1)
		row.ours = append(row.ours, now[0]-used[0])
		row.theirs = append(row.theirs, now[1]-used[1])
	}
	before, err := bed.ReadDisk(journal)
	if err != nil {
		return err
	}
	return b.back(ours, theirs, before, filepath.Join(dir, "back"))
}

// back measures the full restore and looks at what came back.
func (b *bench) back(ours *ours, theirs *rival, before bed.Journal, empty string) error {
	if err := ours.xo.WipeJournal(b.ctx); err != nil {
		return err
	}
	row := b.table.row("full restore, verified and synced", seconds, "rsync -a back", 1.0)
	err := b.pair(row,
		func() error { return ours.restore(b.ctx) },
		func() error { return theirs.restore(b.ctx, empty) })
	if err != nil {
		return err
	}
	if pid, err := ours.xo.ServicePID(b.ctx, bed.DataStoreName); err != nil || pid != 0 {
		return fmt.Errorf("a restore by direct publish left Sugar's datastore running: %d %w", pid, err)
	}
	for name, folder := range map[string]string{"our restore": ours.xo.Datastore, "rsync": empty} {
		after, err := bed.ReadDisk(folder)
		if err != nil {
			return err
		}
		if err := before.Diff(after); err != nil {
			return fmt.Errorf("%s did not bring back what was there: %w", name, err)
		}
	}
	return nil
}

// pair times one run of each; who goes first changes, and what is dirty is
// written out before, so that neither pays for the other.
func (b *bench) pair(r *row, ours, theirs func() error) error {
	runs := []struct {
		do   func() error
		into *[]float64
	}{{ours, &r.ours}, {theirs, &r.theirs}}
	if len(r.ours)%2 == 1 {
		runs[0], runs[1] = runs[1], runs[0]
	}
	for _, run := range runs {
		if err := settle(b.dir); err != nil {
			return err
		}
		t, err := timed(run.do)
		if err != nil {
			return err
		}
		*run.into = append(*run.into, t)
	}
	return nil
}

// sizes is what each folder takes on disk, a file with several links once.
func sizes(dirs ...string) ([]float64, error) {
	type inode struct{ dev, ino uint64 }
	var all []float64
	for _, dir := range dirs {
		seen := map[inode]bool{}
		var blocks int64
		err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			s := info.Sys().(*syscall.Stat_t)
			if id := (inode{uint64(s.Dev), uint64(s.Ino)}); !seen[id] {
				seen[id] = true
				blocks += int64(s.Blocks)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, float64(blocks*512))
	}
	return all, nil
}
