package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"time"
)

// A Source makes, in the child, the tree that it sends. It may report what its
// parent wants to know before the transfer begins. Files of the tree must be
// io.Seekers.
type Source func(ctx context.Context, spec json.RawMessage, report func(any)) (fs.FS, error)

// Allow answers why a name must not be in a received tree, which the error names,
// or nil. The size of a folder is 0, perm has permission bits only.
type Allow func(name string, dir bool, size int64, perm fs.FileMode) error

// SourceDir is the Source that every child has: a folder (see Dir).
const SourceDir = "dir"

// A Job is what one child does. Either Send or Receive is set.
type Job struct {
	// Send names the Source that makes the tree, from Spec.
	Send string          `json:"send,omitempty"`
	Spec json.RawMessage `json:"spec,omitempty"`
	// Args, if not nil, are the arguments of "rsync --server --sender …" by
	// which a stock rsync asks (see ParseArgs): options and, last, the path
	// within the Source's tree. Nil is our own client.
	Args []string `json:"args,omitempty"`

	// Receive is the folder to receive into. It must exist.
	Receive string `json:"receive,omitempty"`
	// Delete removes from Receive what the sender does not list.
	Delete bool `json:"delete,omitempty"`

	// Read and Write are the files and folders that the child keeps access to.
	Read  []string `json:"read,omitempty"`
	Write []string `json:"write,omitempty"`

	Limits Limits `json:"limits"`
}

// Limits of a child; 0 is the default.
type Limits struct {
	Memory   int64         `json:"memory"`    // bytes on top of a fresh child's; 128 MiB
	FileSize int64         `json:"file_size"` // bytes of one file received; no limit
	Total    int64         `json:"total"`     // bytes of all files listed; no limit
	Files    int           `json:"files"`     // files and folders listed; 200,000
	Time     time.Duration `json:"time"`      // of Run; 24 hours

	// What stays free of the file system that is received into, whoever else
	// writes to it; none.
	KeepBytes  int64 `json:"keep_bytes,omitempty"`
	KeepInodes int64 `json:"keep_inodes,omitempty"`
}

const noLimit = 1 << 62

func (l Limits) withDefaults() Limits {
	orDefault(&l.Memory, 128<<20)
	orDefault(&l.FileSize, noLimit)
	orDefault(&l.Total, noLimit)
	orDefault(&l.Files, 200_000)
	orDefault(&l.Time, 24*time.Hour)
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Stats of a transfer that ended well.
type Stats struct {
	Sent     int64 `json:"-"` // bytes written to the peer
	Received int64 `json:"-"` // bytes read from the peer

	Listed     int      `json:"listed,omitempty"`     // receive: files and folders in the list
	Size       int64    `json:"size,omitempty"`       // receive: bytes of all files listed
	Moved      int      `json:"moved,omitempty"`      // files that travelled
	Deleted    int      `json:"deleted,omitempty"`    // receive: files and folders removed
	Incomplete bool     `json:"incomplete,omitempty"` // receive: the sender could not list all; nothing was deleted
	Memory     int64    `json:"memory,omitempty"`     // bytes, the child's peak resident set
	Confined   []string `json:"confined,omitempty"`   // which of landlock, seccomp hold
}

// Kind tells errors apart that callers treat differently.
type Kind string

const (
	Refused Kind = "refused" // the peer broke the rules; the message names the thing
	Full    Kind = "full"    // no space, inodes or quota left here
	Limit   Kind = "limit"   // a limit of the Job's was met
	Cut     Kind = "cut"     // the connection ended before the transfer did
	Failed  Kind = "failed"  // anything else
)

// Error is what Start, Ready and Run fail with, besides ctx's own.
type Error struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

func refusef(format string, a ...any) *Error {
	return &Error{Kind: Refused, Message: fmt.Sprintf(format, a...)}
}

// quote shortens and escapes what a peer sent, for a message.
func quote[T string | []byte](s T) string {
	const most = 80
	if len(s) <= most {
		return fmt.Sprintf("%q", string(s))
	}
	return fmt.Sprintf("%q… (%d bytes)", string(s[:most]), len(s))
}
