package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

//go:embed xapian.py
var xapianBuild string

// searching is one XO with a large Journal that Sugar has indexed.
type searching struct {
	*bench
	xo   *bed.XO
	dir  string
	uids []string
}

const (
	bySugar  = "datastore-service"
	byXapian = "python3-xapian, one commit"
)

// search measures the index and what is asked of it, beside Sugar's own.
func (b *bench) search() (err error) {
	dir := filepath.Join(b.dir, "search")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	xo, err := bed.StartXO(b.ctx, filepath.Join(dir, "xo"), bed.Options{Binaries: b.programs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, xo.Close()) }()
	s := &searching{bench: b, xo: xo, dir: dir}
	if s.uids, err = bed.WriteRaw(xo.Datastore, b.manyEntries, 0, 500); err != nil {
		return err
	}
	for _, do := range []func() error{s.index, s.size, s.pages, s.changed} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// index measures how long it takes to build one.
func (s *searching) index() error {
	name := fmt.Sprintf("index %d entries", s.manyEntries)
	sugar := s.table.row(name, seconds, bySugar, 0.15)
	xapian := s.table.row(name+", again", seconds, byXapian, 1)
	memory := s.table.row("daemon's peak while it does", megas, "", 64)
	ours := func() error {
		pid, err := s.xo.ServicePID(s.ctx, bed.BackupName)
		if err != nil {
			return err
		}
		result, err := s.xo.Job(s.ctx, "Reindex")
		if err == nil {
			err = result.OK()
		}
		if pid != 0 {
			memory.ours = append(memory.ours, hold(pid).highWater)
		}
		return err
	}
	for n := range s.rounds {
		if err := s.fresh(); err != nil {
			return err
		}
		out := filepath.Join(s.dir, "xapian")
		err := s.pair(xapian, ours, func() error {
			cmd := exec.CommandContext(s.ctx, "/usr/bin/python3", "-c", xapianBuild, s.xo.Datastore, out)
			b, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("xapian: %w: %s", err, b)
			}
			return nil
		})
		if err == nil {
			err = os.RemoveAll(out)
		}
		if err != nil {
			return err
		}
		sugar.ours = append(sugar.ours, xapian.ours[n])
	}
	t, err := timed(s.sugarIndexes)
	sugar.theirs = append(sugar.theirs, t)
	return err
}

// fresh starts the daemon anew, so that its peak is of what comes now.
func (s *searching) fresh() error {
	if err := s.xo.StopService(s.ctx, bed.BackupName); err != nil {
		return err
	}
	var version dbus.Variant
	return s.xo.Backup().CallWithContext(s.ctx, "org.freedesktop.DBus.Properties.Get", 0, "org.laptop.Backup", "Version").Store(&version)
}

// sugarIndexes waits until Sugar's datastore has built its index.
func (s *searching) sugarIndexes() error {
	for begun := false; ; begun = true {
		if !begun {
			if _, err := s.xo.Find(s.ctx); err != nil { // starts it
				return err
			}
		}
		if _, err := os.Stat(filepath.Join(s.xo.Datastore, "index_updated")); err == nil {
			// The flag stands at moments before it is over, too.
			if _, n, err := s.find(s.xo.DataStore(), bed.DataStoreName, map[string]any{"uid": "none"}); err != nil || n == 0 {
				return err
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

func (s *searching) find(object dbus.BusObject, iface string, query map[string]any) (uids []string, count uint32, err error) {
	variants := map[string]dbus.Variant{}
	for key, value := range query {
		variants[key] = dbus.MakeVariant(value)
	}
	var found []map[string]dbus.Variant
	properties := []string{"activity", "activity_id", "buddies", "bundle_id", "creation_time", "filesize", "icon-color", "keep", "mime_type",
		"mountpoint", "mtime", "progress", "timestamp", "title", "uid"} // what the Journal asks for, but for the preview
	err = object.CallWithContext(s.ctx, iface+".find", 0, variants, properties).Store(&found, &count)
	for _, e := range found {
		uids = append(uids, e["uid"].Value().(string))
	}
	return uids, count, err
}

// size compares what both take on disk.
func (s *searching) size() error {
	if err := s.xo.StopService(s.ctx, bed.BackupName); err != nil { // it closes its index
		return err
	}
	all, err := sizes(filepath.Join(s.xo.Home, ".cache/xo-backupd/index"), filepath.Join(s.xo.Datastore, "index"))
	if err != nil {
		return err
	}
	row := s.table.row("the index on disk", megas, bySugar, 1)
	row.ours, row.theirs = all[:1], all[1:]
	return nil
}

// pages measures one page of a search, as somebody types.
func (s *searching) pages() error {
	const runs = 300
	journal := s.xo.Service(bed.BackupName, "/org/laptop/Backup/journal")
	middle := s.table.row("find a page of 20, over D-Bus: median", millis, bySugar, 1)
	worst := s.table.row("the same, 99th percentile", millis, bySugar, 1)
	var ours, theirs []float64
	for n := range runs {
		query := map[string]any{"query": []string{"draw*", "my dra*", "lorem tal*", "escuela*", "m*"}[n%5],
			"order_by": []string{"+timestamp"}, "limit": int32(20), "offset": int32(n % 3 * 20)}
		var here, there []string
		t, err := timed(func() (err error) { here, _, err = s.find(journal, bed.DataStoreName, query); return err })
		if err != nil {
			return err
		}
		ours = append(ours, t)
		if t, err = timed(func() (err error) { there, _, err = s.find(s.xo.DataStore(), bed.DataStoreName, query); return err }); err != nil {
			return err
		}
		theirs = append(theirs, t)
		if !slices.Equal(here, there) || len(here) == 0 {
			return fmt.Errorf("%v: %d entries, Sugar finds %d, or others", query, len(here), len(there))
		}
	}
	middle.ours, middle.theirs = ours, theirs
	at := func(all []float64) []float64 { return []float64{slices.Sorted(slices.Values(all))[runs*99/100]} }
	worst.ours, worst.theirs = at(ours), at(theirs)
	return nil
}

// changed measures from a change in Sugar's datastore until it is found.
func (s *searching) changed() error {
	row := s.table.row("one entry changed: until it is found", millis, "", 50)
	journal := s.xo.Service(bed.BackupName, "/org/laptop/Backup/journal")
	for n := range 20 {
		word := "changed" + strconv.Itoa(n)
		uid := s.uids[n*7]
		if err := s.xo.Update(s.ctx, uid, bed.Sample{Props: map[string][]byte{"title": []byte(strings.ToUpper(word)), "timestamp": []byte("1790000000")}}); err != nil {
			return err
		}
		t, err := timed(func() error {
			uids, _, err := s.find(journal, bed.DataStoreName, map[string]any{"query": word})
			if err == nil && !slices.Equal(uids, []string{uid}) {
				err = fmt.Errorf("%s is not found: %v", word, uids)
			}
			return err
		})
		if err != nil {
			return err
		}
		row.ours = append(row.ours, t)
	}
	return nil
}
