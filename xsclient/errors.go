package xsclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/wire"
)

// Code is the kind of an Error: the last word of its D-Bus name.
type Code string

// Codes of errors.
const (
	NotRegistered     Code = "NotRegistered"     // the XS does not know this laptop
	ServerUnavailable Code = "ServerUnavailable" // the XS is away, or does not answer as one
	ServerBusy        Code = "ServerBusy"        // come again, after RetryAfter
	ServerRefused     Code = "ServerRefused"     // final until a person does something
	WrongServer       Code = "WrongServer"       // not the server that is trusted; nothing was sent
	NoSnapshot        Code = "NoSnapshot"
	NoEntry           Code = "NoEntry"      // the snapshot, or the Journal, has no such entry
	ClaimRefused      Code = "ClaimRefused" // this laptop is not let in, or not with this code
	DiskFull          Code = "DiskFull"     // here
	Busy              Code = "Busy"         // another kind of work is not over
	Damaged           Code = "Damaged"      // what came back is not what was sent
	InvalidArgument   Code = "InvalidArgument"
	Failed            Code = "Failed"
)

// Error is what a Client answers where somebody may branch on it or read it.
type Error struct {
	Code Code
	// Message is one sentence that a teacher understands; it names the next
	// step where there is one.
	Message string
	// RetryAfter is the server's advice; 0: none.
	RetryAfter time.Duration
	// Err is what lies beneath, for the log.
	Err error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + " (" + e.Err.Error() + ")"
}

func (e *Error) Unwrap() error { return e.Err }

// BackupError answers what goes over D-Bus: the last word of the error's name
// and its message.
func (e *Error) BackupError() (name, message string) { return string(e.Code), e.Message }

// errForgotten is a server that does not let in whom it registered once.
func errForgotten(err error) error {
	return &Error{Code: NotRegistered, Message: "The school server does not know this laptop: choose Register while it is in reach.", Err: err}
}

// errNotRegistered is the error of whatever needs an account, before there is
// one.
func errNotRegistered() error {
	return &Error{Code: NotRegistered, Message: "This laptop is not registered with a school server yet: choose Register while it is in reach."}
}

// unavailable is a server that is away or fell silent.
func unavailable(message string, err error) error {
	return &Error{Code: ServerUnavailable, Message: message, Err: err}
}

// badAnswer is a server that answers what no XS would; what says which.
func badAnswer(what string) error {
	return &Error{
		Code:    ServerUnavailable,
		Message: "The school server gave an answer that makes no sense; please tell whoever looks after it.",
		Err:     nonsense(what),
	}
}

// nonsense is what a server said that no XS would: to ask again is no use.
type nonsense string

func (n nonsense) Error() string { return string(n) }

// fullDisk says so where an error is about that, and hands on every other.
func fullDisk(err error) error {
	var known *Error
	if errors.As(err, &known) || !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	return diskFull(err)
}

func diskFull(err error) error {
	return &Error{
		Code:    DiskFull,
		Message: "The laptop's disk is full: remove something from the Journal or empty its trash, then try again.",
		Err:     err,
	}
}

// refused turns the XS's "no" into an Error.
func refused(r *wire.Refusal) error {
	e := &Error{
		Code:       refusalCode(r.Code),
		Message:    sentence(r.Message),
		RetryAfter: retryAfter(r.RetryAfter),
		Err:        fmt.Errorf("the server refused: %.40q", r.Code),
	}
	if e.Message == "" {
		e.Message = "The school server refused and did not say why."
	}
	return e
}

func refusalCode(code string) Code {
	switch code {
	case wire.RefusedBusy, wire.RefusedInUse:
		return ServerBusy
	case wire.RefusedFull, wire.RefusedReadOnly, wire.RefusedVersion, wire.RefusedInput:
		return ServerRefused
	case wire.RefusedNotRegistered:
		return NotRegistered
	case wire.RefusedNoSnapshot:
		return NoSnapshot
	case wire.RefusedNoEntry:
		return NoEntry
	case wire.RefusedClaim:
		return ClaimRefused
	case wire.RefusedDamaged:
		return Damaged
	default:
		return Failed
	}
}

// maxRetryAfter bounds a server's advice: nobody is sent away for more than a
// day by a wrong number.
const maxRetryAfter = 24 * time.Hour

func retryAfter(seconds int) time.Duration {
	most := int(maxRetryAfter / time.Second) // before it can overflow
	return time.Duration(min(max(seconds, 0), most)) * time.Second
}

// inWords is an error as a person may read it.
func inWords(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return sentence(err.Error())
}

// sentence makes another program's text fit for a person's eyes: one line,
// printable, of bounded length.
func sentence(s string) string {
	const most = 300
	var b strings.Builder
	n := 0
	for _, r := range strings.ToValidUTF8(s, "?") {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// cancelled answers ctx's own error if the caller has given up, else nil: then
// nothing that a broken connection says matters any more. Running out of time
// is not giving up.
func cancelled(ctx context.Context) error {
	if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
