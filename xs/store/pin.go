package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// maxPins of one account: a laptop that loses half of its Journal again and again
// must not keep everything for ever.
const maxPins = 8

// pins tells whether the snapshot before rec is to be kept until a person has
// answered: rec holds less than half of it, or is the first of who was let in.
func (t *taking) pins(rec wire.Snapshot) (bool, error) {
	before := t.newest
	if before.ID == "" || before.Entries == 0 {
		return false, nil
	}
	less, first := 2*rec.Entries < before.Entries, rec.Claim != "" && rec.Claim != before.Claim
	if !first {
		return less, nil
	}
	a, err := t.store.Account(t.ID)
	if err != nil {
		return false, err
	}
	claim := ClaimID(rec.Claim)
	return a.Dismissed != claim && (less || a.Answered != claim), nil
}

// pinBefore pins the newest snapshot where rec, which is about to follow it, says
// so. A pin without its reason is harmless, so it is on the disk first.
func (t *taking) pinBefore(ctx context.Context, rec wire.Snapshot) error {
	if yes, err := t.pins(rec); err != nil || !yes {
		return err
	}
	return t.store.edit(ctx, t.ID, func(a *Account) error {
		if slices.Contains(a.Pins, t.newest.ID) {
			return nil
		}
		if len(a.Pins) >= maxPins {
			a.Pins = slices.Delete(a.Pins, 1, 2) // the first is from before it all began
		}
		a.Pins = append(a.Pins, t.newest.ID)
		a.note(Event{Time: t.store.now().Unix(), Event: "pinned", Snapshot: t.newest.ID, Claim: rec.Claim})
		return nil
	})
}

// AnswerPin takes the pins away, or that of one snapshot: a person has restored it,
// or does not want it. via is the key of the session that says so.
func (s *Store) AnswerPin(ctx context.Context, id AccountID, via Key, answer wire.PinAnswer) error {
	if answer.Answer != wire.PinRestored && answer.Answer != wire.PinDismissed {
		return &NameError{"answer", answer.Answer, fmt.Sprintf("is neither %s nor %s", wire.PinRestored, wire.PinDismissed)}
	}
	if answer.Snapshot != "" {
		if _, err := ParseSnapshotID(answer.Snapshot); err != nil {
			return err
		}
	}
	return s.edit(ctx, id, func(a *Account) error {
		if !a.MayWrite(via) {
			return ErrNotWriter
		}
		before := len(a.Pins)
		a.Pins = slices.DeleteFunc(a.Pins, func(pin string) bool { return answer.Snapshot == "" || pin == answer.Snapshot })
		if len(a.Pins) < before || a.Answered != via.Claim {
			a.note(Event{Time: s.now().Unix(), Event: answer.Answer, Snapshot: answer.Snapshot, Claim: string(via.Claim), Serial: via.Serial})
		}
		a.Answered, a.Dismissed = via.Claim, ""
		if answer.Answer == wire.PinDismissed {
			a.Dismissed = via.Claim
		}
		return nil
	})
}

// withPins notes in the records which are pinned.
func (f *Folder) withPins(list []wire.Snapshot) error {
	a, err := f.store.Account(f.ID)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].Pinned = slices.Contains(a.Pins, list[i].ID)
	}
	return nil
}

// owner is whose Journal a snapshot is.
func (f *Folder) owner(id string) (datastore.Owner, error) {
	snap, err := f.Snapshot(id)
	if err != nil {
		return datastore.Owner{}, err
	}
	defer snap.Close()
	j, err := datastore.ReadJournal(snap.FS())
	if err != nil {
		return datastore.Owner{}, err
	}
	return j.Owner, nil
}
