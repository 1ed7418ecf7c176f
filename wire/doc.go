// Package wire holds the words that an XO and a school server (XS) share: the
// JSON that opens and ends an SSH session, what the HTTP check answers, and
// the XML-RPC call by which Sugar registers a laptop.
//
// # Sessions
//
// After SSH has authenticated the XO (user = account), it opens a channel and
// execs one of
//
//	backup          the XS pulls the travelling tree by rsync
//	restore PATH    the XS sends a tree by rsync
//	api             HTTP/1.1 over the channel
//
// On each, the XO sends one line of JSON (BackupRequest, RestoreRequest or
// Hello) and the XS answers with one (Answer). If the answer carries no error
// and its action says so, rsync's bytes follow in both directions on the
// channel's standard streams. What the XS has to say besides, while it works
// and at the end, are lines of JSON (Report) on the channel's standard error,
// so that they never mix with rsync's bytes.
package wire

// Version is the protocol that both sides speak today.
const Version = 2

// User names that are not accounts.
const (
	// ClaimUser is the SSH user that any key may open a connection as, to
	// claim an account after a reflash or on another machine.
	ClaimUser = "claim"
)

// Commands of an SSH exec request.
const (
	CommandBackup  = "backup"
	CommandRestore = "restore" // followed by a path that the api has answered
	CommandAPI     = "api"
	CommandClaim   = "claim" // the only one of the user ClaimUser
)
