package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// sink is where a restore puts what has been fetched and verified: merged into
// the Journal that is here (mergeSink), or into a new one that takes its place
// (replaceSink).
type sink interface {
	// here answers the versions of what need not be fetched again, or must be
	// decided about.
	here(context.Context) (map[datastore.UID]datastore.Version, error)
	// plan decides about an entry of the XS's list.
	plan(task, wire.Entry, map[datastore.UID]datastore.Version) verdict
	// room says in time that all of it cannot fit, where it has to.
	room([]task) error
	put(context.Context, []arrival) error
	finish(context.Context) error
}

func (r *restore) newSink(ctx context.Context) (sink, error) {
	if r.pending.Replace {
		return newReplaceSink(r)
	}
	return &mergeSink{restore: r}, nil
}

// arrival is an entry that has been fetched and is what was sent.
type arrival struct {
	task
	entry *datastore.Entry
}

// put verifies a batch, sets aside what Sugar could not read, gives the rest
// to the sink, and empties the staging folder.
func (r *restore) put(ctx context.Context, batch []task) error {
	arrived, wrong, err := r.verifyAll(ctx, batch)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		again, err := r.fetchAnew(ctx, wrong)
		if err != nil {
			return err
		}
		arrived = append(arrived, again...)
	}
	if err := r.sink.put(ctx, arrived); err != nil {
		return err
	}
	for _, t := range batch {
		r.p.BytesDone += t.size
		r.p.EntriesDone++
	}
	r.report("publishing")
	return os.RemoveAll(r.treeDir())
}

// wrong is an entry that did not arrive as it should have, and why.
type wrong struct {
	task
	reason string
}

// verifyAll tells what has arrived from what is wrong.
func (r *restore) verifyAll(ctx context.Context, batch []task) (arrived []arrival, bad []wrong, err error) {
	r.report("verifying")
	root, err := os.OpenRoot(r.treeDir())
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	for _, t := range batch {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		a, reason, err := r.verify(root.FS(), t)
		if err != nil {
			return nil, nil, err
		}
		if reason != "" {
			bad = append(bad, wrong{t, reason})
		}
		if a != nil {
			arrived = append(arrived, *a)
		}
	}
	return arrived, bad, nil
}

// fetchAnew fetches once more, from nothing, what is wrong: it may be our own
// disk's fault. What an earlier run fetched just before power went has its
// name, size and time, and perhaps no content, and rsync takes it for whole. An
// entry that is still wrong then is named in the result.
func (r *restore) fetchAnew(ctx context.Context, bad []wrong) ([]arrival, error) {
	var batch []task
	for _, b := range bad {
		if reason := r.atSchool[string(b.uid)]; reason != "" {
			r.skip(b.uid, damagedAtSchool(reason)) // as it says itself
			continue
		}
		batch = append(batch, b.task)
	}
	if len(batch) == 0 {
		return nil, nil
	}
	if err := r.removeFetched(batch); err != nil {
		return nil, err
	}
	if err := r.fetch(ctx, batch); err != nil {
		return nil, err
	}
	arrived, bad, err := r.verifyAll(ctx, batch)
	if err != nil {
		return nil, err
	}
	for _, b := range bad {
		if reason := r.atSchool[string(b.uid)]; reason != "" {
			b.reason = damagedAtSchool(reason)
		}
		r.skip(b.uid, b.reason)
	}
	return arrived, nil
}

// hold keeps Sugar's datastore from running until it is released.
func (c *Client) hold(ctx context.Context) (release func(), err error) {
	end, err := c.cfg.Datastore.Hold(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &Error{Code: Failed, Message: "Sugar's datastore cannot be stopped for a moment: restart Sugar, then the restore goes on.", Err: err}
	}
	return func() {
		if err := end(); err != nil {
			c.cfg.Log.Warn("giving back the datastore's name", "error", err)
		}
	}, nil
}

func damagedAtSchool(reason string) string { return "the copy at school is damaged: " + reason }

// removeFetched removes all files of those entries that have arrived.
func (r *restore) removeFetched(batch []task) error {
	root, err := os.OpenRoot(r.treeDir())
	if err != nil {
		return err
	}
	defer root.Close()
	for _, t := range batch {
		folder := string(t.uid[:2])
		files, err := fs.ReadDir(root.FS(), folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, f := range files {
			if !strings.HasPrefix(f.Name(), string(t.uid)) {
				continue
			}
			if err := root.Remove(folder + "/" + f.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// verify answers the entry, or what is wrong with it, or neither for one that
// must not reach the Journal; that is named in the result then.
func (r *restore) verify(tree fs.FS, t task) (_ *arrival, bad string, _ error) {
	entry, _, err := datastore.VerifyEntry(tree, t.uid)
	var damaged *datastore.DamagedError
	switch {
	case errors.As(err, &damaged):
		return nil, damagedAtSchool(damaged.Reason), nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, damagedAtSchool("the school server did not send it"), nil
	case err != nil:
		return nil, "", err
	case entry.Version() != t.version:
		return nil, "what the school server sent is not what its list says", nil
	}
	if why := entry.Unreadable(); why != "" {
		if err := r.setAside(tree, entry); err != nil {
			return nil, "", err
		}
		r.skip(t.uid, fmt.Sprintf("Sugar cannot read it (%s); it is in %s", why, r.asideDir(t.uid)))
		return nil, "", nil
	}
	return &arrival{t, entry}, "", nil
}

func (r *restore) asideDir(uid datastore.UID) string {
	return filepath.Join(r.c.cfg.Profile.Dir, "backup-unreadable", string(uid))
}

// setAside puts an entry that Sugar's datastore would choke on where a person
// can find it.
func (r *restore) setAside(tree fs.FS, e *datastore.Entry) error {
	dir := r.asideDir(e.UID)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return datastore.Unpack(tree, e.UID, e, dir)
}

// joinData makes of an entry's parts one file that Sugar can take over, and
// answers its path; "" when the entry has no file.
func joinData(tree fs.FS, treeDir string, e *datastore.Entry, to string) (string, error) {
	if e.Data == nil {
		return "", nil
	}
	if e.Data.Size <= datastore.PartSize {
		// As it is; but not with a time that is made of its content.
		path := filepath.Join(treeDir, string(e.UID[:2]), string(e.UID)+".data")
		now := time.Now()
		return path, os.Chtimes(path, now, now)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	in, err := datastore.OpenData(tree, e)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	// Sugar moves it to its place: after a power cut it shall be there whole, or
	// not at all.
	return to, errors.Join(err, out.Sync(), out.Close())
}
