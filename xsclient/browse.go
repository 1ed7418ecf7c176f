package xsclient

import (
	"context"
	"errors"
	"io"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Looking into snapshots. A snapshot is named by its id; "" is the latest. All of
// it goes over one connection, which is kept for a while.

// Snapshot answers the record of a snapshot.
func (c *Client) Snapshot(ctx context.Context, id string) (snap wire.Snapshot, err error) {
	ref, err := snapshotRef(id)
	if err != nil {
		return wire.Snapshot{}, err
	}
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	err = c.kept.do(ctx, anyTime, func(api *apiClient) (err error) {
		snap, err = api.Snapshot(ctx, ref)
		return err
	})
	return snap, err
}

// SnapshotEntries calls each with every entry of a snapshot, as they come,
// without previews. An error of each ends it and is answered.
func (c *Client) SnapshotEntries(ctx context.Context, id string, each func(wire.Entry) error) error {
	ref, err := snapshotRef(id)
	if err != nil {
		return err
	}
	n := 0
	return c.kept.do(ctx, func() bool { return n == 0 }, func(api *apiClient) error {
		return api.Entries(ctx, ref, func(e wire.Entry) error {
			n++
			return each(e)
		})
	})
}

// SnapshotEntry answers an entry of a snapshot, its preview with it.
func (c *Client) SnapshotEntry(ctx context.Context, id, uid string) (*datastore.Entry, error) {
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	var e *datastore.Entry
	err := c.ofSnapshot(ctx, id, uid, anyTime, func(api *apiClient, ref string, uid datastore.UID) (err error) {
		e, err = api.Entry(ctx, ref, uid)
		return err
	})
	return e, err
}

// SnapshotData writes the file of an entry of a snapshot to w, as it comes. Only
// if there is no error it was all of it, and what was backed up; an entry without
// a file is NoEntry.
func (c *Client) SnapshotData(ctx context.Context, id, uid string, w io.Writer) error {
	to := &counting{w: w}
	return c.ofSnapshot(ctx, id, uid, func() bool { return to.n.Load() == 0 }, func(api *apiClient, ref string, uid datastore.UID) error {
		snap, err := api.Snapshot(ctx, ref) // the latest may be another one in a moment
		if err != nil {
			return err
		}
		ref = snap.ID
		e, err := api.Entry(ctx, ref, uid)
		if err != nil {
			return err
		}
		data, err := api.OpenData(ctx, ref, e)
		if err != nil {
			return err
		}
		defer data.Close()
		return fetched(datastore.CopyData(to, e, data))
	})
}

// anyTime is for what can be asked for again.
func anyTime() bool { return true }

// ofSnapshot asks something about an entry of a snapshot.
func (c *Client) ofSnapshot(ctx context.Context, snapshot, entry string, again func() bool, ask func(api *apiClient, ref string, uid datastore.UID) error) error {
	ref, err := snapshotRef(snapshot)
	if err != nil {
		return err
	}
	uid, err := parseUID(entry)
	if err != nil {
		return err
	}
	return c.kept.do(ctx, again, func(api *apiClient) error { return ask(api, ref, uid) })
}

// fetched says in words that data which came from school is not what it was.
func fetched(err error) error {
	var damaged *datastore.DamagedError
	if errors.As(err, &damaged) {
		return damagedCopy(damaged.UID, err)
	}
	return err
}
