// Package store keeps what a school server (XS) knows of its children, as
// plain files that any administrator can read, copy and back up:
//
//	ROOT/ACCOUNT/account.json   the account: nick, machines, keys, claims, pins
//	ROOT/ACCOUNT/history.jsonl  a line for each time that somebody was let in, or turned away
//	ROOT/ACCOUNT/current/       the last copy that rsync made; may be half of anything
//	ROOT/ACCOUNT/snapshots/ID/  a complete, verified copy, hard-linked
//	                ID.manifest what sha256sum -c reads, run inside ID/
//	                ID.json     the record (wire.Snapshot)
//	                ID.entries  a cache of the newest: one line of wire.Entry for each entry
//	                ID.damaged  what the last verification found damaged, if anything
//	ROOT/ACCOUNT/latest         a link to the newest snapshot
//	ROOT/.xs/                   the server's own: its key, the accounts in the making,
//	                            accounts.log, by which running servers learn of
//	                            changes that other processes make, and what claims need:
//	                            claims.key, claims.json (machines that nobody knows),
//	                            tries.json (wrong codes), open.json (--all --for)
//
// Words: an account is a child, whatever machines it has had. A machine is a
// serial and a uuid, and is recognised by both together. A claim is a key that
// asks to be let into an account, and what became of that. A pin keeps a snapshot
// until a person has answered the offer of it. A folder is an account's folder, opened. A snapshot is
// named by an ID, or by "latest".
//
// Invariants:
//
//   - A name has a type (AccountID, SnapshotID, Serial); what has the type has
//     been checked and can be part of a path. All paths go through os.Root.
//   - ROOT/ACCOUNT exists with its account.json or not at all (made beside,
//     renamed).
//   - A snapshot that has its name is complete and true, and so are the
//     manifest and the record beside it: all of it is on the disk before the
//     rename. What a cut left behind has another name, or is a manifest or
//     record without its folder, and is swept when the account is next locked.
//   - A file that is not what it was, by its time, its size or ID.damaged, is
//     neither confirmed nor taken over into another snapshot.
//   - A file in a snapshot is never written again. current shares inodes with
//     the snapshots, and its files are replaced, never changed.
//   - A claim that was granted removes no key: those of before are former, and
//     write no more. If the same machine comes again with one of them, the claim
//     is frozen: things are as before it until a person decides. Each claim can be
//     taken back, whatever came after it.
//   - What happens to a claim is in the history before it happens.
//   - seq orders the snapshots, whatever the clocks said.
//   - Who changes current or snapshots holds the Lock; who changes account.json
//     holds another, and that of accounts.log. All are flocks, so the server and
//     the administrator's commands respect each other, and a killed process
//     holds none.
package store
