// Package xs is the school server: three listeners over one store.
//
//	http          may I back up here, and where? (no secrets)
//	registration  Sugar's XML-RPC: makes an account for a new laptop
//	ssh           sessions: backup, restore, api, and stock rsync for reading;
//	              and, as the user claim, a way back for a laptop that has no key
//
// # A backup, from the outside in
//
// The XO dials ssh; its key says which account it is (ssh.go). It execs
// "backup" (session.go) and says in one line what it has. If that is what the
// latest snapshot holds, whole, it is confirmed and nothing moves. Else the server
// looks again whether it has the time and the room (room.go), takes the
// account's lock, and pulls by rsync, in a confined child, into the account's
// current folder (backup.go). What arrived is verified and becomes a snapshot
// (package store). Then, and only then, the XO is told that it is safe.
//
// # Invariants
//
//   - An account comes from the key that opened the connection, never from what
//     is said later. Who comes to claim has none, and may only ask for one. No path is made of anything but parsed names.
//   - Each connection, session and child has a bound on time and number, and no
//     account has more than a share of each. To close a channel is to ask its
//     peer: what must end ends here, by a context, and then the connection.
//   - An error is told to the XO as one wire.Refusal, whose code says whether
//     another try is worth it, and logged here.
package xs
