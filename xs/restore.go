package xs

import (
	"context"
	"path"
	"strings"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// snapshotAt opens what a path of the form snapshots/ID names, ID or latest.
func (s *session) snapshotAt(p string) (*store.Folder, *store.Snapshot, error) {
	ref, ok := strings.CutPrefix(p, "snapshots/")
	if !ok {
		return nil, nil, &store.NameError{What: "path", Name: p, Why: "is not snapshots/ID"}
	}
	folder, err := s.Store.Folder(s.account)
	if err != nil {
		return nil, nil, err
	}
	snap, err := folder.Snapshot(ref)
	if err != nil {
		folder.Close()
		return nil, nil, err
	}
	return folder, snap, nil
}

// restore sends a snapshot, or some of its entries.
func (s *session) restore(ctx context.Context, p string) error {
	var req wire.RestoreRequest
	if err := s.open(&req, &req.Version); err != nil {
		return err
	}
	uids, err := parseUIDs(req.UIDs)
	if err != nil {
		return s.fail(err)
	}
	folder, snap, err := s.snapshotAt(strings.TrimSuffix(p, "/"))
	if err != nil {
		return s.fail(err)
	}
	defer folder.Close()
	defer snap.Close()
	leave, no := s.room.enter(s.account)
	if no != nil {
		return s.refuse(no)
	}
	defer leave()
	whole, damaged, err := snap.Wanted(uids)
	if err != nil {
		return s.fail(err)
	}
	var only []string // all
	if len(uids) > 0 || len(damaged) > 0 {
		only = prefixes(whole)
	}
	child, err := s.send(ctx, transfer.Dir(snap.Path(), only))
	if err != nil {
		return s.fail(err)
	}
	defer child.Close()
	if err := s.answer(wire.Answer{Action: wire.ActionSend, Snapshot: &snap.Record}); err != nil {
		return err
	}
	ctx, awake := s.watch(ctx, child)
	stats, err := child.Run(ctx, s.in, s.ch)
	awake()
	leave() // before the last word: who has heard it may come again at once
	if err != nil {
		return s.end(err)
	}
	s.log.Info("restored", "snapshot", snap.Record.ID, "entries", len(whole), "damaged", len(damaged),
		"moved", stats.Moved, "sent", stats.Sent, "confined", stats.Confined)
	s.report(wire.Report{End: true, Snapshot: &snap.Record, Kept: damaged})
	return nil
}

func parseUIDs(names []string) ([]datastore.UID, error) {
	uids := make([]datastore.UID, len(names))
	for i, name := range names {
		var err error
		if uids[i], err = datastore.ParseUID(name); err != nil {
			return nil, &wire.Refusal{Code: wire.RefusedInput, Message: err.Error()}
		}
	}
	return uids, nil
}

// prefixes of the paths of those entries' files, and the tree's own file.
func prefixes(uids []datastore.UID) []string {
	only := []string{"journal.cjson"}
	for _, uid := range uids {
		only = append(only, strings.TrimSuffix(uid.Path(), "cjson"))
	}
	return only
}

// send starts a child that sends, and waits until it can.
func (s *session) send(ctx context.Context, job transfer.Job) (*transfer.Process, error) {
	job.Limits = transfer.Limits{Files: 2 * s.Config.MaxFiles, Time: s.Config.SessionTimeout}
	child, err := transfer.Start(ctx, job, nil)
	if err != nil {
		return nil, err
	}
	if err := child.Ready(ctx); err != nil {
		child.Close()
		return nil, err
	}
	return child, nil
}

// rsync serves a stock client that reads snapshots/ID/ or snapshots/latest/.
func (s *session) rsync(ctx context.Context, args []string) error {
	err := s.rsyncRead(ctx, args)
	if err != nil {
		s.complain("xs-backupd: %s", s.refusal(err).Message)
	}
	return err
}

func (s *session) rsyncRead(ctx context.Context, args []string) error {
	_, name, inside, err := transfer.ParseArgs(args)
	if err != nil {
		return err
	}
	top, rest, _ := strings.Cut(name, "/")
	ref, sub, _ := strings.Cut(rest, "/")
	folder, snap, err := s.snapshotAt(top + "/" + ref)
	if err != nil {
		return err
	}
	defer folder.Close()
	defer snap.Close()
	leave, no := s.room.enter(s.account)
	if no != nil {
		return no
	}
	defer leave()
	// The child sees the folder of snapshots with this one alone in it, so that
	// a path without its last slash means what rsync says it means.
	job := transfer.Dir(path.Dir(snap.Path()), []string{snap.Record.ID + "/"})
	job.Args = append([]string(nil), args...)
	at := path.Join(snap.Record.ID, sub)
	if inside {
		at += "/"
	}
	job.Args[len(args)-1] = at
	child, err := s.send(ctx, job)
	if err != nil {
		return err
	}
	defer child.Close()
	ctx, awake := s.watch(ctx, child)
	defer awake()
	_, err = child.Run(ctx, s.in, s.ch)
	return err
}
