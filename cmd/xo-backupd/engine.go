package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/browse"
	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/schedule"
	"github.com/sugarlabs/xo-backupd/xsclient"
)

// engine is xsclient in the words of the D-Bus service: neither knows the other.
type engine struct {
	client   *xsclient.Client
	browser  *browse.Browser
	byItself *byItself
}

var _ dbus.Engine = engine{}

func newEngine(cfg *config, home profile.Profile, at places, conn *godbus.Conn, s *dbus.Service, log *slog.Logger) (engine, error) {
	datastore := service.New(conn)
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
		Datastore:     datastore,
		Changed:       func(xsclient.Status) { s.Changed() },
	})
	if err != nil {
		return engine{}, err
	}
	browser := browse.New(browse.Config{
		Profile: home, CacheDir: at.cache, Datastore: datastore, School: client, Getenv: cfg.getenv, Log: log,
	})
	own := &byItself{settings: cfg.Schedule, client: client, home: home}
	own.laptop = schedule.Laptop{Root: "/", Journal: home.Datastore()}
	if cfg.Schedule.Enabled {
		own.laptop.System = connectSystem(cfg.getenv, log)
	}
	return engine{client, browser, own}, nil
}

// close ends what stays open between calls.
func (e engine) close() error {
	e.client.Close()
	if system := e.byItself.laptop.System; system != nil {
		system.Close()
	}
	return e.browser.Close()
}

func (e engine) Recover(ctx context.Context) error {
	defer e.browser.Stale() // what comes back straight into the Journal's folder nobody tells
	defer e.byItself.look(ctx)
	return e.client.Recover(ctx)
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
	e.byItself.say("")
	outcome, err := told(progress, func(progress func(xsclient.Progress)) (xsclient.Result, error) {
		return e.client.Backup(ctx, xsclient.BackupOptions{Trigger: trigger}, progress)
	})
	if err != nil {
		e.byItself.look(context.WithoutCancel(ctx)) // it may be due still
	}
	return outcome, err
}

func (e engine) HeldBack(ctx context.Context) (why string, again time.Duration) {
	return e.byItself.heldBack(ctx)
}

func (e engine) Restore(ctx context.Context, request dbus.RestoreRequest, progress func(dbus.Progress)) (dbus.Outcome, error) {
	defer e.browser.Stale()
	return told(progress, func(progress func(xsclient.Progress)) (xsclient.Result, error) {
		return e.client.Restore(ctx, options(request), progress)
	})
}

func (e engine) ResumeRestore(ctx context.Context, atOnce bool, progress func(dbus.Progress)) (dbus.Outcome, error) {
	defer e.browser.Stale()
	return told(progress, func(progress func(xsclient.Progress)) (xsclient.Result, error) {
		return e.client.ResumeRestore(ctx, atOnce, progress)
	})
}

func (e engine) PendingRestore() (dbus.RestoreRequest, bool) {
	o, ok := e.client.PendingRestore()
	return dbus.RestoreRequest{Snapshot: o.Snapshot, Replace: o.Replace, Deleted: !o.LeaveDeleted}, ok
}

func (e engine) IsPending(request dbus.RestoreRequest) bool {
	return e.client.IsPending(options(request))
}

func (e engine) AbandonRestore(ctx context.Context) error { return e.client.AbandonRestore(ctx) }

func options(r dbus.RestoreRequest) xsclient.RestoreOptions {
	return xsclient.RestoreOptions{Snapshot: r.Snapshot, Replace: r.Replace, LeaveDeleted: !r.Deleted}
}

// told hands progress on; once the work is over it tells all of it as done. What
// had nothing to do may never have told how much there was.
func told(progress func(dbus.Progress), work func(func(xsclient.Progress)) (xsclient.Result, error)) (dbus.Outcome, error) {
	var mu sync.Mutex
	var last xsclient.Progress
	r, err := work(func(p xsclient.Progress) {
		mu.Lock()
		defer mu.Unlock()
		last = p
		progress(dbus.Progress(p))
	})
	if err == nil {
		mu.Lock()
		defer mu.Unlock()
		last.BytesDone = last.Bytes
		last.Entries, last.EntriesDone = r.Entries, r.Entries
		last.EntriesSkipped = r.KeptBoth + len(r.Skipped) + len(r.Mended) + r.Unlisted
		progress(dbus.Progress(last))
	}
	return dbus.Outcome{Partial: r.Partial, Message: r.Message}, err
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

func (e engine) Status() dbus.Status {
	status := dbus.Status(e.client.Status())
	if status.State == dbus.StateIdle && status.StateReason == "" {
		status.StateReason = e.byItself.said()
	}
	return status
}

func (e engine) FindBackups(ctx context.Context) ([]dbus.Found, error) {
	offers, err := e.client.FindBackups(ctx)
	list := make([]dbus.Found, 0, len(offers))
	for _, o := range offers {
		list = append(list, dbus.Found(o))
	}
	return list, err
}

func (e engine) Claim(ctx context.Context, account, code string) (dbus.Claim, error) {
	made, err := e.client.Claim(ctx, account, code)
	return dbus.Claim(made), err
}

func (e engine) Dismiss(ctx context.Context, reason string) error {
	return e.client.Dismiss(ctx, reason)
}

func (e engine) PendingClaim() bool { return e.client.PendingClaim() }

func (e engine) AwaitClaim(ctx context.Context) (dbus.Claim, error) {
	made, err := e.client.AwaitClaim(ctx)
	return dbus.Claim(made), err
}
