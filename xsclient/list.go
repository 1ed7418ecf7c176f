package xsclient

import (
	"context"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// ListSnapshots lists what the server keeps of this Journal, newest first.
func (c *Client) ListSnapshots(ctx context.Context) ([]wire.Snapshot, error) {
	var out []wire.Snapshot
	err := c.withAPI(ctx, func(ctx context.Context, api *apiClient) (err error) {
		out, err = api.Snapshots(ctx)
		return err
	})
	return out, err
}

// Saved answers which of these entries are safe at school as they are now.
// What cannot be read here, or is not here, is not.
func (c *Client) Saved(ctx context.Context, uids []string) ([]string, error) {
	versions, err := c.versionsHere(ctx, uids)
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	var out []string
	err = c.withAPI(ctx, func(ctx context.Context, api *apiClient) (err error) {
		out, err = api.Saved(ctx, versions)
		return err
	})
	return out, err
}

// versionsHere answers the versions of those entries that can be read here.
func (c *Client) versionsHere(ctx context.Context, ids []string) (map[string]string, error) {
	uids := make([]datastore.UID, len(ids))
	for i, id := range ids {
		var err error
		if uids[i], err = parseUID(id); err != nil {
			return nil, err
		}
	}
	store, err := c.openStore(ctx)
	if err != nil {
		return nil, err
	}
	here, err := store.Versions(ctx, uids, c.lookCache())
	if err != nil {
		return nil, err
	}
	versions := make(map[string]string, len(here))
	for uid, v := range here {
		versions[string(uid)] = string(v)
	}
	return versions, nil
}

// withAPI asks the server something that a person waits for.
func (c *Client) withAPI(ctx context.Context, ask func(context.Context, *apiClient) error) error {
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	s, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.withAPI(ctx, ask)
}

func (s *session) withAPI(ctx context.Context, ask func(context.Context, *apiClient) error) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	defer api.Close()
	return ask(ctx, api)
}
