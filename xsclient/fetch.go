package xsclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

// fetchTries bounds how often one batch is asked for again: what has arrived
// stays, so that each try gets further.
const fetchTries = 5

func (r *restore) treeDir() string { return filepath.Join(r.staging, "tree") }

// fetch brings the batch's entries to the staging folder.
func (r *restore) fetch(ctx context.Context, batch []task) error {
	if err := os.MkdirAll(r.treeDir(), 0o755); err != nil {
		return fmt.Errorf("making room for what comes back: %w", err)
	}
	for try := 1; ; try++ {
		err := r.fetchOnce(ctx, batch)
		if err == nil || !errors.Is(err, errPullAgain) || try == fetchTries || ctx.Err() != nil {
			return err
		}
		r.c.cfg.Log.Info("fetching again", "try", try, "why", err)
		if err := r.connect(ctx); err != nil {
			return err
		}
	}
}

func (r *restore) fetchOnce(ctx context.Context, batch []task) error {
	uids := make([]string, len(batch))
	limits := transfer.Limits{FileSize: datastore.MaxFile, Total: 1 << 20}
	for i, t := range batch {
		uids[i] = string(t.uid)
		limits.Total += t.size
		limits.Files += 2*int(t.size/datastore.PartSize) + 8 // its files, its folder
	}
	path, err := r.api.RestorePath(ctx, r.snap.ID)
	if err != nil {
		return err
	}
	ch, err := r.s.exec(ctx, wire.CommandRestore+" "+path)
	if err != nil {
		return r.s.again(err)
	}
	defer ch.Close()
	answer, err := ch.open(ctx, wire.RestoreRequest{Version: wire.Version, UIDs: uids})
	if err != nil {
		return err
	}
	if answer.Action != wire.ActionSend {
		return badAnswer(fmt.Sprintf("action %.40q to a restore", answer.Action))
	}
	r.published = true
	child, err := transfer.Start(ctx, transfer.Job{Receive: r.treeDir(), Limits: limits}, nil)
	if err != nil {
		return err
	}
	defer child.Close()
	stop := watch(func() {
		p := r.p
		p.Phase = "fetching"
		_, received := child.Progress()
		p.BytesDone = min(p.BytesDone+received, p.Bytes)
		r.progress(p)
	})
	reports := ch.reports(func(wire.Report) {})
	_, err = child.Run(ctx, ch.Stdout, ch.Stdin)
	stop()
	ch.CloseWrite()
	end, reportErr := ch.lastReport(ctx, reports, err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case reportErr == nil && end.Error != nil:
		return refused(end.Error)
	case err != nil:
		return r.retryLostLink(transferError("fetching the backup", err))
	case reportErr != nil:
		return r.retryLostLink(unavailable("The school server stopped answering during the restore; "+r.goesOn()+" when the server answers again.", reportErr))
	}
	for _, k := range end.Kept {
		r.atSchool[k.UID] = sentence(k.Reason)
	}
	return nil
}

// retryLostLink marks a link that broke as worth another try at once.
func (r *restore) retryLostLink(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Code == ServerUnavailable {
		return r.s.again(err)
	}
	return err
}
