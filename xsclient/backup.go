package xsclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Triggers of a backup.
const (
	TriggerManual   = "manual"   // a person waits: an answer within a minute
	TriggerSchedule = "schedule" // nobody waits: a busy server is asked again later
	TriggerNetwork  = "network"  // as the schedule: the school's network came into reach
)

// BackupOptions says why a backup runs.
type BackupOptions struct {
	Trigger string // "" is manual
}

const (
	// pullTries bounds how often a pull is begun again within one backup: a
	// file that changed under rsync's hands ends a pull, and what has arrived
	// by then stays.
	pullTries = 5
	// scheduleTries and the two waits bound how often and when the schedule
	// asks a busy server again, whatever that asks for.
	scheduleTries   = 6
	scheduleMinWait = 2 * time.Minute
	scheduleMaxWait = 64 * time.Minute
)

// Backup brings the Journal as it is now to the school server. It answers
// once the server has the whole of it, verified, under a snapshot's name.
// Entries that would not hold still or could not be read make the result
// partial and are named in it.
func (c *Client) Backup(ctx context.Context, opts BackupOptions, progress func(Progress)) (Result, error) {
	personWaits := opts.Trigger == "" || opts.Trigger == TriggerManual
	for try, wait := 1, scheduleMinWait; ; try++ {
		account := c.account()
		result, err := c.backup(ctx, progress)
		c.recordBackup(ctx, account, result, err)
		var e *Error
		if personWaits || try == scheduleTries || !errors.As(err, &e) || e.Code != ServerBusy {
			return result, err
		}
		progress(Progress{Phase: "waiting"})
		if err := c.sleep(ctx, backoff(wait, e.RetryAfter)); err != nil {
			return Result{}, err
		}
		wait *= 2
	}
}

// backoff spreads a school's laptops: at least what the server asks for, up to
// half as much again by chance, and in all no longer than scheduleMaxWait.
func backoff(wait, retryAfter time.Duration) time.Duration {
	wait = min(max(wait, retryAfter), scheduleMaxWait*2/3)
	return wait + rand.N(wait/2+1)
}

// sleep waits, or answers why not.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) backup(ctx context.Context, progress func(Progress)) (Result, error) {
	if reason := c.pendingReason(); reason != "" {
		return Result{}, &Error{Code: Busy, Message: reason}
	}
	if err := c.openOwed(ctx); err != nil {
		return Result{}, err
	}
	if c.account() == "" {
		return Result{}, errNotRegistered()
	}
	if err := c.WouldTake(ctx); err != nil {
		return Result{}, err
	}
	for try := 1; ; try++ {
		result, moved, err := c.backupOnce(ctx, progress)
		if err == nil || !errors.Is(err, errPullAgain) || try == pullTries || ctx.Err() != nil {
			return result, err
		}
		c.cfg.Log.Info("beginning the backup again", "try", try, "moved", moved, "why", err)
	}
}

// errPullAgain marks what another try may mend at once: a file that changed
// while it was sent, a link that broke.
var errPullAgain = errors.New("worth another try")

func (c *Client) backupOnce(ctx context.Context, progress func(Progress)) (Result, int64, error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	l, s, err := c.lookAndDial(ctx, giveUp, progress)
	if err != nil {
		return Result{}, 0, err
	}
	defer l.child.Close()
	defer s.Close()
	// Before it makes a snapshot: what nobody has answered is pinned by that.
	if err := c.catchUp(ctx, s); err != nil {
		return Result{}, 0, err
	}
	agreed, err := s.openAgreed()
	if err != nil {
		return Result{}, 0, err
	}

	ch, err := s.exec(ctx, wire.CommandBackup)
	if err != nil {
		return Result{}, 0, err
	}
	defer ch.Close()
	answer, err := ch.open(ctx, wire.BackupRequest{
		Version: wire.Version,
		Digest:  l.summary.Digest,
		Entries: l.summary.Entries,
		Files:   l.summary.Files,
		Bytes:   l.summary.Bytes,
	})
	if err != nil {
		return Result{}, 0, err
	}
	switch answer.Action {
	case wire.ActionConfirmed:
		if answer.Snapshot == nil || answer.Snapshot.Digest != l.summary.Digest {
			return Result{}, 0, badAnswer("confirmed another Journal than was offered")
		}
		result, err := c.backedUp(agreed, l, answer.Snapshot, nil)
		return result, 0, err
	case wire.ActionPull:
	default:
		return Result{}, 0, badAnswer(fmt.Sprintf("action %.40q to a backup", answer.Action))
	}
	end, moved, err := c.serve(ctx, l, ch, agreed, progress)
	if err != nil {
		return Result{}, moved, err
	}
	if end.Snapshot.Digest != l.summary.Digest && len(end.Kept) == 0 {
		// rsync took a file for another of the same size and time. The XS
		// remembers, and asks for it when the same tree is offered again.
		return Result{}, moved, again(&Error{Code: Damaged, Message: "What arrived at the school server is not what this laptop sent; please back up again."})
	}
	result, err := c.backedUp(agreed, l, end.Snapshot, end.Kept)
	return result, moved, err
}

