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
	offered := &offer{FS: fsys}
	guard := newGuardSend(answerer{r, w}, &offered.list, dryRun(args))
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
	return stats, server.HandleConnArgs(ctx, conn, &rsyncd.Module{Name: "tree", FS: offered}, args)
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

// offer notes what gokrazy lists of a tree as it walks through it.
type offer struct {
	fs.FS
	list list
}

func (o *offer) note(name string, info fs.FileInfo) {
	o.list.add(name, entry{dir: info.IsDir(), size: info.Size()})
}

func (o *offer) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(o.FS, name)
	if err == nil {
		o.note(name, info)
	}
	return info, err
}

func (o *offer) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(o.FS, name)
	noted := make([]fs.DirEntry, len(all)) // all may be the tree's own
	for i, e := range all {
		noted[i] = offeredEntry{e, o, path.Join(name, e.Name())}
	}
	return noted, err
}

type offeredEntry struct {
	fs.DirEntry
	offer *offer
	path  string
}

func (e offeredEntry) Info() (fs.FileInfo, error) {
	info, err := e.DirEntry.Info()
	if err == nil {
		e.offer.note(e.path, info)
	}
	return info, err
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
