package dbus

import (
	"context"
	"time"
)

// Engine is what the contract needs of whoever does the work. Its methods are
// called side by side, Backup and Restore excepted: one of them at a time.
// Every method ends soon after its ctx does.
//
// An error with a method BackupError() (name, message string) anywhere in its
// chain reaches the client as org.laptop.Backup.Error.name with that message.
// The cause of a cancelled ctx (context.Cause) is [ErrCancelled] when a person
// asked for it and [ErrEnding] when the service ends: then a restore must be
// taken up again by the next service, and PendingRestore says so.
type Engine interface {
	// Recover puts right what the end of an earlier service left half done. It is
	// called before all else, when no other service works with the state.
	Recover(ctx context.Context) error
	Register(ctx context.Context) error
	TrustServer(ctx context.Context, fingerprint string) error
	CheckServer(ctx context.Context) (Availability, error)
	Backup(ctx context.Context, trigger string, progress func(Progress)) (Outcome, error)
	// HeldBack is asked before a backup that no person asked for (TriggerSchedule,
	// TriggerNetwork). It answers in a sentence why none is to begin now, "" if one
	// is; and after how long that is worth asking again, 0: at the next trigger.
	HeldBack(ctx context.Context) (why string, again time.Duration)
	ListSnapshots(ctx context.Context) ([]Snapshot, error)
	Saved(ctx context.Context, uids []string) ([]string, error)
	Restore(ctx context.Context, request RestoreRequest, progress func(Progress)) (Outcome, error)
	// PendingRestore is the restore that was cut off before, if any. The
	// service always has a job for it.
	PendingRestore() (RestoreRequest, bool)
	// IsPending tells whether a request asks for that restore, or for the one
	// that runs: what was the latest when it began has a name by now.
	IsPending(RestoreRequest) bool
	// ResumeRestore goes on with the pending restore, and tries again, in
	// PhaseWaiting between two tries, until it is over or can never be. Unless
	// atOnce it begins with a pause.
	ResumeRestore(ctx context.Context, atOnce bool, progress func(Progress)) (Outcome, error)
	// AbandonRestore gives the pending restore up, because a person wants so.
	AbandonRestore(ctx context.Context) error
	// Status is asked for often: it answers at once, from memory.
	Status() Status

	Recoverer
	Browser
}

// Recoverer brings a child's Journal back to a laptop that the school server does
// not know, or not as this child's. Its methods are called side by side with all
// others, Claim and Dismiss one at a time.
type Recoverer interface {
	// FindBackups answers what the school server holds that this machine may claim,
	// or has claimed and nobody has answered yet.
	FindBackups(ctx context.Context) ([]Found, error)
	// Claim asks for this machine's key to be let into an account, or where a code
	// belongs. Asking again is answered the same. A no is a [ClaimRefused], together
	// with a Claim if it was about one that waited.
	Claim(ctx context.Context, account, code string) (Claim, error)
	// Dismiss answers the offer: [DismissLater], [DismissAfresh] or [DismissNotMe].
	Dismiss(ctx context.Context, reason string) error
	// PendingClaim tells whether a claim waits for a person.
	PendingClaim() bool
	// AwaitClaim asks the school server again and again, until the claim that waits
	// is decided, and answers what it came to: granted or refused.
	AwaitClaim(ctx context.Context) (Claim, error)
}

// Answers to the offer of a Journal.
const (
	DismissLater  = "later"  // not now
	DismissAfresh = "afresh" // a new Journal
	DismissNotMe  = "not-me" // another child: an account of its own
)

// States of a claim.
const (
	ClaimGranted = "granted"
	ClaimPending = "pending"
	ClaimDenied  = "refused"
)

// Claim is what became of one.
type Claim struct {
	Account string
	State   string // one of the above
	// Sign is what the school server shows beside the request.
	Sign string
}

// Found is one of FindBackups.
type Found struct {
	Account    string
	Nick       string
	Color      string
	Group      string
	Entries    int
	Bytes      int64
	LastBackup int64  // Unix seconds; 0: never
	Claim      string // how it is let in: automatic, approval, code
}

