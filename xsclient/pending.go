package xsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/profile"
)

// RestoreOptions says what a restore brings back, and how.
type RestoreOptions struct {
	// Snapshot is an id; "" is the latest, or, after a reflash or a claim, the
	// one from before, until a person has answered the offer of it.
	Snapshot string
	// Replace makes the Journal what the snapshot holds; else it is merged in.
	Replace bool
	// LeaveDeleted leaves at school what was deleted here since.
	LeaveDeleted bool
}

func (o RestoreOptions) name() string {
	if o.Snapshot == "" {
		return "the latest snapshot"
	}
	return "snapshot " + o.Snapshot
}

// pendingRestore is a restore that has begun. While its file exists the
// restore is not over: the next start goes on with it, and no backup runs.
type pendingRestore struct {
	RestoreOptions // as they were asked for
	Account        string
	// Resolved is the id of the snapshot, once it is known which it is.
	Resolved string `json:",omitempty"`
	// Swapping is set once a replace has all that it needs: the inode of the
	// folder that becomes the Journal. When that is the Journal's, it is over.
	Swapping uint64 `json:",omitempty"`
	// Answers is set with it, if that answers the offer of the snapshot.
	Answers bool `json:",omitempty"`
}

// is tells whether that is what these options ask for.
func (p *pendingRestore) is(account string, o RestoreOptions) bool {
	resolved := p.RestoreOptions
	resolved.Snapshot = p.Resolved
	return p.Account == account && (p.RestoreOptions == o || p.Resolved != "" && resolved == o)
}

func (c *Client) pendingPath() string  { return filepath.Join(c.cfg.StateDir, "restore.json") }
func (c *Client) underWayPath() string { return filepath.Join(c.cfg.StateDir, "restore.underway") }

// PendingRestore answers the restore that was cut off, if there is one.
func (c *Client) PendingRestore() (RestoreOptions, bool) {
	p := c.pending()
	if p == nil {
		return RestoreOptions{}, false
	}
	return p.RestoreOptions, true
}

// IsPending tells whether these options ask for the restore that was cut off, or
// that runs: by the words that it was asked for in, or by what they came to.
func (c *Client) IsPending(o RestoreOptions) bool {
	p := c.pending()
	return p != nil && p.is(p.Account, o)
}

// pending is the restore that is not over; nil if there is none. One of another
// account is nobody's any more: nothing shall come back from there by itself.
func (c *Client) pending() *pendingRestore {
	p, err := c.loadPending()
	if err != nil {
		c.cfg.Log.Warn("the record of an unfinished restore cannot be read", "error", err)
	}
	if account := c.account(); p == nil || account != "" && p.Account != account {
		return nil
	}
	return p
}

// pendingReason says what is pending, what stopped it, and what to do; "" if
// nothing is.
func (c *Client) pendingReason() string {
	p := c.pending()
	if p == nil {
		return ""
	}
	reason := fmt.Sprintf("The restore of %s is not over, and until then nothing is backed up; 'xo-backup cancel' gives it up.", p.name())
	if why := c.stopped.Load(); why != nil {
		reason += " It is tried again by itself; the last time it was stopped: " + *why
	}
	return reason
}

// ResumeRestore goes on with the restore that was cut off. Nobody waits for it:
// it is tried again, after longer and longer pauses, until it is over, or
// cannot be finished, or ctx ends. Unless atOnce it begins with a pause.
func (c *Client) ResumeRestore(ctx context.Context, atOnce bool, progress func(Progress)) (Result, error) {
	for wait := scheduleMinWait; ; wait = min(2*wait, scheduleMaxWait) {
		opts, pending := c.PendingRestore()
		if !pending {
			return Result{}, &Error{Code: Failed, Message: "There is no restore to go on with."}
		}
		var advice time.Duration
		if atOnce {
			result, err := c.Restore(ctx, opts, progress)
			if _, pending := c.PendingRestore(); err == nil || !pending || ctx.Err() != nil {
				return result, err
			}
			var e *Error
			if errors.As(err, &e) {
				advice = e.RetryAfter
			}
			c.cfg.Log.Info("the restore is tried again later", "why", err)
		}
		atOnce = true
		progress(Progress{Phase: "waiting"})
		if err := c.sleep(ctx, backoff(wait, advice)); err != nil {
			return Result{}, err
		}
	}
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

// AbandonRestore gives up a restore that was cut off, because a person said so.
// What it has brought back so far stays; a Journal that was just being replaced
// is so.
func (c *Client) AbandonRestore(ctx context.Context) error {
	if err := c.finishSwap(ctx); err != nil {
		return err
	}
	return c.forgetRestore()
}

// forgetRestore removes what a restore leaves on disk while it is not over.
func (c *Client) forgetRestore() error {
	if datastore.SwapPending(c.cfg.Profile.Dir) {
		// The old Journal may lie in the staging folder.
		return errors.New("a Journal is just being replaced: start again to finish that first")
	}
	for _, path := range []string{c.pendingPath(), c.underWayPath()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	c.stopped.Store(nil)
	return os.RemoveAll(c.stagingDir())
}

// stagingDir is where a restore keeps what has arrived; on the Journal's own
// file system, so that publishing is renaming.
func (c *Client) stagingDir() string {
	return filepath.Join(c.cfg.Profile.Dir, "datastore.restore")
}

// Recover puts right what a power cut has left half done, reads what another
// daemon may have written since New, and removes what a replace replaced more
// than a week ago. It is quick where there is nothing to do; call it before
// anything else, when no other daemon works with the state.
func (c *Client) Recover(ctx context.Context) error {
	if err := c.loadState(); err != nil {
		return err
	}
	if err := errors.Join(c.finishSwap(ctx), c.finishPublish(ctx), os.RemoveAll(c.entryStagingDir())); err != nil {
		return err
	}
	if _, err := c.endSwapped(); err != nil {
		return err
	}
	if err := c.lookAtFirst(); err != nil {
		c.cfg.Log.Warn("cannot keep that this is a first boot", "error", err)
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

// finishSwap finishes replacing a Journal where that was cut off.
func (c *Client) finishSwap(ctx context.Context) error {
	if !datastore.SwapPending(c.cfg.Profile.Dir) {
		return nil
	}
	release, err := c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	return datastore.RecoverSwap(c.cfg.Profile.Dir)
}

// endSwapped ends a replace of which only the record is left, and answers it: the
// new Journal is in its place, and what the child has done in it since must stay.
func (c *Client) endSwapped() (*pendingRestore, error) {
	p, err := c.loadPending()
	if err != nil || p == nil || p.Swapping == 0 {
		return nil, nil // begin says what is wrong with a record
	}
	if now, err := inode(c.cfg.Profile.Datastore()); err != nil || now != p.Swapping {
		return nil, nil
	}
	c.cfg.Log.Info("a Journal that was being replaced is replaced", "snapshot", p.Resolved)
	if p.Answers {
		if err := c.noteRestored(p.Resolved); err != nil {
			return nil, err
		}
	}
	return p, c.forgetRestore()
}

// finishPublish puts entries back into their places that a restore was just
// replacing when it was cut off.
func (c *Client) finishPublish(ctx context.Context) error {
	if p, err := c.loadPending(); p == nil && err == nil && !c.entryUnderWay() {
		return nil
	}
	store, err := c.openStore(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no Journal yet
	}
	if err != nil {
		return err
	}
	if pending, err := store.PublishPending(); err != nil || !pending {
		return err
	}
	release, err := c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	return store.Recover()
}
