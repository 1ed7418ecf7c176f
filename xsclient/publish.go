package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// sink is where a restore puts what has been fetched and verified: merged into
// the Journal that is here (mergeSink), or into a new one that takes its place
// (replaceSink).
type sink interface {
	// here answers the versions of what need not be fetched again, or must be
	// decided about.
	here(context.Context) (map[datastore.UID]datastore.Version, error)
	// plan decides about an entry of the XS's list.
	plan(task, map[datastore.UID]datastore.Version) verdict
	// room says in time that all of it cannot fit, where it has to.
	room([]task) error
	put(context.Context, []arrival) error
	finish(context.Context) error
}

func (r *restore) newSink(ctx context.Context) (sink, error) {
	if r.pending.Replace {
		return newReplaceSink(r)
	}
	return newMergeSink(r, r.c.underWayPath(), r.c.entryUnderWayPath())
}

// arrival is an entry that has been fetched.
type arrival struct {
	task
	entry *datastore.Entry
	wrong string // if it did not arrive as it should have: why
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

// verifyAll tells what has arrived from what is wrong, and sets aside what must
// not reach the Journal; that is named in the result then.
func (r *restore) verifyAll(ctx context.Context, batch []task) (arrived, wrong []arrival, err error) {
	r.report("verifying")
	root, err := os.OpenRoot(r.treeDir())
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	all := make([]arrival, len(batch))
	err = concurrently(ctx, len(batch), func(i int) (err error) {
		all[i], err = verify(root.FS(), batch[i])
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	for _, a := range all {
		if a.wrong != "" {
			wrong = append(wrong, a)
			continue
		}
		why := a.entry.Unreadable()
		if why == "" {
			arrived = append(arrived, a)
			continue
		}
		if err := r.setAside(a.entry); err != nil {
			return nil, nil, err
		}
		r.skip(a.uid, fmt.Sprintf("Sugar cannot read it (%s); it is in %s", why, r.asideDir(a.uid)))
	}
	return arrived, wrong, nil
}

// concurrently calls do for each number below n, on all processors, until one
// call fails.
func concurrently(ctx context.Context, n int, do func(i int) error) error {
	g, going := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error {
			if err := going.Err(); err != nil {
				return err
			}
			return do(i)
		})
	}
	return g.Wait()
}

// fetchAnew fetches once more, from nothing, what is wrong: it may be our own
// disk's fault. What an earlier run fetched just before power went has its
// name, size and time, and perhaps no content, and rsync takes it for whole. An
// entry that is still wrong then is named in the result.
func (r *restore) fetchAnew(ctx context.Context, bad []arrival) ([]arrival, error) {
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
			b.wrong = damagedAtSchool(reason)
		}
		r.skip(b.uid, b.wrong)
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
		return nil, &Error{Code: Failed, Message: "Sugar's datastore cannot be stopped for a moment: please restart Sugar.", Err: err}
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
		folder := path.Dir(t.uid.Path())
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

// verify compares an entry with its sums and with what the list said.
func verify(tree fs.FS, t task) (a arrival, err error) {
	a.task = t
	a.entry, _, err = datastore.VerifyEntry(tree, t.uid)
	var damaged *datastore.DamagedError
	switch {
	case errors.As(err, &damaged):
		a.wrong = damagedAtSchool(damaged.Reason)
	case errors.Is(err, fs.ErrNotExist):
		a.wrong = damagedAtSchool("the school server did not send it")
	case err != nil:
		return a, err
	case a.entry.Version() != t.version:
		a.wrong = "what the school server sent is not what its list says"
	}
	return a, nil
}

func (r *restore) asideDir(uid datastore.UID) string {
	return filepath.Join(r.c.cfg.Profile.Dir, "backup-unreadable", string(uid))
}

// setAside puts an entry that Sugar's datastore would choke on where a person
// can find it.
func (r *restore) setAside(e *datastore.Entry) error {
	dir := r.asideDir(e.UID)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	data, err := r.takeData(e)
	if err != nil {
		return err
	}
	return datastore.Unpack(e, data, dir)
}

// takeData takes an entry's file out of what was fetched, and answers where it is
// now; "" when the entry has none.
func (r *restore) takeData(e *datastore.Entry) (string, error) {
	if e.Data == nil {
		return "", nil
	}
	to := filepath.Join(r.staging, string(e.UID)+".data")
	return to, datastore.JoinData(r.treeDir(), e, to)
}
