// Package xsclient runs the XO's side of a school server (XS): it registers
// this laptop, asks whether the server takes a backup, backs the Journal up,
// lists what is kept and brings it back.
//
// # Words
//
// The XS is found by the URL of its http listener, which keeps no secrets and
// proves nothing. What it says there (wire.Service) tells where its ssh
// listener is. Everything that matters goes over SSH, which the XO opens, as
// the account that the registration gave it, with the profile's backup key.
// The owner's key opens only the one connection that enrols the backup key.
//
// # Whom the XO trusts
//
// The host key that the first registration met is pinned. A server that shows
// another one gets nothing, not even a try to authenticate: the error is
// WrongServer, the state new-server, until a person says with TrustServer that
// this very key is right. Where the configuration names a deployment key,
// nothing is pinned: any host certificate signed by that key is trusted, and
// nothing else is. A "no" over HTTP counts only from a server that has shown
// its key. Whether a trusted server lets this laptop in is found out each time;
// where it does not, the state is unregistered until it does, or Register helps.
//
// # Connections
//
// An operation opens a connection and closes it. Only looking into snapshots
// shares one that is kept for a while (kept.go), until Close.
//
// # Time
//
// A call that a person waits for ends within a minute when the server is busy
// or away. A connection on which nothing moves any more is given up. Every
// wait ends with its ctx.
//
// # What is kept
//
// StateDir/state.json holds what must last (state.go); each change is written
// whole or not at all. StateDir/agreed-ACCOUNT-KEY holds what was agreed with
// one server (agreed.go), StateDir/restore.json a restore that is not over
// (pending.go); StateDir/entry.underway one entry that was being put back when the
// power went (restoreentry.go).
package xsclient
