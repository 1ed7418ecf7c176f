package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// ours is one XO that is registered with one school server.
type ours struct {
	xo   *bed.XO
	xs   *bed.XS
	line *bed.Line // where bytes are counted
}

// with of newOurs.
type with struct {
	line       bool
	wrapDaemon []string
	wrapServer []string
}

// newOurs starts both, with a Journal that shares its files with the one at
// datastore.
func newOurs(ctx context.Context, dir, datastore string, programs bed.Binaries, w with) (_ *ours, err error) {
	o := &ours{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%w%s", err, o.logs()), o.close())
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if o.xs, err = bed.StartXS(ctx, filepath.Join(dir, "xs"), bed.ServerOptions{Binaries: programs, Wrap: w.wrapServer}); err != nil {
		return nil, err
	}
	if o.xo, err = bed.StartXO(ctx, filepath.Join(dir, "xo"), bed.Options{Binaries: programs, Wrap: w.wrapDaemon}); err != nil {
		return nil, err
	}
	if err := link(ctx, datastore, o.xo.Datastore); err != nil {
		return nil, err
	}
	point := func() error { return o.xo.PointAt(o.xs) }
	if w.line {
		if o.line, err = bed.NewLine(o.xs); err != nil {
			return nil, err
		}
		point = func() error { return o.xo.PointAtLine(o.line) }
	}
	if err := point(); err != nil {
		return nil, err
	}
	return o, o.xo.Register(ctx)
}

func (o *ours) logs() string {
	var said strings.Builder
	if o.xo != nil {
		fmt.Fprintf(&said, "\n--- the XO\n%s", o.xo.Log())
	}
	if o.xs != nil {
		fmt.Fprintf(&said, "\n--- the XS\n%s", o.xs.Log())
	}
	return said.String()
}

func (o *ours) close() error {
	var errs []error
	if o.xo != nil {
		errs = append(errs, o.xo.Close())
	}
	if o.line != nil {
		errs = append(errs, o.line.Close())
	}
	if o.xs != nil {
		errs = append(errs, o.xs.Close())
	}
	return errors.Join(errs...)
}

func (o *ours) backup(ctx context.Context) error { return o.job(ctx, "Backup") }

func (o *ours) restore(ctx context.Context) error { return o.job(ctx, "Restore", "") }

func (o *ours) job(ctx context.Context, method string, args ...any) error {
	result, err := o.xo.Job(ctx, method, args...)
	if err == nil {
		err = result.OK()
	}
	if err != nil {
		return fmt.Errorf("%s: %w%s", method, err, o.logs())
	}
	return nil
}

// link makes a copy of a Journal that shares its files. Nothing that is measured
// writes into a file in place.
func link(ctx context.Context, from, to string) error {
	out, err := exec.CommandContext(ctx, "cp", "-al", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cp -al: %w: %s", err, out)
	}
	return nil
}

// timed is how long something took.
func timed(do func() error) (float64, error) {
	start := time.Now()
	err := do()
	return time.Since(start).Seconds(), err
}
