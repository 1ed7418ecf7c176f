package wire

// What a ClaimRequest asks for.
const (
	ClaimFind  = "find"  // what may this machine claim?
	ClaimTake  = "claim" // let the key of this connection into Account, or where Code belongs
	ClaimState = "state" // what became of it?
	ClaimOwn   = "own"   // none of those is this child: an account of its own
	ClaimLeave = "leave" // the claim of Account was a mistake: all is as it was before
)

// ClaimRequest is the one line that a machine says as the user ClaimUser. The key
// that opened the connection is the one that is let in.
type ClaimRequest struct {
	Version int    `json:"version"`
	Ask     string `json:"ask"` // one of the above
	// Serial and UUID say which machine this is, where it can tell.
	Serial string `json:"serial,omitempty"`
	UUID   string `json:"uuid,omitempty"`
	// Nick is who asks, as far as that is known: it is shown beside the request.
	Nick string `json:"nick,omitempty"`
	// Account may be empty: with a Code, which says it, and where the machine does
	// not know it and a person is to say it.
	Account string `json:"account,omitempty"`
	Code    string `json:"code,omitempty"` // as it was typed, see ParseCode
}

// How a Claimable is let in.
const (
	ClaimAutomatic = "automatic" // as soon as it is asked for
	ClaimApproval  = "approval"  // a person is asked; a code spares the wait
	ClaimByCode    = "code"      // with a code; without one a person is asked
)

// Claimable is an account that the machine which asks may claim.
type Claimable struct {
	Account string `json:"account"`
	Nick    string `json:"nick"`
	Color   string `json:"color"`
	Group   string `json:"group"`
	// Entries and Bytes are those of the snapshot that would be restored: the one
	// that is pinned, if there is one, else the latest.
	Entries    int    `json:"entries"`
	Bytes      int64  `json:"bytes"`
	LastBackup int64  `json:"last_backup"` // Unix seconds; 0: never
	Claim      string `json:"claim"`       // one of the above
}

// States of a claim.
const (
	ClaimGranted = "granted" // the key is in
	ClaimPending = "pending" // a person has to say so
	ClaimRefused = "refused" // a person said no, or took it back
	// ClaimFrozen: it was granted, and then the machine came again with the key
	// that it had before, so that there are two of it. A person has to say which.
	ClaimFrozen = "frozen"
	ClaimNone   = "none" // nothing was asked for, or so long ago that nobody answered
)

// ClaimAnswer is the one line that the XS answers.
type ClaimAnswer struct {
	Version int `json:"version"`
	// Backups is the answer to find. Nothing is told to a machine that is not
	// recognised.
	Backups []Claimable `json:"backups,omitempty"`
	State   string      `json:"state,omitempty"`
	// Account is set when granted.
	Account string `json:"account,omitempty"`
	// Sign is shown on the teacher's screen beside the request, so that two that
	// wait at the same time are told apart.
	Sign  string   `json:"sign,omitempty"`
	Error *Refusal `json:"error,omitempty"`
}

// Answers to the offer of a pinned snapshot.
const (
	PinRestored  = "restored"
	PinDismissed = "dismissed"
)

// PinAnswer is the body of POST /pins: a person has restored what was pinned, or
// does not want it. No Snapshot: all that is pinned.
type PinAnswer struct {
	Snapshot string `json:"snapshot,omitempty"`
	Answer   string `json:"answer"` // one of the above
}