// lookAndDial does both at once: each takes its time on a slow laptop. Where
// one fails, giveUp ends the other.
func (c *Client) lookAndDial(ctx context.Context, giveUp func(), progress func(Progress)) (*look, *session, error) {
	type dialled struct {
		s   *session
		err error
	}
	done := make(chan dialled, 1)
	go func() {
		s, err := c.dial(ctx)
		if err != nil {
			giveUp() // no server: the look is for nothing
		}
		done <- dialled{s, err}
	}()
	l, err := c.startLook(ctx, nil, progress)
	if err != nil {
		giveUp()
	}
	d := <-done
	switch {
	case d.err != nil && (err == nil || errors.Is(err, context.Canceled)):
		if l != nil {
			l.child.Close()
		}
		return nil, nil, d.err
	case err != nil:
		if d.s != nil {
			d.s.Close()
		}
		return nil, nil, err
	}
	if l, err = c.keepUnseen(ctx, l, d.s, progress); err != nil {
		d.s.Close()
		return nil, nil, err
	}
	return l, d.s, nil
}

// serve lets the XS pull, and waits for what it says in the end.
func (c *Client) serve(ctx context.Context, l *look, ch *channel, agreed *agreed, progress func(Progress)) (wire.Report, int64, error) {
	p := Progress{Phase: "sending", Entries: l.summary.Entries, Bytes: l.news(agreed)}
	stop := watch(func() {
		p := p
		sent, _ := l.child.Progress()
		p.BytesDone = min(sent, p.Bytes)
		progress(p)
	})
	reports := ch.reports(func(r wire.Report) {
		progress(Progress{Phase: r.Phase, Entries: r.Total, EntriesDone: r.Done, Bytes: p.Bytes, BytesDone: p.Bytes})
	})
	_, sendErr := l.child.Run(ctx, ch.Stdout, ch.Stdin)
	stop()
	ch.CloseWrite()
	moved, _ := l.child.Progress()

	end, err := ch.lastReport(ctx, reports, sendErr)
	switch {
	case ctx.Err() != nil:
		return wire.Report{}, moved, ctx.Err()
	case err == nil && end.Error == nil && end.Snapshot != nil:
		return end, moved, nil // the XS has verified it: what rsync thought of it does not matter
	case err == nil && end.Error != nil:
		err := refused(end.Error)
		if end.Error.Code == wire.RefusedFailed {
			err = ch.session.again(err)
		}
		return wire.Report{}, moved, err
	case sendErr != nil:
		return wire.Report{}, moved, ch.session.again(transferError("sending the Journal", sendErr))
	default:
		return wire.Report{}, moved, ch.session.again(unavailable("The school server stopped answering during the backup; it goes on from there next time.", err))
	}
}

// again marks an error as worth another try at once.
func again(err error) error { return fmt.Errorf("%w (%w)", err, errPullAgain) }

// again does so where the server did not just fall silent: then a person has
// waited long enough.
func (s *session) again(err error) error {
	if s.link.dead() {
		return unavailable(fmt.Sprintf("The school server %s fell silent; what has arrived is kept, and it goes on from there.", s.host), err)
	}
	return again(err)
}

// transferError puts what the rsync child says into a sentence.
func transferError(what string, err error) error {
	var e *transfer.Error
	if errors.As(err, &e) {
		switch e.Kind {
		case transfer.Full:
			return diskFull(err)
		case transfer.Refused:
			return &Error{Code: ServerRefused, Message: fmt.Sprintf("The school server broke the rules while %s: %s.", what, e.Message), Err: err}
		}
	}
	return unavailable(fmt.Sprintf("The connection to the school server broke while %s.", what), err)
}
