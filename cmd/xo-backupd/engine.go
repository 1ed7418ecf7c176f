package main

import (
	"context"
	"errors"
	"log/slog"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/xsclient"
)

// engine is xsclient in the words of the D-Bus service: neither knows the other.
type engine struct {
	client *xsclient.Client
	log    *slog.Logger
}

var _ dbus.Engine = engine{}

func newEngine(ctx context.Context, cfg *config, home profile.Profile, at places, conn *godbus.Conn, s *dbus.Service, log *slog.Logger) (dbus.Engine, error) {
	client, err := xsclient.New(xsclient.Config{
		Server:        cfg.Server,
		Registration:  cfg.Registration,
		DeploymentKey: cfg.DeploymentKey,
		Nick:          cfg.Nick,
		Serial:        cfg.Serial,
		UUID:          cfg.UUID,
		Profile:       home,
		StateDir:      at.state,
		CacheDir:      at.cache,
		Log:           log,
		Datastore:     service.New(conn),
		Changed:       func(xsclient.Status) { s.Changed() },
	})
	if err != nil {
		return nil, err
	}
	if err := client.Recover(ctx); err != nil {
		// Backups and restores will say so too; a person can still ask why.
		log.Error("what a power cut left half done cannot be put right", "error", err)
	}
	return engine{client, log}, nil
}

func (e engine) Register(ctx context.Context) error { return e.client.Register(ctx) }

func (e engine) TrustServer(ctx context.Context, fingerprint string) error {
	return e.client.TrustServer(ctx, fingerprint)
}

func (e engine) CheckServer(ctx context.Context) (dbus.Availability, error) {
	check, err := e.client.CheckServer(ctx)
	return dbus.Availability(check), err
}

func (e engine) Backup(ctx context.Context, trigger string, progress func(dbus.Progress)) (dbus.Outcome, error) {
	result, err := e.client.Backup(ctx, xsclient.BackupOptions{Trigger: trigger}, in(progress))
	return dbus.Outcome{Partial: result.Partial, Message: result.Message}, err
}

func (e engine) Restore(ctx context.Context, request dbus.RestoreRequest, progress func(dbus.Progress)) (dbus.Outcome, error) {
	result, err := e.client.Restore(ctx, xsclient.RestoreOptions{
		Snapshot: request.Snapshot, Replace: request.Replace, LeaveDeleted: !request.Deleted,
	}, in(progress))
	if err != nil && errors.Is(context.Cause(ctx), dbus.ErrCancelled) {
		// A person does not want it any more. What merely cut it off leaves it
		// to be gone on with.
		if err := e.client.AbandonRestore(); err != nil {
			e.log.Error("the cancelled restore cannot be forgotten", "error", err)
		}
	}
	return dbus.Outcome{Partial: result.Partial, Message: result.Message}, err
}

func (e engine) PendingRestore() (dbus.RestoreRequest, bool) {
	o, ok := e.client.PendingRestore()
	return dbus.RestoreRequest{Snapshot: o.Snapshot, Replace: o.Replace, Deleted: !o.LeaveDeleted}, ok
}

func (e engine) ListSnapshots(ctx context.Context) ([]dbus.Snapshot, error) {
	kept, err := e.client.ListSnapshots(ctx)
	list := make([]dbus.Snapshot, 0, len(kept))
	for _, s := range kept {
		list = append(list, dbus.Snapshot{
			ID: s.ID, Seq: s.Seq, Time: s.Time, Confirmed: s.Confirmed,
			Entries: s.Entries, Bytes: s.Bytes, Account: s.Account,
		})
	}
	return list, err
}

func (e engine) Saved(ctx context.Context, uids []string) ([]string, error) {
	return e.client.Saved(ctx, uids)
}

func (e engine) Status() dbus.Status { return dbus.Status(e.client.Status()) }

// in hands progress on.
func in(progress func(dbus.Progress)) func(xsclient.Progress) {
	return func(p xsclient.Progress) { progress(dbus.Progress(p)) }
}
