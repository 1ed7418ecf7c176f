package xsclient

import (
	"context"
	"slices"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// keepUnseen looks again where a folder of the Journal could not be read: what
// is in it is to be kept at school, and only the school can say what that is.
// The look is closed where another one, or an error, takes its place.
func (c *Client) keepUnseen(ctx context.Context, l *look, s *session, progress func(Progress)) (*look, error) {
	folders := l.unseen()
	if len(folders) == 0 {
		return l, nil
	}
	known, err := s.latestIn(ctx, folders)
	if err == nil && !slices.ContainsFunc(known, l.lacks) {
		return l, nil
	}
	l.child.Close()
	if err != nil {
		return nil, err
	}
	return c.startLook(ctx, known, progress)
}

// unseen are the folders of the Journal that could not be read. No entry's name
// is that short.
func (l *look) unseen() []string {
	var folders []string
	for _, d := range l.summary.Damaged {
		if len(d.UID) == 2 {
			folders = append(folders, string(d.UID))
		}
	}
	return folders
}

// lacks tells whether the look knows nothing of an entry.
func (l *look) lacks(uid datastore.UID) bool {
	_, there := l.entries[uid]
	return !there && !slices.ContainsFunc(l.summary.Damaged, func(d datastore.DamagedError) bool { return d.UID == uid })
}

// latestIn lists the entries that the latest snapshot has in these folders.
func (s *session) latestIn(ctx context.Context, folders []string) ([]datastore.UID, error) {
	var uids []datastore.UID
	err := s.withAPI(ctx, func(ctx context.Context, api *apiClient) error {
		snaps, err := api.Snapshots(ctx) // newest first
		if err != nil || len(snaps) == 0 {
			return err
		}
		return api.Entries(ctx, snaps[0].ID, func(e wire.Entry) error {
			if uid, err := datastore.ParseUID(e.UID); err == nil && slices.Contains(folders, e.UID[:2]) {
				uids = append(uids, uid)
			}
			return nil
		})
	})
	return uids, err
}
