package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// demo is what the steps share.
type demo struct {
	ctx     context.Context
	out     io.Writer
	entries int

	xs     *bed.XS
	xo     *bed.XO
	before bed.Journal
	files  int // on the XO's disk
	number int
	took   []string
}

func (d *demo) fill() error {
	if _, err := d.xo.FillJournal(d.ctx, d.entries, 1); err != nil {
		return err
	}
	var err error
	if d.before, err = d.xo.ReadJournal(d.ctx); err != nil {
		return err
	}
	var size int64
	d.files, size, err = measure(d.xo.Datastore)
	d.say("%d entries by DataStore.create: titles in many scripts, previews, files", len(d.before))
	d.say("%s in %d files on its disk", mega(size), d.files)
	return err
}

func (d *demo) register() error {
	if err := d.command("xo-backup", "register"); err != nil {
		return err
	}
	account, err := d.xo.Backup().GetProperty("org.laptop.Backup.Account")
	if err != nil {
		return err
	}
	d.say("the school knows this XO as account %v", account.Value())
	return nil
}

func (d *demo) backUp() error { return d.command("xo-backup", "now") }

func (d *demo) backUpAgain() error {
	if err := d.command("xo-backup", "now"); err != nil {
		return err
	}
	snapshots, err := filepath.Glob(filepath.Join(d.xs.Root, "*", "snapshots", "*.manifest"))
	if err == nil && len(snapshots) != 1 {
		return fmt.Errorf("nothing had changed, but there are %d snapshots", len(snapshots))
	}
	d.say("nothing had changed: the snapshot is confirmed, no second one is made")
	return err
}

func (d *demo) list() error {
	if err := d.command("xo-backup", "list"); err != nil {
		return err
	}
	files, size, err := measure(filepath.Join(d.xs.Root, d.xo.Options.Serial, "snapshots"))
	d.say("on the server's disk: %s in %d files, where the laptop had %d", mega(size), files, d.files)
	return err
}

func (d *demo) lose() error {
	if err := d.xo.WipeJournal(d.ctx); err != nil {
		return err
	}
	found, err := d.xo.Find(d.ctx)
	if err == nil && len(found) != 0 {
		err = fmt.Errorf("%d entries are still there", len(found))
	}
	d.say("rm -r %s", filepath.Join("~/.sugar/default", filepath.Base(d.xo.Datastore)))
	d.say("the datastore finds %d entries", len(found))
	return err
}

// restore asks as any program on the bus can.
func (d *demo) restore() error {
	send := func(words ...string) (string, error) {
		words = append([]string{"--session", "--print-reply=literal", "--reply-timeout=600000",
			"--dest=org.laptop.Backup", "/org/laptop/Backup"}, words...)
		d.say("$ dbus-send … %s", strings.Join(words[5:], " "))
		out, err := d.run("dbus-send", words...)
		return strings.Join(strings.Fields(out), " "), err
	}
	job, err := send("org.laptop.Backup.Restore", "string:")
	if err != nil {
		return err
	}
	d.say("%s", job)
	result, err := send("org.laptop.Backup.Wait", "objpath:"+job)
	if err != nil {
		return err
	}
	d.say("%s", result)
	if !strings.HasPrefix(result, "done") {
		return errors.New(result)
	}
	return nil
}

func (d *demo) find() error {
	found, err := d.xo.Find(d.ctx)
	if err != nil {
		return err
	}
	d.say("the datastore finds %d entries, among them", len(found))
	var some []map[string]dbus.Variant
	var count uint32
	err = d.xo.DataStore().CallWithContext(d.ctx, bed.DataStoreName+".find", 0,
		map[string]dbus.Variant{"limit": dbus.MakeVariant(5)}, []string{"title", "mime_type"}).Store(&some, &count)
	for _, entry := range some {
		title, _ := entry["title"].Value().(string)
		d.say("  %-24s %v", strings.Join(strings.Fields(title), " "), entry["mime_type"].Value())
	}
	return err
}

func (d *demo) compare() error {
	after, err := d.xo.ReadJournal(d.ctx)
	if err != nil {
		return err
	}
	// The checksum is the datastore's own note, which it makes when it has time.
	if err := d.before.Diff(after, "checksum"); err != nil {
		return err
	}
	properties := 0
	for _, entry := range after {
		properties += len(entry.Props)
	}
	d.say("%d entries, %d properties, %s: byte for byte what they were", len(after), properties, mega(after.Bytes()))
	return nil
}

// reflash makes the laptop one that was never used: only its firmware still knows
// which it is.
func (d *demo) reflash() error {
	if err := d.xo.Reflash(d.ctx); err != nil {
		return err
	}
	d.say("its home is empty: no Journal, no profile, no keys")
	return d.xo.PointAt(d.xs)
}

// recover is what the child does.
func (d *demo) recover() error {
	d.say("$ xo-backup recover")
	out, err := d.xo.Command(d.ctx, d.xo.Options.Binaries.Command, "recover").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		d.say("%s", strings.TrimRight(line, "\n"))
	}
	if err != nil {
		return err
	}
	return d.compare()
}

// command runs one of our programs on the XO and shows what it says.
func (d *demo) command(name string, args ...string) error {
	d.say("$ %s %s", name, strings.Join(args, " "))
	out, err := d.run(d.xo.Options.Binaries.Command, args...)
	for line := range strings.Lines(out) {
		d.say("%s", strings.TrimRight(line, "\n"))
	}
	return err
}

func (d *demo) run(name string, args ...string) (string, error) {
	cmd := d.xo.Command(d.ctx, name, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.String(), nil
}

// step shows one step: its number and name, what it has to say, its time.
func (d *demo) step(name string, do func() error) error {
	d.number++
	fmt.Fprintf(d.out, "\n%2d  %s\n", d.number, strings.ToUpper(name[:1])+name[1:])
	start := time.Now()
	err := do()
	took := time.Since(start).Seconds()
	if err == nil {
		d.say("%.2f s", took)
	}
	d.took = append(d.took, fmt.Sprintf("%2d  %-24s %6.2f s", d.number, name, took))
	return err
}

func (d *demo) summary() {
	d.title("\nIn short")
	for _, line := range d.took {
		d.say("%s", line)
	}
	d.say("%d entries, %s: backed up, lost twice, and brought back, byte for byte", len(d.before), mega(d.before.Bytes()))
}

func (d *demo) title(text string) { fmt.Fprintln(d.out, text) }

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "    "+format+"\n", args...) }

// logs shows what the services said, after a failure.
func (d *demo) logs() {
	if d.xo != nil {
		fmt.Fprintf(d.out, "\n--- the XO's bus and services\n%s", d.xo.Log())
	}
	if d.xs != nil {
		fmt.Fprintf(d.out, "\n--- the school server\n%s", d.xs.Log())
	}
}

func (d *demo) close() error {
	var errs []error
	if d.xo != nil {
		errs = append(errs, d.xo.Close())
	}
	if d.xs != nil {
		errs = append(errs, d.xs.Close())
	}
	return errors.Join(errs...)
}

// measure counts the files below a folder and their bytes.
func measure(dir string) (files int, size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files++
		size += info.Size()
		return nil
	})
	return files, size, err
}

func mega(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
