package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// wire counts the bytes of a backup that finds nothing changed, and of a first
// one, through the same counting proxy on both sides.
func (b *bench) wire() (err error) {
	dir := filepath.Join(b.dir, "wire")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ours, err := newOurs(b.ctx, filepath.Join(dir, "ours"), b.master, b.programs, with{line: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	theirs, err := newRival(b.ctx, filepath.Join(dir, "theirs"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.close()) }()

	for _, work := range []struct {
		name string
		unit unit
		goal float64
		runs int
	}{
		{"bytes on the wire, first backup", megas, 0, 1},
		{"bytes on the wire, nothing changed", kilos, 0.05, 3},
	} {
		row := b.table.row(work.name, work.unit, againstRsync, work.goal)
		for range work.runs {
			start := ours.line.Bytes()
			if err := ours.backup(b.ctx); err != nil {
				return err
			}
			row.ours = append(row.ours, float64(ours.line.Bytes()-start))
			n, err := theirs.counted(b.ctx, ours.xo.Datastore)
			if err != nil {
				return err
			}
			row.theirs = append(row.theirs, float64(n))
		}
	}
	return nil
}

// syncs counts fsync and its like, on both ends, by strace. With --seccomp-bpf it
// sees those that reach the kernel only, not those that the filter of our
// confined children answers before. rsync(1) without --fsync asks for none.
func (b *bench) syncs() (err error) {
	dir := filepath.Join(b.dir, "syncs")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	strace, err := exec.LookPath("strace") // the bus wants a whole path
	if err != nil {
		return err
	}
	daemon, server := filepath.Join(dir, "daemon.trace"), filepath.Join(dir, "server.trace")
	trace := func(file string) []string {
		return []string{strace, "-f", "--seccomp-bpf", "-qq", "-A", "-e", "signal=none",
			"-e", "trace=fsync,fdatasync,syncfs,sync,sync_file_range", "-o", file}
	}
	ours, err := newOurs(b.ctx, filepath.Join(dir, "ours"), b.master, b.programs,
		with{wrapDaemon: trace(daemon), wrapServer: trace(server)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	if _, err := calls(daemon, server); err != nil { // those of registering
		return err
	}
	for _, work := range []struct {
		name string
		do   func() error
	}{
		{"first backup", func() error { return ours.backup(b.ctx) }},
		{"nothing changed", func() error { return ours.backup(b.ctx) }},
		{"10 entries changed", func() error {
			return errors.Join(bed.ChangeRaw(ours.xo.Datastore, b.uids[:changedEach], 1), ours.backup(b.ctx))
		}},
		{"full restore", func() error { return errors.Join(ours.xo.WipeJournal(b.ctx), ours.restore(b.ctx)) }},
	} {
		if err := work.do(); err != nil {
			return err
		}
		n, err := calls(daemon, server)
		if err != nil {
			return err
		}
		row := b.table.row("fsyncs and their like, "+work.name, count, "", 0)
		row.ours = append(row.ours, float64(n[0]+n[1]))
		b.notes = append(b.notes, fmt.Sprintf("fsyncs, %s: %d on the XO, %d on the XS", work.name, n[0], n[1]))
	}
	return nil
}

// calls counts the calls in each trace and empties it for the next.
func calls(files ...string) (counts []int, err error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		n := 0
		for line := range bytes.Lines(text) {
			// A call that another thread interrupts has a second line: <... fsync resumed>
			if bytes.Contains(line, []byte("sync")) && !bytes.Contains(line, []byte("resumed>")) {
				n++
			}
		}
		counts = append(counts, n)
		if err := os.Truncate(file, 0); err != nil {
			return nil, err
		}
	}
	return counts, nil
}
