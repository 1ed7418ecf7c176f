package dbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	godbus "github.com/godbus/dbus/v5"
)

// ErrorPrefix begins the name of every error of the contract.
const ErrorPrefix = BusName + ".Error."

// Errors of the contract: the last words of their names.
const (
	NotRegistered     = "NotRegistered"
	ServerUnavailable = "ServerUnavailable"
	ServerBusy        = "ServerBusy"
	ServerRefused     = "ServerRefused"
	WrongServer       = "WrongServer"
	NoSnapshot        = "NoSnapshot"
	NoEntry           = "NoEntry"
	ClaimRefused      = "ClaimRefused"
	DiskFull          = "DiskFull"
	Busy              = "Busy"
	Cancelled         = "Cancelled"
	Damaged           = "Damaged"
	ReadOnly          = "ReadOnly"
	InvalidArgument   = "InvalidArgument"
	Failed            = "Failed"
)

var errorWords = []string{
	NotRegistered, ServerUnavailable, ServerBusy, ServerRefused, WrongServer, NoSnapshot, NoEntry, ClaimRefused,
	DiskFull, Busy, Cancelled, Damaged, ReadOnly, InvalidArgument, Failed,
}

// Errors that D-Bus itself names.
const (
	notSupported     = "org.freedesktop.DBus.Error.NotSupported"
	invalidArgs      = "org.freedesktop.DBus.Error.InvalidArgs"
	unknownObject    = "org.freedesktop.DBus.Error.UnknownObject"
	unknownInterface = "org.freedesktop.DBus.Error.UnknownInterface"
	unknownMethod    = "org.freedesktop.DBus.Error.UnknownMethod"
	unknownProperty  = "org.freedesktop.DBus.Error.UnknownProperty"
	propertyReadOnly = "org.freedesktop.DBus.Error.PropertyReadOnly"
)

// Causes of a cancelled job's context.
var (
	ErrCancelled = errors.New("it was cancelled")
	ErrEnding    = errors.New("the backup service was asked to end")
)

// backupError is how an engine names its errors.
type backupError interface {
	BackupError() (name, message string)
}

// fault is an error with its D-Bus name, made here.
type fault struct{ name, message string }

func (f *fault) Error() string { return f.message }

func refuse(word, format string, args ...any) error {
	return &fault{ErrorPrefix + word, fmt.Sprintf(format, args...)}
}

func protest(name, format string, args ...any) error {
	return &fault{name, fmt.Sprintf(format, args...)}
}

// translate gives an error its D-Bus name and the sentence that goes with it.
func translate(err error) (name, message string) {
	var (
		own    *fault
		theirs backupError
	)
	switch {
	case errors.As(err, &own):
		return own.name, clean(own.message)
	case errors.As(err, &theirs):
		word, message := theirs.BackupError()
		if !slices.Contains(errorWords, word) {
			word = Failed
		}
		if message == "" {
			message = err.Error()
		}
		return ErrorPrefix + word, clean(message)
	case errors.Is(err, context.DeadlineExceeded):
		return ErrorPrefix + ServerUnavailable, "The school server did not answer in time: try again later."
	case errors.Is(err, context.Canceled):
		return ErrorPrefix + Cancelled, "It was cancelled."
	default:
		return ErrorPrefix + Failed, clean(err.Error())
	}
}

func toDBus(err error) *godbus.Error {
	name, message := translate(err)
	return godbus.NewError(name, []any{message})
}

// maxText bounds what is said in one property, argument or record: far more
// than a sentence, far less than what a bus daemon refuses.
const maxText = 4096

// clean makes text that D-Bus can carry.
func clean(text string) string {
	text = carried(text)
	if len(text) <= maxText {
		return text
	}
	cut := maxText
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
