package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// activation is the time from a call on the bus that starts a service to its
// answer.
func (b *bench) activation() (err error) {
	dir := filepath.Join(b.dir, "activation")
	xo, err := bed.StartXO(b.ctx, dir, bed.Options{Binaries: b.programs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, xo.Close()) }()
	row := b.table.row("activation: a bus call until its answer", millis, "datastore-service", 0.15)
	for range 9 {
		if err := xo.StopService(b.ctx, bed.BackupName); err != nil {
			return err
		}
		var version dbus.Variant
		t, err := timed(func() error {
			return xo.Backup().CallWithContext(b.ctx, "org.freedesktop.DBus.Properties.Get", 0, "org.laptop.Backup", "Version").Store(&version)
		})
		if err != nil {
			return err
		}
		row.ours = append(row.ours, t)

		if err := xo.StopService(b.ctx, bed.DataStoreName); err != nil {
			return err
		}
		t, err = timed(func() error {
			return xo.DataStore().CallWithContext(b.ctx, bed.DataStoreName+".get_uniquevaluesfor", 0, "activity", map[string]dbus.Variant{}).Err
		})
		if err != nil {
			return err
		}
		row.theirs = append(row.theirs, t)
	}
	return nil
}

// memory measures the daemon with its children: at rest after a backup, and at
// its fullest during one of many entries with a big file among them.
func (b *bench) memory() (err error) {
	dir := filepath.Join(b.dir, "memory")
	master := filepath.Join(dir, "datastore")
	if _, err := bed.WriteRaw(master, b.manyEntries, b.bigFile, 300); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ours, err := newOurs(b.ctx, filepath.Join(dir, "ours"), master, b.programs, with{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	pid, err := ours.xo.ServicePID(b.ctx, bed.BackupName)
	if err != nil {
		return err
	}
	fresh := hold(pid)

	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	done := make(chan peak)
	go func() { done <- watch(ctx, pid) }()
	err = ours.backup(b.ctx)
	stop()
	top := <-done
	if err != nil {
		return err
	}
	select { // the runtime gives memory back when it has been idle for a moment
	case <-time.After(5 * time.Second):
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	rest := hold(pid)

	idle := b.table.row("daemon at rest, resident", megas, "", 16)
	idle.ours = []float64{max(fresh.rss, rest.rss)}
	most := b.table.row("daemon and children, peak, big backup", megas, "", 64)
	most.ours = []float64{top.highWater}
	b.notes = append(b.notes,
		fmt.Sprintf("at rest: %.1f MB before a backup, %.1f MB 5 s after one of %d entries with a file of %d MiB",
			fresh.rss/1e6, rest.rss/1e6, b.manyEntries, b.bigFile>>20),
		fmt.Sprintf("peak: the sum of the high-water marks (VmHWM) of all that ran at once; shared pages counted once (PSS) %.1f MB", top.pss/1e6))
	return nil
}

// held is what a process holds in memory, in bytes.
type held struct{ rss, highWater, pss float64 }

func hold(pid int) held {
	status := fmt.Sprintf("/proc/%d/status", pid)
	return held{
		rss:       field(status, "VmRSS:"),
		highWater: field(status, "VmHWM:"),
		pss:       field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:"),
	}
}

// field is a number of kB in a file of /proc.
func field(path, name string) float64 {
	text, _ := os.ReadFile(path)
	for line := range bytes.Lines(text) {
		if rest, ok := strings.CutPrefix(string(line), name); ok {
			kilos, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kilos * 1024
		}
	}
	return 0
}

type peak struct{ highWater, pss float64 }

// watch sums over a process and its descendants, again and again, and answers
// the highest sums. High-water marks cannot be missed between two looks as
// momentary sizes can.
func watch(ctx context.Context, pid int) peak {
	var p peak
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var now peak
		for _, pid := range family(pid) {
			h := hold(pid)
			now.highWater += h.highWater
			now.pss += h.pss
		}
		p = peak{max(p.highWater, now.highWater), max(p.pss, now.pss)}
		select {
		case <-ctx.Done():
			return p
		case <-tick.C:
		}
	}
}

// family is a process and all that descend from it.
func family(pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, family(child)...)
			}
		}
	}
	return all
}
