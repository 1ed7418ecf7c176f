package xsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/profile"
)

// RestoreOptions says what a restore brings back, and how.
type RestoreOptions struct {
	// Snapshot is an id; "" is the latest, or, where the latest holds less
	// than half of what the one before it held (a reflash), the one before.
	Snapshot string
	// Replace makes the Journal what the snapshot holds; else it is merged in.
	Replace bool
	// LeaveDeleted leaves at school what was deleted here since.
	LeaveDeleted bool
}

func (o RestoreOptions) name() string {
	if o.Snapshot == "" {
		return "latest"
	}
	return o.Snapshot
}

// pendingRestore is a restore that has begun. While its file exists the
// restore is not over: the next start goes on with it, and no backup runs.
type pendingRestore struct {
	RestoreOptions // as they were asked for
	Account        string
	// Resolved is the id of the snapshot, once it is known which it is.
	Resolved string `json:",omitempty"`
}

// is tells whether that is what these options ask for.
func (p *pendingRestore) is(account string, o RestoreOptions) bool {
	resolved := p.RestoreOptions
	resolved.Snapshot = p.Resolved
	return p.Account == account && (p.RestoreOptions == o || resolved == o)
}

func (c *Client) pendingPath() string { return filepath.Join(c.cfg.StateDir, "restore.json") }

// PendingRestore answers the restore that was cut off, if there is one.
func (c *Client) PendingRestore() (RestoreOptions, bool) {
	p, err := c.loadPending()
	if err != nil {
		c.cfg.Log.Warn("the record of an unfinished restore cannot be read", "error", err)
	}
	if p == nil {
		return RestoreOptions{}, false
	}
	return p.RestoreOptions, true
}

func (c *Client) loadPending() (*pendingRestore, error) {
	b, err := os.ReadFile(c.pendingPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var p pendingRestore
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", c.pendingPath(), err)
	}
	return &p, nil
}

func (c *Client) savePending(p pendingRestore) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return profile.WriteFile(c.pendingPath(), append(b, '\n'), 0o600)
}

// AbandonRestore forgets a restore that was cut off, because a person said so.
// What it has brought back so far stays.
func (c *Client) AbandonRestore() error {
	if datastore.SwapPending(c.cfg.Profile.Dir) {
		// The old Journal may lie in the staging folder.
		return errors.New("a Journal is just being replaced: start again to finish that first")
	}
	if err := os.Remove(c.pendingPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(c.stagingDir())
}

// stagingDir is where a restore keeps what has arrived; on the Journal's own
// file system, so that publishing is renaming.
func (c *Client) stagingDir() string {
	return filepath.Join(c.cfg.Profile.Dir, "datastore.restore")
}

// Recover puts right what a power cut has left half done, and removes what a
// replace replaced more than a week ago. It is quick where there is nothing to
// do; call it before anything else.
func (c *Client) Recover(ctx context.Context) error {
	if datastore.SwapPending(c.cfg.Profile.Dir) {
		release, err := c.cfg.Datastore.Hold(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(datastore.RecoverSwap(c.cfg.Profile.Dir), release()); err != nil {
			return err
		}
	}
	removed, err := datastore.PruneReplaced(c.cfg.Profile.Dir, c.now(), 0)
	if len(removed) > 0 {
		c.cfg.Log.Info("removed Journals that were replaced more than a week ago", "folders", removed)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no profile yet
	}
	return err
}
