package xsclient

import (
	"context"
	"fmt"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// backedUp records what is now safe at school, and says so.
func (c *Client) backedUp(agreed *agreed, l *look, snap *wire.Snapshot, kept []wire.Kept) (Result, error) {
	if snap == nil {
		return Result{}, badAnswer("a backup without its snapshot")
	}
	if err := checkSnapshot(snap); err != nil {
		return Result{}, err
	}
	result := Result{Snapshot: *snap, Entries: snap.Entries, Bytes: snap.Bytes}
	old := map[datastore.UID]bool{}
	for _, d := range l.summary.Damaged {
		name := string(d.UID)
		if _, err := datastore.ParseUID(name); err != nil {
			name = fmt.Sprintf("%.80q", name) // whatever a folder can be called
		}
		old[d.UID] = true
		result.Skipped = append(result.Skipped, Skipped{UID: name, Reason: d.Reason})
	}
	for _, k := range kept {
		uid, err := datastore.ParseUID(k.UID)
		if err != nil {
			return Result{}, badAnswer(fmt.Sprintf("kept %.60q", k.UID))
		}
		if !old[uid] { // else we know better why
			old[uid] = true
			result.Skipped = append(result.Skipped, Skipped{UID: k.UID, Reason: sentence(k.Reason)})
		}
	}
	safe := l.versions(old)
	result.Partial = len(result.Skipped) > 0
	result.Message = backupMessage(result, len(safe))
	if err := agreed.backedUp(safe, snap.Seq); err != nil {
		// The backup is true all the same; a later merge is more careful
		// than it needs to be.
		c.cfg.Log.Warn("cannot record what is safe at school", "error", err)
	}
	return result, nil
}

func backupMessage(r Result, safe int) string {
	if r.Partial {
		return fmt.Sprintf("%d entries are safe at school as they are now; %d could not be saved this time: %s",
			safe, len(r.Skipped), namesOf(r.Skipped))
	}
	return fmt.Sprintf("%d entries are safe at school.", r.Entries)
}

// recordBackup keeps how a backup ended, unless a person cancelled it. Its time
// is the server's: the laptop's own clock may say 1970.
func (c *Client) recordBackup(ctx context.Context, account string, r Result, err error) {
	if account != "" && account != c.account() {
		return // a child has come into another one meanwhile, which holds nothing of that
	}
	change := func(s *state) {
		s.LastBackup, s.Boot = max(r.Snapshot.Confirmed, r.Snapshot.Time), c.thisBoot()
		s.LastResult, s.Entries = r.Message, r.Entries
	}
	if err != nil {
		if cancelled(ctx) != nil {
			return
		}
		change = func(s *state) { s.LastResult = inWords(err) }
	}
	if err := c.update(change); err != nil {
		c.cfg.Log.Warn("cannot keep how the backup ended", "error", err)
	}
}
