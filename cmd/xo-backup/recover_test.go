package main

import (
	"context"

	"github.com/sugarlabs/xo-backupd/dbus"
)

// gate is what the engine of a test says to who claims.
type gate struct {
	offers  []dbus.Found
	claim   func(account, code string) (dbus.Claim, error)
	await   func(ctx context.Context) (dbus.Claim, error) // nil: no claim waits
	answers []string                                      // that were given by Dismiss
}

func (e *engine) FindBackups(context.Context) ([]dbus.Found, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.offers, e.err
}

func (e *engine) Claim(_ context.Context, account, code string) (dbus.Claim, error) {
	return e.claim(account, code)
}

func (e *engine) Dismiss(_ context.Context, reason string) error {
	e.set(func(e *engine) { e.answers = append(e.answers, reason) })
	return e.problem()
}

func (e *engine) PendingClaim() bool { return e.await != nil }

func (e *engine) AwaitClaim(ctx context.Context) (dbus.Claim, error) { return e.await(ctx) }
