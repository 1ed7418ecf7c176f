package store

import (
	"context"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/wire"
)

// publish makes the snapshot of t.links, whose sums are t.sums. Until the
// rename nothing has its name; after it, everything of it is on the disk.
func (t *taking) publish(ctx context.Context, machine Serial) (wire.Snapshot, error) {
	now := t.store.now()
	rec, err := t.newRecord(now, machine)
	if err != nil {
		return rec, err
	}
	temp := snapshotsDir + "/" + tempName()
	beside := snapshotsDir + "/" + rec.ID
	err = t.assemble(ctx, temp, beside, rec)
	if err == nil {
		err = t.root.Rename(temp, beside)
	}
	if err != nil {
		t.root.RemoveAll(temp)
		t.root.Remove(beside + ".manifest")
		t.root.Remove(beside + ".json")
		return rec, err
	}
	t.store.step("renamed")
	if err := syncDir(t.root, snapshotsDir); err != nil {
		return rec, err
	}
	t.store.step("folder synced")
	if err := t.pointLatest(rec.ID); err != nil {
		return rec, err
	}
	t.store.step("latest moved")
	return rec, nil
}

func (t *taking) newRecord(now time.Time, machine Serial) (wire.Snapshot, error) {
	id, err := t.newID(now)
	if err != nil {
		return wire.Snapshot{}, err
	}
	rec := wire.Snapshot{ID: string(id), Seq: t.base.record.Seq + 1, Time: now.Unix(), Confirmed: now.Unix(),
		Account: string(t.ID), Machine: string(machine), Digest: t.sums.Digest()}
	for _, link := range t.links {
		of := t.have
		if link.from != currentDir {
			of = t.base.tree
		}
		rec.Bytes += of.files[link.path].size
		if strings.HasSuffix(link.path, cjsonSuffix) && link.path != journalName {
			rec.Entries++
		}
	}
	return rec, nil
}

// assemble links the files, writes manifest and record, and has it all on disk.
func (t *taking) assemble(ctx context.Context, temp, beside string, rec wire.Snapshot) error {
	if err := t.mkdir(temp); err != nil {
		return err
	}
	t.store.step("begun")
	if err := t.linkAll(t.links, temp); err != nil {
		return err
	}
	t.store.step("linked")
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := writeNew(t.root, beside+".manifest", t.sums.Encode()); err != nil {
		return err
	}
	t.store.step("manifest written")
	b, err := encodeRecord(rec)
	if err != nil {
		return err
	}
	if err := writeNew(t.root, beside+".json", b); err != nil {
		return err
	}
	t.store.step("record written")
	if err := syncAll(t.disk); err != nil {
		return err
	}
	t.store.step("synced")
	return nil
}

// writeNew writes a file that counts only after a sync of everything.
func writeNew(root *os.Root, name string, b []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// link is a file of a tree to be hard-linked from the tree in the folder from.
type link struct{ from, path string }

// linkAll hard-links files into the folder to, which exists and is empty. All
// folders of a tree have the time 1, so that rsync has nothing to say of them.
func (l *Locked) linkAll(links []link, to string) error {
	slices.SortFunc(links, func(a, b link) int { return strings.Compare(a.path, b.path) })
	dirs := &dirCache{root: l.root}
	defer dirs.close()
	made := ""
	for i, link := range links {
		sub := path.Dir(link.path)
		if sub != "." && sub != made {
			dirs.close()
			if err := l.endDir(to, made); err != nil {
				return err
			}
			if err := l.mkdir(to + "/" + sub); err != nil {
				return err
			}
			made = sub
		}
		if err := dirs.link(link.from+"/"+link.path, to+"/"+link.path); err != nil {
			return err
		}
		if i == len(links)/2 {
			l.store.step("half linked")
		}
	}
	if err := l.endDir(to, made); err != nil {
		return err
	}
	return l.endDir(to, ".")
}

func (l *Locked) mkdir(name string) error {
	if err := l.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return l.root.Chmod(name, 0o755) // whatever the umask
}

func (l *Locked) endDir(to, sub string) error {
	if sub == "" {
		return nil
	}
	return l.root.Chtimes(path.Join(to, sub), time.Unix(1, 0), time.Unix(1, 0))
}

// dirCache keeps the folders open between which files are linked: one system
// call a file instead of one for each part of both names.
type dirCache struct {
	root *os.Root
	open map[string]*os.File
}

func (c *dirCache) link(from, to string) error {
	src, err := c.dir(path.Dir(from))
	if err != nil {
		return err
	}
	dst, err := c.dir(path.Dir(to))
	if err != nil {
		return err
	}
	err = unix.Linkat(int(src.Fd()), path.Base(from), int(dst.Fd()), path.Base(to), 0)
	if err != nil {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: err}
	}
	return nil
}

func (c *dirCache) dir(name string) (*os.File, error) {
	if f, ok := c.open[name]; ok {
		return f, nil
	}
	f, err := c.root.Open(name)
	if err != nil {
		return nil, err
	}
	if c.open == nil {
		c.open = map[string]*os.File{}
	}
	c.open[name] = f
	return f, nil
}

func (c *dirCache) close() {
	for _, f := range c.open {
		f.Close()
	}
	c.open = nil
}
