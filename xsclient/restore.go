package xsclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Restore brings a snapshot back. Unless opts.Replace, it is merged into the
// Journal as decide says. It may be cut off at any instant and called again:
// it goes on where it was.
func (c *Client) Restore(ctx context.Context, opts RestoreOptions, progress func(Progress)) (Result, error) {
	result, err := c.restore(ctx, opts, progress)
	if err != nil && ctx.Err() == nil && c.pending() != nil {
		why := inWords(err)
		c.stopped.Store(&why)
		if c.cfg.Changed != nil {
			c.cfg.Changed(c.Status())
		}
	}
	return result, err
}

func (c *Client) restore(ctx context.Context, opts RestoreOptions, progress func(Progress)) (Result, error) {
	account := c.account()
	if account == "" {
		return Result{}, errNotRegistered()
	}
	// Until a swap is over the staging folder may hold the Journal that was.
	if err := c.finishSwap(ctx); err != nil {
		return Result{}, err
	}
	if over, err := c.endSwapped(); err != nil || over != nil && over.is(account, opts) {
		return Result{Message: "The Journal is as it was."}, err
	}
	r := c.newRestore(account, c.stagingDir(), progress)
	defer r.disconnect()
	defer r.filling.Wait()
	if err := r.begin(opts); err != nil {
		return Result{}, fullDisk(err)
	}
	result, err := r.all(ctx)
	if err != nil {
		err = fullDisk(err)
		r.abandonUnlessWorthGoingOn(ctx, err)
		return Result{}, err
	}
	return result, errors.Join(r.answerPin(ctx), c.forgetRestore(), c.forgetEntryUnderWay())
}

// answerPin says that what was offered is here, if all of it is. Where the XS is gone
// by now that is kept, to be told later.
func (r *restore) answerPin(ctx context.Context) error {
	if !r.answers() || r.c.account() != r.account { // a child may be another's by now
		return nil
	}
	err := r.c.answerPin(ctx, r.api, restoredPin(r.snap.ID))
	if err == nil {
		return r.c.update(func(st *state) { st.Pin = wire.PinAnswer{} }) // an earlier one is none any more
	}
	r.c.cfg.Log.Info("the school server is told later that the Journal is back", "why", err)
	return r.c.noteRestored(r.snap.ID)
}

// answers tells whether that the snapshot is here is the answer to an offer.
func (r *restore) answers() bool {
	return !r.partial() && (r.snap.Pinned || r.offered && r.c.state.get().Claimed)
}

// partial tells whether something of the snapshot is not here as it was.
func (r *restore) partial() bool {
	return len(r.result.Skipped)+len(r.result.Mended)+r.result.Unlisted > 0
}

func (r *restore) all(ctx context.Context) (Result, error) {
	if err := r.connect(ctx); err != nil {
		return Result{}, err
	}
	wanted := r.pending.Resolved
	if wanted == "" {
		wanted = r.pending.Snapshot
	}
	var err error
	if r.snap, r.offered, err = chooseSnapshot(ctx, r.api, wanted); err != nil {
		return Result{}, err
	}
	if r.pending.Resolved != r.snap.ID {
		r.pending.Resolved = r.snap.ID
		if err := r.c.savePending(r.pending); err != nil {
			return Result{}, err
		}
	}
	return r.run(ctx)
}

// begin records that the restore has begun, or that it goes on: from here on
// the daemon may be killed at any instant.
func (r *restore) begin(opts RestoreOptions) error {
	old, err := r.c.loadPending()
	if err != nil {
		r.c.cfg.Log.Warn("the record of an unfinished restore is damaged; beginning anew", "error", err)
	}
	if old != nil && old.is(r.account, opts) {
		r.pending, r.published = *old, old.Resolved != ""
		return nil
	}
	if err := r.c.forgetRestore(); err != nil {
		return err
	}
	r.pending = pendingRestore{RestoreOptions: opts, Account: r.account}
	if err := r.c.savePending(r.pending); err != nil {
		return fmt.Errorf("recording that a restore has begun: %w", err)
	}
	return nil
}

