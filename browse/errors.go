package browse

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index"
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

// explain gives errors that anything here can have their words.
func explain(err error) error {
	switch {
	case errors.Is(err, index.ErrBuilding):
		return &Error{Code: "Busy", Message: "That is just being made ready: try again in a moment.", Err: err}
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return diskFull(err)
	}
	return err
}

func diskFull(err error) error {
	return &Error{Code: "DiskFull", Message: "The laptop's disk is full: remove something from the Journal or empty its trash, then try again.", Err: err}
}

// least is what is left free on the laptop's disk: Sugar needs room to start and to
// save. An index may take some of it; a snapshot's files may not.
const (
	leastForIndex = 10 << 20
	leastForFiles = 50 << 20
)

// room checks that after writing size bytes below dir so much is left.
func room(dir string, size, least int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < size+least {
		return diskFull(fmt.Errorf("%d bytes are free", free))
	}
	return nil
}
