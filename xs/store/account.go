package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Account is what account.json holds.
type Account struct {
	Format   int       `json:"format"`
	ID       AccountID `json:"id"`
	Nick     string    `json:"nick"`
	Created  int64     `json:"created"` // Unix seconds
	Machines []Machine `json:"machines"`
	Keys     []Key     `json:"keys"`
	// Claims wait, or were decided: the oldest first.
	Claims []Claim `json:"claims,omitempty"`
	// Aliases are machines that an administrator named: they are let in when they
	// ask. An empty uuid stands for that of the first that does.
	Aliases []Machine `json:"aliases,omitempty"`
	// Codes that have not been used.
	Codes []CodeHash `json:"codes,omitempty"`
	// Pins are snapshots that are kept until a person has answered the offer of them.
	Pins []string `json:"pins,omitempty"`
	// Answered is the newest claim by which a person has answered.
	Answered ClaimID `json:"answered,omitempty"`
	// Dismissed is that claim if the answer was a new Journal, whatever was there.
	Dismissed ClaimID `json:"dismissed,omitempty"`

	events []Event // of the change that is being made
}

const accountFormat = 1

// Machine is one that this account's child has had.
type Machine struct {
	Serial Serial `json:"serial"`
	UUID   string `json:"uuid"`
	// Writes: its backups are taken. The others only read. At most one.
	Writes bool  `json:"writes"`
	Since  int64 `json:"since"`
}

// Kind is what a key is for.
type Kind string

const (
	// Owner is the profile's own key, sent by Sugar's registration.
	Owner Kind = "owner"
	// Backup is the key that xo-backupd made for itself.
	Backup Kind = "backup"
)

// Key lets its holder in.
type Key struct {
	Key    string `json:"key"` // an authorized_keys line without comment
	Kind   Kind   `json:"kind"`
	Serial Serial `json:"serial"` // the machine that it belongs to
	Added  int64  `json:"added"`
	// Claim is the claim that let it in, or the key that let it in.
	Claim ClaimID `json:"claim,omitempty"`
	// Former is the claim by which another machine, or another key of the same,
	// took its place. It reads, and no longer writes.
	Former ClaimID `json:"former,omitempty"`
}

// Bounds that no honest account comes near.
const (
	maxKeys     = 64
	maxMachines = 64
	maxNick     = 255
	maxUUID     = 64
)

// FindKey answers which of the account's keys this one is, and whether it is let in.
func (a *Account) FindKey(key ssh.PublicKey) (Key, bool) {
	line := keyLine(key)
	i := slices.IndexFunc(a.Keys, func(k Key) bool { return k.Key == line })
	if i < 0 {
		return Key{}, false
	}
	return a.Keys[i], a.lets(a.Keys[i])
}

// lets tells whether a key is let in: not, if its claim is frozen.
func (a *Account) lets(k Key) bool {
	if k.Claim == "" {
		return true
	}
	c := a.claim(k.Claim)
	return c != nil && c.State == Granted
}

// MayWrite tells whether backups over this key are taken: the profile's own
// key may, and those of the machine that writes, unless a claim took their place.
func (a *Account) MayWrite(k Key) bool {
	if k.Former != "" || !a.lets(k) {
		return false
	}
	return k.Kind == Owner || slices.ContainsFunc(a.Machines, func(m Machine) bool {
		return m.Writes && m.Serial == k.Serial
	})
}

// Writer is the machine that writes.
func (a *Account) Writer() (Machine, bool) {
	i := slices.IndexFunc(a.Machines, func(m Machine) bool { return m.Writes })
	if i < 0 {
		return Machine{}, false
	}
	return a.Machines[i], true
}

// has tells whether the account lists a machine of this serial.
func (a *Account) has(serial Serial) bool {
	return slices.ContainsFunc(a.Machines, func(m Machine) bool { return m.Serial == serial })
}

func decodeAccount(id AccountID, b []byte) (*Account, error) {
	var a Account
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, err
	}
	if a.Format != accountFormat {
		return nil, fmt.Errorf("format %d, not %d", a.Format, accountFormat)
	}
	if a.ID != id {
		return nil, fmt.Errorf("says it is account %q", a.ID)
	}
	return &a, nil
}

func (a *Account) encode() ([]byte, error) {
	b, err := json.MarshalIndent(a, "", "  ")
	return append(b, '\n'), err
}

func keyLine(key ssh.PublicKey) string {
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
}

// ParseKey reads a public key as Sugar's registration sends it, which is the
// base64 alone, or as one authorized_keys line. Its kind is in the base64.
func ParseKey(s string) (ssh.PublicKey, error) {
	for _, field := range strings.Fields(s) {
		blob, err := base64.StdEncoding.DecodeString(field)
		if err != nil || len(blob) < 8 {
			continue
		}
		key, err := ssh.ParsePublicKey(blob)
		if err != nil {
			return nil, fmt.Errorf("public key %.24q…: %w", field, err)
		}
		if _, ok := key.(*ssh.Certificate); ok {
			return nil, errors.New("a public key is wanted, not a certificate")
		}
		return key, nil
	}
	return nil, fmt.Errorf("not a public key: %.24q", s)
}