// connect opens a connection anew.
func (r *restore) connect(ctx context.Context) error {
	r.disconnect()
	s, err := r.c.dial(ctx)
	if err != nil {
		return err
	}
	r.s = s
	r.api, err = s.api(ctx)
	return err
}

func (r *restore) disconnect() {
	if r.api != nil {
		r.api.Close()
		r.api = nil
	}
	if r.s != nil {
		r.s.Close()
		r.s = nil
	}
}

// abandonUnlessWorthGoingOn ends a restore that has changed nothing yet, or
// that no further try can finish, so that backups may run again. One that a
// broken link or the end of the daemon cut off stays, to go on later.
func (r *restore) abandonUnlessWorthGoingOn(ctx context.Context, err error) {
	final := !r.published && ctx.Err() == nil
	var e *Error
	if errors.As(err, &e) {
		switch e.Code {
		case NoSnapshot, DiskFull, InvalidArgument, Damaged, ServerRefused:
			final = true
		}
	}
	var unheardOf nonsense
	if errors.As(err, &unheardOf) {
		final = true
	}
	if !final {
		return
	}
	if err := r.c.forgetRestore(); err != nil {
		r.c.cfg.Log.Warn("cannot remove an abandoned restore", "error", err)
	}
}

// chooseSnapshot answers the snapshot of that id, "" for the one that is offered,
// and whether it is that one.
func chooseSnapshot(ctx context.Context, api *apiClient, id string) (chosen wire.Snapshot, isOffered bool, err error) {
	snaps, err := api.Snapshots(ctx) // newest first
	if err != nil {
		return wire.Snapshot{}, false, err
	}
	if len(snaps) == 0 {
		return wire.Snapshot{}, false, &Error{Code: NoSnapshot, Message: "The school server has no backup of this Journal yet."}
	}
	best := offered(snaps)
	if id == "" {
		return best, true, nil
	}
	for _, snap := range snaps {
		if snap.ID == id {
			return snap, id == best.ID, nil
		}
	}
	return wire.Snapshot{}, false, noSnapshot(id)
}

// offered is what comes back when nobody says which: the fullest of those that the
// XS keeps because of a reflash or a claim, until a person has answered; else the
// latest.
func offered(snaps []wire.Snapshot) wire.Snapshot {
	best := snaps[0]
	for _, snap := range snaps {
		if snap.Pinned && (!best.Pinned || snap.Entries > best.Entries) {
			best = snap
		}
	}
	return best
}

func noSnapshot(id string) error {
	return &Error{Code: NoSnapshot, Message: fmt.Sprintf(
		"The school server has no snapshot called %.40q; 'xo-backup list' shows those that there are.", id)}
}

// restore is one run of Restore.
type restore struct {
	c        *Client
	s        *session
	api      *apiClient
	snap     wire.Snapshot
	account  string
	staging  string // the folder that what comes is kept in meanwhile
	progress func(Progress)
	pending  pendingRestore
	alone    bool // one entry is asked for, see RestoreEntry
	// published: something may have been fetched or put back, now or before.
	published bool
	offered   bool // it is the one that comes back when nobody says which
	filling   sync.WaitGroup
	filled    bool // the profile has its owner's name and colour

	store  *datastore.Store
	agreed *agreed
	sink   sink
	p      Progress
	result Result
	// atSchool says what the XS found wrong with entries that it did not send.
	atSchool map[string]string
}

func (c *Client) newRestore(account, staging string, progress func(Progress)) *restore {
	return &restore{c: c, account: account, staging: staging, progress: progress, atSchool: map[string]string{}}
}

// goesOn says what becomes of a restore that is cut off.
func (r *restore) goesOn() string {
	if r.alone {
		return "ask for the entry again"
	}
	return "the restore goes on from there"
}

