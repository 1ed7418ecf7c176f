package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Hello opens an api session.
type Hello struct {
	Version int `json:"version"`
}

// BackupRequest opens a backup: what the XO has to offer.
type BackupRequest struct {
	Version int `json:"version"`
	// Digest names the whole tree (see datastore.Digest): if it is the latest
	// snapshot's, nothing has changed and nothing needs to move.
	Digest  string `json:"digest"`
	Entries int    `json:"entries"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
}

// RestoreRequest opens a restore.
type RestoreRequest struct {
	Version int `json:"version"`
	// UIDs are the entries wanted; none means all of the tree.
	UIDs []string `json:"uids,omitempty"`
}

// Actions of an Answer.
const (
	ActionPull      = "pull"      // the XS pulls: serve rsync now
	ActionConfirmed = "confirmed" // nothing has changed: Snapshot is the latest, confirmed
	ActionSend      = "send"      // the XS sends: receive by rsync now
	ActionServe     = "serve"     // api: HTTP/1.1 begins
)

// Answer is the XS's first line. Either Error is set and the channel ends, or
// Action says what comes next.
type Answer struct {
	Version  int       `json:"version"`
	Action   string    `json:"action,omitempty"`
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	Error    *Refusal  `json:"error,omitempty"`
}

// Report is one line on the channel's standard error: progress (Phase, Done,
// Total in entries), kept entries (Kept, as many lines as they need) or, last of
// all, the end (Snapshot or Error, and the rest of Kept).
type Report struct {
	Phase    string    `json:"phase,omitempty"`
	Done     int       `json:"done,omitempty"`
	Total    int       `json:"total,omitempty"`
	End      bool      `json:"end,omitempty"`
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	Kept     []Kept    `json:"kept,omitempty"`
	Error    *Refusal  `json:"error,omitempty"`
}

// Kept is an entry of which the new snapshot holds an older whole version, or
// none (Missing), because this time it did not arrive whole.
type Kept struct {
	UID     string `json:"uid"`
	Reason  string `json:"reason"`
	Missing bool   `json:"missing,omitempty"`
}

// Reasons of a Refusal. The XO tells by them what is worth another try.
const (
	RefusedVersion       = "version"        // a protocol that this XS does not speak
	RefusedBusy          = "busy"           // load, or no free slot: come again
	RefusedInUse         = "in-use"         // this account is being backed up from elsewhere: come again
	RefusedFull          = "full"           // the XS's disk
	RefusedNotRegistered = "not-registered" // the XS knows no such account, or the key not any more: register
	RefusedReadOnly      = "read-only"      // another machine is the one that writes this account
	RefusedNoSnapshot    = "no-snapshot"    // what was asked for does not exist
	RefusedNoEntry       = "no-entry"       // the snapshot does, and has no such entry
	RefusedInput         = "input"          // what the XO sent breaks the rules
	RefusedClaim         = "claim"          // the code is not right, or no more
	RefusedDamaged       = "damaged"        // the snapshot that was asked for: nobody can tell what is in it
	RefusedFailed        = "failed"         // anything else on the XS's side: come again
)

// Refusal says why not, in one sentence that a teacher understands.
type Refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// RetryAfter is how many seconds to wait before another try; 0: no advice.
	RetryAfter int `json:"retry_after,omitempty"`
}

func (r *Refusal) Error() string { return r.Message }

// Snapshot is one complete, verified copy of a Journal on the XS.
type Snapshot struct {
	ID        string `json:"id"`        // 2026-11-23T21-30-05Z
	Seq       uint64 `json:"seq"`       // orders snapshots whatever the clocks say
	Time      int64  `json:"time"`      // Unix seconds, of the XS's clock
	Confirmed int64  `json:"confirmed"` // the last time that nothing had changed
	Entries   int    `json:"entries"`
	Bytes     int64  `json:"bytes"` // of all files
	Account   string `json:"account"`
	Machine   string `json:"machine,omitempty"` // the serial it came from
	Digest    string `json:"digest"`
	// Claim is the claim by which the key of this backup had been let in, if any.
	Claim string `json:"claim,omitempty"`
	// Pinned: the next one held less than half of it, or came from a machine that
	// had just been let in. It is kept, and offered first, until a PinAnswer.
	Pinned bool `json:"pinned,omitempty"`
}

// Entry is one line of GET /snapshots/ID/entries: what the XO needs to decide
// whether it wants the entry, without its preview.
type Entry struct {
	UID     string `json:"uid"`
	Version string `json:"version"` // datastore.Entry.Version
	Size    int64  `json:"size"`    // bytes of all its files
	// DataSize is the length of its data in bytes; 0 also where it has none.
	DataSize int64 `json:"data_size,omitempty"`
	// Metadata without preview; values that are not UTF-8 text are left out.
	Metadata map[string]string `json:"metadata"`
	// Damaged, if not empty, says in words why the XS cannot tell the rest: the
	// entry's metadata there is not what was backed up. Only UID is set besides.
	Damaged string `json:"damaged,omitempty"`
}

// MaxLine bounds a line of JSON: 10,000 uids fit.
const MaxLine = 1 << 20

// ErrLineTooLong is answered by ReadLine for a line over MaxLine.
var ErrLineTooLong = errors.New("line of JSON is longer than 1 MiB")

// ReadLine reads one line of JSON from r into v. Bytes behind the line stay in r.
func ReadLine(r *bufio.Reader, v any) error {
	var line []byte
	for {
		chunk, err := r.ReadSlice('\n')
		line = append(line, chunk...)
		if len(line) > MaxLine {
			return ErrLineTooLong
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("line of JSON: %w", err)
	}
	return nil
}

// WriteLine writes v as one line of JSON.
func WriteLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) >= MaxLine {
		return ErrLineTooLong
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
