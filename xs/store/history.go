package store

import (
	"encoding/json"
	"errors"
	"os"
)

// historyFile tells, a line each, who was let into an account, when and how.
const historyFile = "history.jsonl"

// maxAsked is where the history no longer takes what anybody may cause, so that
// what persons decided always finds room.
const maxAsked = 1 << 20

// Event is one line of the history.
type Event struct {
	Time   int64  `json:"time"` // Unix seconds
	Event  string `json:"event"`
	Claim  string `json:"claim,omitempty"`
	Serial Serial `json:"serial,omitempty"`
	UUID   string `json:"uuid,omitempty"`
	Nick   string `json:"nick,omitempty"`
	Sign   string `json:"sign,omitempty"`
	By     How    `json:"by,omitempty"`
	// Key is the fingerprint of the key that it is about.
	Key      string `json:"key,omitempty"`
	Snapshot string `json:"snapshot,omitempty"`
	// idle: anybody may cause it.
	idle bool
}

// note has the event written with the next version of account.json.
func (a *Account) note(e Event) { a.events = append(a.events, e) }

// noteClaim does so for what happens to a claim.
func (a *Account) noteClaim(now int64, event string, c *Claim, by How) {
	a.note(Event{Time: now, Event: event, Claim: string(c.ID), Serial: c.Serial, UUID: c.UUID, Nick: c.Nick, Sign: c.Sign,
		By: by, Key: Fingerprint(c.Key)})
}

// writeEvents appends to the account's history, durably. It comes before the
// change itself: a cut may leave a line of what did not happen yet, and never
// something that happened without its line.
func (s *Store) writeEvents(id AccountID, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	f, err := s.root.OpenFile(string(id)+"/"+historyFile, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	var b []byte
	if n := fi.Size(); n > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, n-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			b = append(b, '\n') // a cut left half a line
		}
	}
	for _, e := range events {
		if e.idle && fi.Size() > maxAsked {
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		b = append(append(b, line...), '\n')
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	err = f.Sync()
	if fi.Size() == 0 {
		err = errors.Join(err, syncDir(s.root, string(id)))
	}
	return err
}
