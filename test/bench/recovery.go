package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

const recoveries = 5 // each on a laptop that has just been reflashed

// recovery measures a reflashed laptop's way back: until it knows what is there,
// and until it has it, beside the plain restore of a laptop that was let in all
// the time.
func (b *bench) recovery() (err error) {
	dir := filepath.Join(b.dir, "recovery")
	plain, err := newOurs(b.ctx, filepath.Join(dir, "plain"), b.master, b.programs, with{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.close(), os.RemoveAll(dir)) }()
	if err := plain.backup(b.ctx); err != nil {
		return err
	}
	lost, err := bed.StartXO(b.ctx, filepath.Join(dir, "lost"), reflashed(b.programs))
	if err != nil {
		return err
	}
	if err := b.lose(lost, plain.xs); err != nil {
		return errors.Join(err, lost.Close())
	}
	for i := range recoveries {
		if err := b.recover(filepath.Join(dir, fmt.Sprint("anew", i)), plain); err != nil {
			return err
		}
		fmt.Fprint(os.Stderr, ".")
	}
	return nil
}

// reflashed is the laptop that loses its Journal: another than the one that is
// there all the time.
func reflashed(programs bed.Binaries) bed.Options {
	return bed.Options{Binaries: programs, Serial: "SHC00500002", UUID: "5b2e8a3c-9d41-4f6e-8a70-1c0de0500002", Nick: "Baraka"}
}

// lose backs a laptop up, and ends it.
func (b *bench) lose(x *bed.XO, s *bed.XS) error {
	if err := link(b.ctx, b.master, x.Datastore); err != nil {
		return err
	}
	if err := errors.Join(x.PointAt(s), x.Register(b.ctx)); err != nil {
		return err
	}
	if err := (&ours{xo: x, xs: s}).backup(b.ctx); err != nil {
		return err
	}
	return x.Close()
}

// recover does both once.
func (b *bench) recover(dir string, plain *ours) (err error) {
	o := reflashed(b.programs)
	o.Bare = true
	x, err := bed.StartXO(b.ctx, dir, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	if err := x.PointAt(plain.xs); err != nil {
		return err
	}
	anew := &ours{xo: x, xs: plain.xs}
	var found []map[string]dbus.Variant
	look := func() error {
		return x.Backup().CallWithContext(b.ctx, "org.laptop.Backup.FindBackups", 0).Store(&found)
	}
	t, err := timed(look)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d accounts are offered", len(found))
	}
	if err != nil {
		return fmt.Errorf("FindBackups: %w%s", err, anew.logs())
	}
	row := b.table.row("first boot: activation until FindBackups answers", seconds, "", 1)
	row.ours = append(row.ours, t)

	if err := plain.xo.WipeJournal(b.ctx); err != nil {
		return err
	}
	row = b.table.row("recovery of a reflashed laptop, claim included", seconds, "a restore where the key is in", 1.1)
	return b.pair(row,
		func() error { return errors.Join(look(), claim(b.ctx, x, found), anew.restore(b.ctx)) },
		func() error { return plain.restore(b.ctx) })
}

func claim(ctx context.Context, x *bed.XO, found []map[string]dbus.Variant) error {
	var state, sign string
	err := x.Backup().CallWithContext(ctx, "org.laptop.Backup.Claim", 0, found[0]["account"].Value(), "").Store(&state, &sign)
	if err == nil && state != "granted" {
		err = fmt.Errorf("the claim is %s", state)
	}
	return err
}
