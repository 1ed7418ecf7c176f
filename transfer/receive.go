package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"time"

	"github.com/gokrazy/rsync/rsyncclient"
)

// receive fetches a tree into job.Receive.
func receive(ctx context.Context, job Job, allow Allow, r io.Reader, w *writer) (stats Stats, err error) {
	root, err := os.OpenRoot(job.Receive)
	if err != nil {
		return stats, err
	}
	defer root.Close()

	var files *list
	guard := newGuardReceive(r, allow, job.Limits, func(l *list, incomplete bool) (err error) {
		files = l
		stats.Listed, stats.Size, stats.Incomplete = len(l.entries), l.size, incomplete
		stats.Deleted, err = tidy(root, l, job.Delete && !incomplete)
		return err
	})
	if guard.disk, err = newDisk(root, job.Limits); err != nil {
		return stats, err
	}
	defer guard.disk.close()
	client, err := rsyncclient.New([]string{"-rtp"}, rsyncclient.DontRestrict(), rsyncclient.WithStderr(io.Discard))
	if err != nil {
		return stats, err
	}
	_, err = client.Run(ctx, readWriter{guard, w}, []string{job.Receive})
	stats.Moved = guard.moved
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	if guard.err != nil && guard.err != io.EOF {
		err = guard.err // what gokrazy makes of it says less
	}
	if err != nil {
		return stats, err
	}
	return stats, touchDirs(root, files)
}

type readWriter struct {
	io.Reader
	io.Writer
}

// temporary is what gokrazy calls a file, in the top folder, while it grows.
var temporary = regexp.MustCompile(`^\.[^/]+[0-9]$`)

// tidy removes from root what stands in the way of the list: links, devices, a
// file where a folder is to be, what an earlier child left half-written; and if
// all is true whatever is not listed. gokrazy's own --delete passes over every
// file that follows a deleted one in its folder.
func tidy(root *os.Root, l *list, all bool) (removed int, err error) {
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		e := l.find(name)
		switch {
		case e != nil && plain(d.Type()) && d.IsDir() == e.dir, name == ".":
			return nil
		case e == nil && !all && !temporary.MatchString(name):
			return nil
		}
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		removed++
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return removed, err
}

// touchDirs gives folders their times back: gokrazy sets them before it puts
// the files in.
func touchDirs(root *os.Root, l *list) error {
	for i := range l.entries {
		e := &l.entries[i]
		if !e.dir {
			continue
		}
		name, want := l.name(e), time.Unix(int64(e.mtime), 0)
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && !info.ModTime().Equal(want) {
			err = root.Chtimes(name, want, want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