func (r *restore) run(ctx context.Context) (Result, error) {
	if err := r.open(ctx); err != nil {
		return Result{}, err
	}
	tasks, err := r.plan(ctx)
	if err != nil {
		return Result{}, err
	}
	for _, t := range tasks {
		r.p.Bytes += t.size
		r.p.Entries++
	}
	if err := r.sink.room(tasks); err != nil {
		return Result{}, err
	}
	for len(tasks) > 0 {
		var batch []task
		batch, tasks, err = r.nextBatch(tasks)
		if err != nil {
			return Result{}, err
		}
		if len(batch) == 0 {
			break
		}
		if err := r.fetch(ctx, batch); err != nil {
			return Result{}, err
		}
		r.fillOwner(ctx)
		if err := r.put(ctx, batch); err != nil {
			return Result{}, err
		}
	}
	if err := r.sink.finish(ctx); err != nil {
		return Result{}, err
	}
	r.filling.Wait()
	r.result.Snapshot = r.snap
	r.result.Partial = r.partial()
	r.result.Message = restoreMessage(r.result, r.pending.Replace)
	return r.result, nil
}

// fillOwner gives a profile without a name, colour or group those that the backup
// has. It came with the first batch, which has it at its top. Sugar's settings take
// their time, and nothing waits for them but the end.
func (r *restore) fillOwner(ctx context.Context) {
	if r.filled {
		return
	}
	r.filled = true
	failed := func(err error) { r.c.cfg.Log.Warn("the owner's name and colour do not come back", "error", err) }
	journal, err := datastore.ReadJournal(os.DirFS(r.treeDir()))
	if err != nil {
		failed(err)
		return
	}
	r.filling.Go(func() {
		if err := r.c.cfg.Profile.FillOwner(ctx, profile.Owner(journal.Owner)); err != nil {
			failed(err)
		}
	})
}

// open opens what is here.
func (r *restore) open(ctx context.Context) (err error) {
	if err := r.openJournal(ctx); err != nil {
		return err
	}
	r.sink, err = r.newSink(ctx)
	return err
}

func (r *restore) openJournal(ctx context.Context) (err error) {
	// After a reflash there may be none yet.
	if err := os.MkdirAll(r.c.cfg.Profile.Datastore(), 0o755); err != nil {
		return err
	}
	if r.store, err = r.c.openStore(ctx); err != nil {
		return err
	}
	r.agreed, err = r.s.openAgreed()
	return err
}

func (r *restore) skip(uid datastore.UID, reason string) {
	r.result.Skipped = append(r.result.Skipped, Skipped{UID: string(uid), Reason: reason})
	r.p.EntriesSkipped++
}

func (r *restore) report(phase string) {
	r.p.Phase = phase
	r.progress(r.p)
}

func restoreMessage(res Result, replace bool) string {
	msg := fmt.Sprintf("%d entries are in the Journal again.", res.Entries)
	if replace {
		msg = fmt.Sprintf("The Journal is as it was: %d entries.", res.Entries)
	}
	if res.Stayed > 0 {
		msg += fmt.Sprintf(" %d newer ones stayed as they are.", res.Stayed)
	}
	if res.KeptBoth > 0 {
		msg += fmt.Sprintf(" %d are there twice, because both had changed.", res.KeptBoth)
	}
	if len(res.Skipped) > 0 {
		msg += fmt.Sprintf(" %d did not come back: %s.", len(res.Skipped), namesOf(res.Skipped))
	}
	if len(res.Mended) > 0 {
		msg += fmt.Sprintf(" %d were damaged here and are as they were at school: %s.", len(res.Mended), namesOf(res.Mended))
	}
	if res.Unlisted > 0 {
		msg += fmt.Sprintf(" The school server does not find %d more: ask whoever looks after it to verify snapshot %s.", res.Unlisted, res.Snapshot.ID)
	}
	return msg
}

// dayOf is the day in the title of an entry that came back beside a newer one.
func (r *restore) dayOf() time.Time { return time.Unix(r.snap.Time, 0) }
