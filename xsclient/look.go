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
	"github.com/sugarlabs/xo-backupd/transfer"
)

// The look at the Journal and the sending of it happen in one child process:
// the daemon stays small, and what gokrazy/rsync does with the XS's bytes can
// end that child only.

// TransferChild is what a program that runs a Client must start with: see
// transfer.Child.
func TransferChild() transfer.Child {
	return transfer.Child{
		Sources: map[string]transfer.Source{journalSource: lookAtJournal},
		Allow:   datastore.CheckFile,
	}
}

const journalSource = "journal"

// lookSpec tells the child which Journal to look at.
type lookSpec struct {
	Dir   string          `json:"dir"`
	Cache string          `json:"cache"`
	Owner datastore.Owner `json:"owner"`
	Live  bool            `json:"live"` // Sugar's datastore was running
	Known []datastore.UID `json:"known,omitempty"`
}

// lookReport is what the child tells while it looks: first Done of Total, then
// the entries in several lines, at the end the Summary.
type lookReport struct {
	Done    int                             `json:"done,omitempty"`
	Total   int                             `json:"total,omitempty"`
	Entries map[datastore.UID]lookedAtEntry `json:"entries,omitempty"`
	Summary *datastore.Summary              `json:"summary,omitempty"`
}

type lookedAtEntry struct {
	Version datastore.Version `json:"v"`
	Bytes   int64             `json:"b"`
}

// entriesPerReport keeps a line of a report well below a pipe's and a
// parser's patience.
const entriesPerReport = 200

func lookAtJournal(ctx context.Context, raw json.RawMessage, report func(any)) (fs.FS, error) {
	var spec lookSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, fmt.Errorf("what to look at: %w", err)
	}
	store, err := datastore.Open(spec.Dir, func() bool { return spec.Live })
	if err != nil {
		return nil, err
	}
	tree, err := store.Look(ctx, datastore.LookOptions{
		Owner: spec.Owner,
		Cache: spec.Cache,
		Known: spec.Known,
		Progress: func(done, total int) {
			if done%50 == 0 {
				report(lookReport{Done: done, Total: total})
			}
		},
	})
	if err != nil {
		return nil, err
	}
	entries := map[datastore.UID]lookedAtEntry{}
	for uid, info := range tree.Entries() {
		entries[uid] = lookedAtEntry{info.Version, info.Bytes}
		if len(entries) == entriesPerReport {
			report(lookReport{Entries: entries})
			clear(entries)
		}
	}
	summary := tree.Summary()
	report(lookReport{Entries: entries, Summary: &summary})
	return tree, nil
}

// look is a look at the Journal in a child that is ready to send it.
type look struct {
	child   *transfer.Process
	entries map[datastore.UID]lookedAtEntry
	summary datastore.Summary
}

// startLook looks at the Journal, which holds the entries known if they are in a
// folder that cannot be read. Close the look's child in the end.
func (c *Client) startLook(ctx context.Context, known []datastore.UID, progress func(Progress)) (*look, error) {
	if _, err := os.Stat(c.cfg.Profile.Datastore()); errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Code: Failed, Message: "There is no Journal on this laptop yet, so there is nothing to back up.", Err: err}
	}
	live, err := c.live(ctx)
	if err != nil {
		return nil, err
	}
	for {
		l, err := c.lookOnce(ctx, live, known, progress)
		if err != nil || live {
			return l, err
		}
		// The child cannot ask. If Sugar's datastore has begun to run meanwhile,
		// what the look took for rest may have been a change under way.
		if live, err = c.live(ctx); err == nil && !live {
			return l, nil
		}
		l.child.Close()
		if err != nil {
			return nil, err
		}
	}
}

// live tells whether Sugar's datastore runs.
func (c *Client) live(ctx context.Context) (bool, error) {
	live, err := c.cfg.Datastore.Running(ctx)
	if err != nil {
		err = fmt.Errorf("asking whether Sugar's datastore runs: %w", err)
	}
	return live, err
}

// lookOnce looks at the Journal in a child, as that of a running Sugar or not.
func (c *Client) lookOnce(ctx context.Context, live bool, known []datastore.UID, progress func(Progress)) (*look, error) {
	cache := c.lookCache()
	spec, err := json.Marshal(lookSpec{
		Dir:   c.cfg.Profile.Datastore(),
		Cache: cache,
		Owner: c.owner(ctx),
		Live:  live,
		Known: known,
	})
	if err != nil {
		return nil, err
	}
	l := &look{entries: map[datastore.UID]lookedAtEntry{}}
	l.child, err = transfer.Start(ctx, transfer.Job{
		Send:  journalSource,
		Spec:  spec,
		Read:  []string{c.cfg.Profile.Datastore()},
		Write: []string{filepath.Dir(cache)},
	}, func(raw json.RawMessage) {
		var r lookReport
		if json.Unmarshal(raw, &r) != nil {
			return
		}
		for uid, e := range r.Entries {
			l.entries[uid] = e
		}
		if r.Summary != nil {
			l.summary = *r.Summary
		}
		if r.Total > 0 {
			progress(Progress{Phase: "looking", Entries: r.Total, EntriesDone: r.Done})
		}
	})
	if err != nil {
		return nil, err
	}
	if err := l.child.Ready(ctx); err != nil {
		l.child.Close()
		return nil, fmt.Errorf("looking at the Journal: %w", err)
	}
	return l, nil
}

// versions answers what the look saw, without the entries that the XS kept an
// older copy of.
func (l *look) versions(kept map[datastore.UID]bool) map[datastore.UID]datastore.Version {
	out := make(map[datastore.UID]datastore.Version, len(l.entries))
	for uid, e := range l.entries {
		if !kept[uid] {
			out[uid] = e.Version
		}
	}
	return out
}

// news answers how many bytes differ from what was agreed: about what a
// backup has to send.
func (l *look) news(a *agreed) int64 {
	var n int64
	for uid, e := range l.entries {
		if ag := a.of(uid); ag == nil || ag.Version != e.Version {
			n += e.Bytes
		}
	}
	return n
}

// lookCache is where the look at the Journal remembers what it has read. It
// makes the folder; where it cannot, a look costs more and is as good.
func (c *Client) lookCache() string {
	if err := os.MkdirAll(c.cfg.CacheDir, 0o700); err != nil {
		c.cfg.Log.Debug("no cache", "error", err)
	}
	return filepath.Join(c.cfg.CacheDir, "look")
}

// openStore opens the Journal on disk.
func (c *Client) openStore(ctx context.Context) (*datastore.Store, error) {
	return datastore.Open(c.cfg.Profile.Datastore(), func() bool {
		live, err := c.cfg.Datastore.Running(ctx)
		return live || err != nil
	})
}
