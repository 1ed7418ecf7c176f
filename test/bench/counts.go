package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	theirs, err := newRival(b.ctx, filepath.Join(dir, "theirs"), nil)
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
// confined children answers before.
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
	trace := func(name string) []string {
		return []string{strace, "-f", "--seccomp-bpf", "-qq", "-A", "-e", "signal=none",
			"-e", "trace=fsync,fdatasync,syncfs,sync,sync_file_range", "-o", filepath.Join(dir, name+".trace")}
	}
	ours, err := newOurs(b.ctx, filepath.Join(dir, "ours"), b.master, b.programs,
		with{wrapDaemon: trace("daemon"), wrapServer: trace("server")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	theirs, err := newRival(b.ctx, filepath.Join(dir, "theirs"), trace("theirs"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.close()) }()

	empty := filepath.Join(dir, "back")
	for _, work := range []struct {
		name         string
		ours, theirs func() error
	}{
		{"first backup",
			func() error { return ours.backup(b.ctx) },
			func() error { return theirs.backup(b.ctx, ours.xo.Datastore, theirs.port) }},
		{"full restore",
			func() error {
				return errors.Join(ours.xo.WipeJournal(b.ctx), ours.restore(b.ctx))
			},
			func() error { return theirs.restore(b.ctx, empty) }},
	} {
		if err := work.theirs(); err != nil { // first: it reads the Journal that ours then wipes
			return err
		}
		if err := work.ours(); err != nil {
			return err
		}
		row := b.table.row("fsyncs and their like, "+work.name, count, "rsync(1) asks for none", 0)
		daemon, err1 := calls(filepath.Join(dir, "daemon.trace"))
		server, err2 := calls(filepath.Join(dir, "server.trace"))
		rivals, err3 := calls(filepath.Join(dir, "theirs.trace"))
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		row.ours = append(row.ours, float64(daemon+server))
		row.theirs = append(row.theirs, float64(rivals))
		b.notes = append(b.notes, fmt.Sprintf("fsyncs, %s: %d on the XO, %d on the XS", work.name, daemon, server))
	}
	return nil
}

// calls counts the calls in a trace and empties it for the next.
func calls(path string) (n int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		// A call that another thread interrupts has a second line: <... fsync resumed>
		if bytes.Contains(line, []byte("sync")) && !bytes.Contains(line, []byte("resumed>")) {
			n++
		}
	}
	return n, os.Truncate(path, 0)
}
