package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// latest is what a server takes for its latest snapshot.
const latest = "latest"

// snapshotRef is how a server is asked for the snapshot that a person names.
func snapshotRef(id string) (string, error) {
	if id == "" || id == latest {
		return latest, nil
	}
	if !isSnapshotID(id) {
		return "", noSnapshot(id)
	}
	return id, nil
}

func isSnapshotID(id string) bool {
	const layout = "2006-01-02T15-04-05Z"
	t, err := time.Parse(layout, id)
	return err == nil && t.Format(layout) == id
}

// parseUID reads a uid that a person, or a program, asks for.
func parseUID(id string) (datastore.UID, error) {
	uid, err := datastore.ParseUID(id)
	if err != nil {
		return "", &Error{Code: InvalidArgument, Message: "What was asked for is not an entry of the Journal.", Err: err}
	}
	return uid, nil
}

// Snapshot answers the record of a snapshot.
func (a *apiClient) Snapshot(ctx context.Context, ref string) (wire.Snapshot, error) {
	var snap wire.Snapshot
	if err := a.get(ctx, &snap, "snapshots", ref); err != nil {
		return wire.Snapshot{}, err
	}
	if err := checkSnapshot(&snap); err != nil {
		return wire.Snapshot{}, err
	}
	if ref != latest && snap.ID != ref {
		return wire.Snapshot{}, badAnswer(fmt.Sprintf("snapshot %s to a question for %s", snap.ID, ref))
	}
	return snap, nil
}

// Entry answers an entry's metadata, its preview with it.
func (a *apiClient) Entry(ctx context.Context, ref string, uid datastore.UID) (*datastore.Entry, error) {
	response, err := a.do(ctx, http.MethodGet, nil, "snapshots", ref, "entries", string(uid)+".cjson")
	if err != nil {
		return nil, ofEntry(uid, err)
	}
	b, err := readAnswer(ctx, response, datastore.MaxFile)
	if err != nil {
		return nil, err
	}
	e, err := datastore.DecodeEntry(b)
	if err == nil && e.UID != uid {
		err = errors.New("what came is of the entry " + string(e.UID))
	}
	if err != nil {
		return nil, damagedCopy(uid, err)
	}
	return e, nil
}

// OpenData opens the data of an entry. What comes is not looked at, see
// datastore.CopyData.
func (a *apiClient) OpenData(ctx context.Context, ref string, e *datastore.Entry) (io.ReadCloser, error) {
	if e.Data == nil {
		return nil, &Error{Code: NoEntry, Message: "This entry of the Journal has no file."}
	}
	response, err := a.do(ctx, http.MethodGet, nil, "snapshots", ref, "entries", string(e.UID)+".data")
	if err != nil {
		return nil, ofEntry(e.UID, err)
	}
	if n := response.ContentLength; n >= 0 && n != e.Data.Size {
		response.Body.Close()
		return nil, damagedCopy(e.UID, fmt.Errorf("its data is of %d bytes and not %d", n, e.Data.Size))
	}
	return response.Body, nil
}

// ofEntry puts into our own words why an entry cannot be had.
func ofEntry(uid datastore.UID, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case NoEntry:
		return &Error{Code: NoEntry, Message: "This entry is not in that snapshot: 'xo-backup list' shows those that there are.", Err: err}
	case Damaged:
		return damagedCopy(uid, err)
	}
	return err
}

// damagedCopy is an entry that is not what was backed up.
func damagedCopy(uid datastore.UID, err error) error {
	return &Error{
		Code:    Damaged,
		Message: fmt.Sprintf("The copy of entry %s at school is damaged, in this snapshot: an older one may have it whole.", uid),
		Err:     err,
	}
}
