package xsclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/wire"
)

const (
	stateFile    = "state.json"
	stateVersion = 1
	// maxState is far above any state file.
	maxState = 1 << 20
)

// state is what the daemon must still know after a restart.
type state struct {
	Version int `json:"version"`
	// Account is whom the XS knows us as; "" before a registration.
	Account string `json:"account,omitempty"`
	// Enrolled: the XS has let our backup key in.
	Enrolled bool `json:"enrolled,omitempty"`
	// Claimed: it came by a claim, and not by a registration.
	Claimed bool `json:"claimed,omitempty"`
	// Claim is one that is not decided yet.
	Claim claim `json:"claim,omitzero"`
	// FirstBoot: nobody has answered yet whose laptop this is, whatever has been
	// done on it meanwhile.
	FirstBoot bool `json:"first_boot,omitempty"`
	// Offered: the XS had something to offer when it was last asked.
	Offered bool `json:"offered,omitempty"`
	// Answer is what was said to the offer last: later, afresh or not-me.
	Answer string `json:"answer,omitempty"`
	// Pin is what the XS is still to be told about the snapshot that it offers.
	Pin wire.PinAnswer `json:"pin,omitzero"`
	// OwnerKey is the fingerprint of Sugar's key once the XS has let it in with
	// ours.
	OwnerKey string `json:"owner_key,omitempty"`
	// Server is the URL of the XS's http listener that the account is on.
	Server string `json:"server,omitempty"`
	// SSH is host:port of its ssh listener, as last seen.
	SSH string `json:"ssh,omitempty"`
	// HostKey is pinned: an authorized_keys line. "" with a deployment key.
	HostKey string `json:"host_key,omitempty"`
	// SeenKey is what another server showed instead, until it is trusted or
	// the right one is back.
	SeenKey string `json:"seen_key,omitempty"`
	// LastBackup is when the server last confirmed, by its own clock, that it
	// has the Journal, Unix seconds. A partial backup counts: all that can be
	// read is safe then, and LastResult says what cannot.
	LastBackup int64 `json:"last_backup,omitempty"`
	// Boot is the same moment, as no clock can get it wrong.
	Boot boot `json:"boot,omitzero"`
	// LastResult is how the last backup ended, in words, a failed one too.
	LastResult string `json:"last_result,omitempty"`
	// Entries is how many entries the last backup holds.
	Entries int `json:"entries,omitempty"`
}

// stateKeeper guards the state and its file.
type stateKeeper struct {
	path string

	mu   sync.Mutex
	now  state
	news string // why the state began anew, in words; "" if it did not
}

func newState(dir string) *stateKeeper { return &stateKeeper{path: filepath.Join(dir, stateFile)} }

// load reads the state. A damaged file is kept aside and the state begins anew;
// the error then says so, and the keeper can be used. It may be read again, where
// another daemon may have changed it since.
func (k *stateKeeper) load() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = state{Version: stateVersion}
	b, err := readLimited(k.path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the state: %w", err)
	}
	now, err := decodeState(b)
	if err == nil {
		k.now = now
		return nil
	}
	aside := k.path + ".damaged"
	if renameErr := os.Rename(k.path, aside); renameErr != nil {
		return fmt.Errorf("the state file %s is damaged: %w; and cannot be moved aside: %w", k.path, err, renameErr)
	}
	k.news = "What this laptop knew about its school server was damaged (it is kept in " + aside + "): choose Register again."
	return &damagedState{aside, err}
}

// damagedState is a state file that was moved aside.
type damagedState struct {
	aside string
	err   error
}

func (e *damagedState) Error() string {
	return fmt.Sprintf("the state file was damaged; it is kept as %s, and the state begins anew: %v", e.aside, e.err)
}

func (e *damagedState) Unwrap() error { return e.err }

func decodeState(b []byte) (state, error) {
	var s state
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&s); err != nil {
		return state{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return state{}, errors.New("more than one JSON value")
	}
	if s.Version != stateVersion {
		return state{}, fmt.Errorf("version %d, want %d", s.Version, stateVersion)
	}
	if s.Account != "" {
		if err := checkAccount(s.Account); err != nil {
			return state{}, err
		}
	}
	return s, nil
}

// get answers a copy.
func (k *stateKeeper) get() state {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// why answers why the state began anew, "" if it did not.
func (k *stateKeeper) why() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.news
}

// update changes the state and keeps the change, or answers why not and
// changes nothing. Where nothing differs nothing is written: flash wears out.
func (k *stateKeeper) update(change func(*state)) (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.now
	change(&next)
	if next == k.now {
		return false, nil
	}
	b, err := json.MarshalIndent(next, "", "\t")
	if err != nil {
		return false, err
	}
	if err := profile.MakeDir(filepath.Dir(k.path), 0o700); err != nil {
		return false, fmt.Errorf("keeping the state: %w", err)
	}
	if err := profile.WriteFile(k.path, append(b, '\n'), 0o600); err != nil {
		return false, fmt.Errorf("keeping the state: %w", err)
	}
	k.now = next
	k.news = ""
	return true, nil
}

func readLimited(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return b, err
}
