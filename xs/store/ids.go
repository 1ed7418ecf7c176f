package store

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// AccountID names an account, and its folder under the root. Only
// ParseAccountID and newAccountID make one.
type AccountID string

// SnapshotID names a snapshot: the moment it was made, in UTC.
type SnapshotID string

// Serial is a machine's serial number. It may be empty or say nothing; it is
// never longer or odder than an AccountID.
type Serial string

const (
	// snapshotLayout has no colon, so that any file system takes it.
	snapshotLayout = "2006-01-02T15-04-05Z"
	// Latest stands for the newest snapshot where an ID is asked for.
	Latest = "latest"
	// claimUser is the SSH user that no account may be called.
	claimUser = wire.ClaimUser
)

// NameError says which name was refused, and why.
type NameError struct{ What, Name, Why string }

func (e *NameError) Error() string {
	name := e.Name
	if len(name) > 40 {
		name = fmt.Sprintf("%.40q… (%d bytes)", name, len(name))
	} else {
		name = fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("%s %s: %s", e.What, name, e.Why)
}

// ParseAccountID accepts letters, digits, - and _, beginning with a letter or
// digit: no dot, so that no account is hidden, climbs, or is called .xs.
func ParseAccountID(s string) (AccountID, error) {
	why := wire.CheckName(s)
	if why == "" && s == claimUser {
		why = "is the name that claims come under"
	}
	if why != "" {
		return "", &NameError{"account name", s, why}
	}
	return AccountID(s), nil
}

// ParseSerial accepts what ParseAccountID does, and the empty serial.
func ParseSerial(s string) (Serial, error) {
	if s == "" {
		return "", nil
	}
	if why := wire.CheckName(s); why != "" {
		return "", &NameError{"serial number", s, why}
	}
	return Serial(s), nil
}

// ParseSnapshotID accepts exactly what a snapshot's moment looks like.
func ParseSnapshotID(s string) (SnapshotID, error) {
	t, err := time.Parse(snapshotLayout, s)
	if err != nil || t.Format(snapshotLayout) != s {
		return "", &NameError{"snapshot name", s, "not of the form 2026-11-23T21-30-05Z"}
	}
	return SnapshotID(s), nil
}

// newAccountID makes an id that says nothing of anybody.
func newAccountID() AccountID {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return AccountID("account-" + hex.EncodeToString(b[:]))
}
