// The demo shows the product's main job on one machine, with the real things:
// a Journal of Sugar's own datastore is backed up to a school server, lost, and
// brought back over D-Bus. It leaves no process and no file behind, also when
// it is interrupted.
//
//	make demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

func main() {
	bin := flag.String("bin", "bin", "the folder with the three programs")
	entries := flag.Int("entries", 200, "how many entries the Journal has")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Not stopped before all is tidied up: a second Ctrl-C must not cut that short.
	err, untidy := run(ctx, *bin, *entries)
	interrupted := ctx.Err() != nil
	stop()
	if interrupted {
		err = errors.New("interrupted")
	}
	for _, err := range []error{err, untidy} {
		if err != nil {
			fmt.Fprintln(os.Stderr, "\ndemo:", err)
		}
	}
	switch {
	case interrupted:
		os.Exit(130)
	case err != nil || untidy != nil:
		os.Exit(1)
	}
}

// run answers what went wrong, and, apart from it, what was left behind.
func run(ctx context.Context, bin string, entries int) (err, untidy error) {
	programs, err := bed.BinariesIn(bin)
	if err != nil {
		return fmt.Errorf("%w (make build?)", err), nil
	}
	dir, err := os.MkdirTemp("", "xo-demo-")
	if err != nil {
		return err, nil
	}
	d := &demo{ctx: ctx, out: os.Stdout, entries: entries}
	err = d.show(dir, programs)
	if err != nil && ctx.Err() == nil {
		d.logs()
	}
	return err, errors.Join(d.close(), os.RemoveAll(dir))
}

func (d *demo) show(dir string, programs bed.Binaries) error {
	d.title("A Journal backed up, lost, and brought back")
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"a school server", func() (err error) {
			d.xs, err = bed.StartXS(d.ctx, filepath.Join(dir, "xs"), bed.ServerOptions{Binaries: programs})
			if err == nil {
				d.say("xs-backupd listens: http %s, registration %s, ssh %s", d.xs.HTTP, d.xs.Registration, d.xs.SSH)
			}
			return err
		}},
		{"an XO", func() (err error) {
			d.xo, err = bed.StartXO(d.ctx, filepath.Join(dir, "xo"), bed.Options{Binaries: programs})
			if err != nil {
				return err
			}
			d.say("a session bus with Sugar's datastore and xo-backupd behind it")
			d.say("child %s, serial %s, owner's key ssh-%s", d.xo.Options.Nick, d.xo.Options.Serial, d.xo.Options.Key)
			return d.xo.PointAt(d.xs)
		}},
		{"the Journal", d.fill},
		{"register", d.register},
		{"back up", d.backUp},
		{"back up again", d.backUpAgain},
		{"at school", d.list},
		{"lose it", d.lose},
		{"restore", d.restore},
		{"find it again", d.find},
		{"compare", d.compare},
		{"reflash the laptop", d.reflash},
		{"recover", d.recover},
	} {
		if err := d.step(step.name, step.do); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	d.summary()
	return nil
}
