package transfer

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/gokrazy/rsync/rsyncd"
)

// send serves fsys once, to whoever is at the other end of r and w.
func send(ctx context.Context, fsys fs.FS, job Job, r io.Reader, w *writer) (stats Stats, err error) {
	args, fsys, err := job.request(fsys)
	if err != nil {
		return stats, err
	}
	server, err := rsyncd.NewServer(nil, rsyncd.WithLogger(silence{}), rsyncd.WithStderr(io.Discard), rsyncd.DontRestrict())
	if err != nil {
		return stats, err
	}
	guard := newGuardSend(answerer{r, w}, dryRun(args))
	// The sender answers in this goroutine, so that here, unlike in the
	// receiver, a panic can be told as what it is.
	defer func() {
		if p := recover(); p != nil {
			err = refusef("the other side asked for what was not offered: %v", p)
		}
		if guard.err != nil && guard.err != io.EOF {
			err = guard.err
		}
		stats.Moved = guard.moved
		if flushed := w.Flush(); err == nil {
			err = flushed
		}
	}()
	conn := rsyncd.NewConnection(guard, w, "")
	return stats, server.HandleConnArgs(ctx, conn, &rsyncd.Module{Name: "tree", FS: fsys}, args)
}

// request is what to ask gokrazy's server for, and of which tree.
func (j Job) request(fsys fs.FS) ([]string, fs.FS, error) {
	if j.Args == nil {
		return ourArgs, fsys, nil
	}
	args, name, dir, err := ParseArgs(j.Args)
	if err != nil {
		return nil, nil, err
	}
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, nil, fmt.Errorf("no such path: %s", quote(name))
	}
	if dir && info.IsDir() {
		if fsys, err = fs.Sub(fsys, name); err != nil {
			return nil, nil, err
		}
		return append(args, ".", "./"), fsys, nil
	}
	// The last part of the path is the name that the client sees.
	base := path.Base(name)
	if fsys, err = fs.Sub(fsys, name); err != nil {
		return nil, nil, err
	}
	return append(args, ".", base), under{base, fsys}, nil
}

func dryRun(args []string) bool {
	for _, a := range args {
		if len(a) > 1 && a[0] == '-' && a[1] != '-' {
			for _, c := range a {
				if c == 'n' {
					return true
				}
			}
		}
	}
	return false
}

// silence keeps gokrazy from formatting what nobody reads.
type silence struct{}

func (silence) Printf(string, ...any)    {}
func (silence) Output(int, string) error { return nil }
