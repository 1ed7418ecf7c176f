package browse

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// Error is one that a client may branch on: the last word of its D-Bus name, and a
// sentence.
type Error struct {
	Code, Message string
	Err           error
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Err }

// BackupError answers what goes over D-Bus.
func (e *Error) BackupError() (name, message string) { return e.Code, e.Message }

func invalid(what string, err error) error {
	return &Error{Code: "InvalidArgument", Message: fmt.Sprintf("%s: %v.", what, err), Err: err}
}

func noEntry(uid datastore.UID) error {
	return &Error{Code: "NoEntry", Message: fmt.Sprintf("There is no entry %s.", uid)}
}

// ofEntry says in words what an error about an entry's files means.
func ofEntry(uid datastore.UID, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return noEntry(uid)
	}
	return err
}

// fullDisk says so where an error is about that.
func fullDisk(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return &Error{Code: "DiskFull", Message: "The laptop's disk is full: remove something from the Journal or empty its trash, then try again.", Err: err}
	}
	return err
}
