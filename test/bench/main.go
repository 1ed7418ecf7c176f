// The benchmark measures the product beside what a school would use in its
// place, in one run on one machine: rsync(1) of the raw datastore over stock
// OpenSSH with a cp -al for each snapshot, and Sugar's datastore-service for
// the time that a bus activation takes. It prints one table.
//
//	make bench
//
// Both sides work on the very same Journal, warm in the page cache, in turn,
// and each figure is the median of its runs. What is timed of ours is a
// method call to the daemon on the session bus until the answer that its job
// is done, verified and synced to disk; rsync(1) neither verifies nor syncs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

func main() {
	var c config
	bin := flag.String("bin", "bin", "the folder with the three programs")
	flag.IntVar(&c.rounds, "rounds", 3, "how often everything is done afresh")
	flag.IntVar(&c.entries, "entries", 1000, "how many entries the Journal has")
	flag.IntVar(&c.manyEntries, "many", 5000, "how many entries the Journal has that memory is measured with")
	flag.Int64Var(&c.bigFile, "big", 500<<20, "the size of one file among them")
	flag.StringVar(&c.only, "only", "", "measure only this part, say search")
	flag.StringVar(&c.in, "dir", os.TempDir(), "a folder on the disk to measure on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *bin, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type config struct {
	rounds, entries, manyEntries int
	bigFile                      int64
	in, only                     string
}

// bench is what all measurements share.
type bench struct {
	config
	ctx      context.Context
	dir      string
	programs bed.Binaries
	master   string // a Journal of c.entries
	uids     []string
	table    table
	notes    []string
}

func run(ctx context.Context, bin string, c config) (err error) {
	programs, err := bed.BinariesIn(bin)
	if err != nil {
		return fmt.Errorf("%w (make build?)", err)
	}
	alone, err := os.Open(bin)
	if err != nil {
		return err
	}
	defer alone.Close()
	if err := syscall.Flock(int(alone.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another benchmark runs, and both would be wrong: %w", err)
	}
	dir, what, remove, err := disk(ctx, c.in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	b := &bench{config: c, ctx: ctx, dir: dir, programs: programs, notes: []string{"measured on " + what}}
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"writing a Journal", b.journal},
		{"times", b.times},
		{"bytes on the wire", b.wire},
		{"fsyncs", b.syncs},
		{"activation", b.activation},
		{"recovery", b.recovery},
		{"memory", b.memory},
		{"search", b.search},
		{"shell", b.shell},
		{"look", b.look},
	} {
		if c.only != "" && part.name != c.only && part.name != "writing a Journal" {
			continue
		}
		start := time.Now()
		fmt.Fprintf(os.Stderr, "%-18s", part.name)
		if err := part.do(); err != nil {
			fmt.Fprintln(os.Stderr)
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Fprintf(os.Stderr, " took %.0f s\n", time.Since(start).Seconds())
	}
	missed := b.table.print(os.Stdout)
	for _, note := range b.notes {
		fmt.Println(note)
	}
	if missed > 0 {
		return fmt.Errorf("%d goals are missed", missed)
	}
	return nil
}
