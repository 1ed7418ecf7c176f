package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

const (
	shellRounds = 7
	shellRests  = 12 * time.Second // until what it does at its start is over
)

// shell measures what our extensions cost Sugar's shell: the time until its Journal
// is there, and its memory when it has come to rest.
func (b *bench) shell() error {
	sources, err := filepath.Abs("sugar")
	if err != nil {
		return err
	}
	start := b.table.row("Sugar's shell starts, until its Journal is there", seconds, "the shell without our extensions", 0)
	memory := b.table.row("memory of Sugar's shell at rest", megas, "the shell without our extensions", 0)
	for i := range shellRounds {
		for _, plain := range []bool{i%2 == 0, i%2 != 0} {
			took, resident, err := b.oneShell(filepath.Join(b.dir, fmt.Sprint("shell", i, plain)), sources, plain)
			if err != nil {
				return err
			}
			if plain {
				start.theirs, memory.theirs = append(start.theirs, took), append(memory.theirs, resident)
			} else {
				start.ours, memory.ours = append(start.ours, took), append(memory.ours, resident)
			}
		}
		fmt.Fprint(os.Stderr, ".")
	}
	more := b.table.row("Sugar's shell starts later, because of us", millis, "", 50)
	more.ours = []float64{median(start.ours) - median(start.theirs)}
	more = b.table.row("Sugar's shell is larger, because of us", megas, "", 5)
	more.ours = []float64{median(memory.ours) - median(memory.theirs)}
	return nil
}

// lookRounds is how often a snapshot is looked into, each time one that nobody has
// looked into before.
const lookRounds = 3

// look measures the click on the Journal's button until the first page of a
// snapshot is drawn. The person chooses the newest day as soon as it is there.
func (b *bench) look() (err error) {
	sources, err := filepath.Abs("sugar")
	if err != nil {
		return err
	}
	drive, err := filepath.Abs("test/sugar/drive")
	if err != nil {
		return err
	}
	row := b.table.row("Journal: from the click to a snapshot's page", millis, "", 500)
	for i := range lookRounds {
		if err := b.oneLook(filepath.Join(b.dir, fmt.Sprint("look", i)), sources, drive, row); err != nil {
			return err
		}
		fmt.Fprint(os.Stderr, ".")
	}
	return nil
}

func (b *bench) oneLook(dir, sources, drive string, row *row) (err error) {
	o, err := newOurs(b.ctx, dir, b.master, b.programs, with{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if err := o.backup(b.ctx); err != nil {
		return err
	}
	s, err := bed.StartShell(b.ctx, o.xo, sources, bed.ShellOptions{Env: bed.LogsTimes})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.AwaitJournal(b.ctx); err != nil {
		return err
	}
	if err := wait(b.ctx, shellRests); err != nil {
		return err
	}
	days, page, err := s.LookIntoSnapshot(b.ctx, drive)
	row.ours = append(row.ours, (days + page).Seconds())
	return err
}

func (b *bench) oneShell(dir, sources string, plain bool) (took, resident float64, err error) {
	x, err := bed.StartXO(b.ctx, dir, bed.Options{Binaries: b.programs})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	var s *bed.Shell
	took, err = timed(func() (err error) {
		if s, err = bed.StartShell(b.ctx, x, sources, bed.ShellOptions{Plain: plain}); err != nil {
			return err
		}
		return s.AwaitJournal(b.ctx)
	})
	if s != nil {
		defer func() { err = errors.Join(err, s.Close()) }()
	}
	if err != nil {
		return 0, 0, err
	}
	if err := wait(b.ctx, shellRests); err != nil {
		return 0, 0, err
	}
	return took, hold(s.PID()).rss, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