// Browser looks into the Journal and into snapshots of it, and takes single
// entries out. Snapshot "" is the Journal as it is here, but for RestoreEntry: the
// latest snapshot. Its methods are called side by side, except those with
// progress: of these and of Backup and Restore one at a time.
//
// Entries are as Sugar's datastore answers them. A value is a string, an int32 or
// a []byte; the maps belong to the caller from then on, the bytes are only read.
// A snapshot or an entry that does not exist is a [NoSnapshot] or a [NoEntry].
type Browser interface {
	// Find answers a page of the entries that the query is about, with these of
	// their properties (none: all), and how many there are altogether.
	//
	// The query is Sugar's datastore's, in Go's types and without variants: text,
	// a bool or a number is itself (a number may be text too: shells can send
	// nothing else); a list is a slice of any type but []any; a pair is a []any of
	// two; {start, end} is a map[string]any. Keys that the datastore does not know
	// may be there too.
	Find(ctx context.Context, snapshot string, query map[string]any, properties []string) (found []map[string]any, count int, err error)
	FindIDs(ctx context.Context, snapshot string, query map[string]any) ([]string, error)
	// Properties are all of an entry's.
	Properties(ctx context.Context, snapshot, uid string) (map[string]any, error)
	// Filename is that of a copy, or a link, which the caller removes; "" where the
	// entry has no file.
	Filename(ctx context.Context, snapshot, uid string) (string, error)
	UniqueValues(ctx context.Context, snapshot, property string) ([]string, error)
	Reindex(ctx context.Context, progress func(Progress)) (Outcome, error)
	RestoreEntry(ctx context.Context, snapshot, uid string, progress func(Progress)) (Outcome, error)
	// ExportEntry writes the entry as a .xoj to an absolute path.
	ExportEntry(ctx context.Context, snapshot, uid, path string, progress func(Progress)) (Outcome, error)
}

// Triggers of a backup.
const (
	TriggerManual   = "manual"
	TriggerSchedule = "schedule"
	TriggerNetwork  = "network"
)

// RestoreRequest says what to restore, and how. Two that are equal are the same
// restore.
type RestoreRequest struct {
	Snapshot string // "" is the latest
	Replace  bool   // the whole Journal, else merge
	Deleted  bool   // merge: entries deleted here since come back too
}

// PhaseWaiting is the phase of a backup that waits for a busy server, and of a
// resumed restore between two tries. When a person asks for the same then, its
// ctx is cancelled, and the engine is called again, in the same job, as a person
// would have it: with TriggerManual, or by Restore. When a person asks for a
// restore while a backup waits, the backup's ctx is cancelled for good.
const PhaseWaiting = "waiting"

// Progress of a job. A total of 0 is not known (yet).
type Progress struct {
	Phase                                string
	Bytes, BytesDone                     int64
	Entries, EntriesDone, EntriesSkipped int
}

// Outcome of a job that did not fail.
type Outcome struct {
	Partial bool
	Message string // one sentence; for a partial one: what is missing, and why
}

// Availability is what CheckServer found.
type Availability struct {
	Available  bool
	Reason     string
	RetryAfter time.Duration
	Protocols  []int
}

// Snapshot is one of ListSnapshots; times are Unix seconds.
type Snapshot struct {
	ID              string
	Seq             uint64
	Time, Confirmed int64
	Entries         int
	Bytes           int64
	Account         string
}

// States that an engine reports; backing-up and restoring are the service's.
const (
	StateUnregistered = "unregistered"
	StateFirstBoot    = "first-boot"
	StateNewServer    = "new-server"
	StateIdle         = "idle"

	stateBackingUp = "backing-up"
	stateRestoring = "restoring"
)

// Status is what the properties of the service show.
type Status struct {
	State, StateReason      string
	Server, Account, Serial string
	LastBackup              int64 // Unix seconds; 0: never
	LastResult              string
	Entries                 int
}
