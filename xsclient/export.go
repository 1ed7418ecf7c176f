package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// ExportEntry writes an entry as a Journal entry bundle to the file path: as it is
// in the Journal here where snapshot is "", else as it is in that snapshot. The
// file is there whole and verified, or not at all.
func (c *Client) ExportEntry(ctx context.Context, snapshot, uid, path string, progress func(Progress)) (Result, error) {
	id, err := parseUID(uid)
	if err != nil {
		return Result{}, err
	}
	if err := checkTarget(path); err != nil {
		return Result{}, err
	}
	x := &export{c: c, path: path, progress: progress, p: Progress{Phase: "exporting", Entries: 1}}
	if snapshot == "" {
		err = x.fromHere(ctx, id)
	} else {
		err = x.fromSchool(ctx, snapshot, id)
	}
	if err != nil {
		return Result{}, err
	}
	return x.result(), nil
}

// export is one run of ExportEntry.
type export struct {
	c        *Client
	path     string
	progress func(Progress)
	p        Progress

	entry *datastore.Entry // as it was written
	snap  wire.Snapshot
}

func (x *export) result() Result {
	r := Result{Snapshot: x.snap, Entries: 1, Message: fmt.Sprintf("%s is in %s.", titleOf(x.entry), sentence(x.path))}
	if x.entry.Data != nil {
		r.Bytes = x.entry.Data.Size
	}
	if left := x.entry.Unbundled(); len(left) > 0 {
		reason := fmt.Sprintf("Sugar could not read all of its properties (%s)", sentence(strings.Join(left, ", ")))
		r.Partial, r.Skipped = true, []Skipped{{UID: string(x.entry.UID), Reason: reason}}
		r.Message += " But " + reason + ": those are left out, or are there as far as they are text."
	}
	return r
}

// changedTries bounds how often an entry of the Journal is read again that changes
// while it is written.
const changedTries = 5

func (x *export) fromHere(ctx context.Context, uid datastore.UID) error {
	store, err := x.c.openStore(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return notHere(err)
	}
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := x.oneLook(ctx, store, uid)
		var changed *changedError
		if !errors.As(err, &changed) {
			return err
		}
		if try == changedTries {
			return &Error{Code: Failed, Message: "This entry of the Journal is just being changed: close its activity, then try again.", Err: err}
		}
	}
}

// changedError is an entry that was not, any more, what a look had seen.
type changedError struct{ err error }

func (e *changedError) Error() string { return e.err.Error() }

// oneLook writes what one look at the entry sees.
func (x *export) oneLook(ctx context.Context, store *datastore.Store, uid datastore.UID) error {
	e, err := store.Entry(ctx, uid)
	var damaged *datastore.DamagedError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notHere(err)
	case errors.As(err, &damaged) && damaged.Changing:
		return &changedError{err}
	case errors.As(err, &damaged):
		return &Error{Code: Damaged, Message: "This entry of the Journal is damaged: " + sentence(damaged.Reason) + ".", Err: err}
	case err != nil:
		return err
	}
	var data io.ReadCloser
	if e.Data != nil {
		if data, err = store.OpenData(uid); err != nil {
			return &changedError{err}
		}
		defer data.Close()
	}
	err = x.write(ctx, e, data)
	if errors.As(err, &damaged) {
		return &changedError{err}
	}
	return err
}

func notHere(err error) error {
	return &Error{Code: NoEntry, Message: "This entry is not in the Journal on this laptop.", Err: err}
}

func (x *export) fromSchool(ctx context.Context, snapshot string, uid datastore.UID) error {
	ref, err := snapshotRef(snapshot)
	if err != nil {
		return err
	}
	return x.c.kept.do(ctx, anyTime, func(api *apiClient) (err error) {
		if x.snap, err = api.Snapshot(ctx, ref); err != nil {
			return err
		}
		e, err := api.Entry(ctx, x.snap.ID, uid)
		if err != nil {
			return err
		}
		var data io.ReadCloser
		if e.Data != nil {
			if data, err = api.OpenData(ctx, x.snap.ID, e); err != nil {
				return err
			}
			defer data.Close()
		}
		return fetched(x.write(ctx, e, data))
	})
}

// write writes the bundle, beside its place first.
func (x *export) write(ctx context.Context, e *datastore.Entry, data io.Reader) error {
	if e.Data != nil {
		x.p.Bytes = e.Data.Size
	}
	if err := x.c.roomFor(x.path, x.p.Bytes); err != nil {
		return err
	}
	x.entry = e
	return writeBeside(x.path, func(w io.Writer) error {
		to := &counting{w: whileGoing{ctx, w}}
		stop := watch(func() {
			p := x.p
			p.BytesDone = min(to.n.Load(), p.Bytes)
			x.progress(p)
		})
		defer stop()
		return datastore.WriteBundle(to, e, data)
	})
}

// whileGoing writes until ctx ends.
type whileGoing struct {
	ctx context.Context
	w   io.Writer
}

func (w whileGoing) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(b)
}
