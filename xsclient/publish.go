package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// sink is where a restore puts what has been fetched and verified: merged into
// the Journal that is here (mergeSink), or into a new one that takes its place
// (replaceSink).
type sink interface {
	// here answers the versions of what need not be fetched again, or must be
	// decided about.
	here(context.Context) (map[datastore.UID]datastore.Version, error)
	decide(task, map[datastore.UID]datastore.Version) verdict
	// room says in time that all of it cannot fit, where it has to.
	room([]task) error
	put(context.Context, []arrival) error
	finish(context.Context) error
}

func (r *restore) newSink(ctx context.Context) (sink, error) {
	if r.pending.Replace {
		return newReplaceSink(r)
	}
	return &mergeSink{r}, nil
}

// arrival is an entry that has been fetched and is what was sent.
type arrival struct {
	task
	entry *datastore.Entry
}

// put verifies a batch, sets aside what Sugar could not read, gives the rest
// to the sink, and empties the staging folder.
func (r *restore) put(ctx context.Context, batch []task) error {
	r.report("verifying")
	root, err := os.OpenRoot(r.treeDir())
	if err != nil {
		return err
	}
	defer root.Close()
	tree := root.FS()
	var arrived []arrival
	for _, t := range batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		a, err := r.verify(tree, t)
		if err != nil {
			return err
		}
		if a != nil {
			arrived = append(arrived, *a)
		}
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

// verify answers nil for an entry that must not reach the Journal; it is named
// in the result then.
func (r *restore) verify(tree fs.FS, t task) (*arrival, error) {
	entry, _, err := datastore.VerifyEntry(tree, t.uid)
	var damaged *datastore.DamagedError
	switch {
	case errors.As(err, &damaged):
		r.skip(t.uid, "the copy at school is damaged: "+damaged.Reason)
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		reason := r.atSchool[string(t.uid)]
		if reason == "" {
			reason = "the school server did not send it"
		}
		r.skip(t.uid, "the copy at school is damaged: "+reason)
		return nil, nil
	case err != nil:
		return nil, err
	case entry.Version() != t.version:
		r.skip(t.uid, "what the school server sent is not what its list says")
		return nil, nil
	}
	if why := entry.Unreadable(); why != "" {
		if err := r.setAside(tree, entry); err != nil {
			return nil, err
		}
		r.skip(t.uid, fmt.Sprintf("Sugar cannot read it (%s); it is in %s", why, r.asideDir(t.uid)))
		return nil, nil
	}
	return &arrival{t, entry}, nil
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
	return to, errors.Join(err, out.Close())
}
