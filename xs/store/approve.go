package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// ErrNoClaim: nobody asks for what was to be answered.
var ErrNoClaim = errors.New("nobody asks to be let in")

// SignsError: several ask, and a person has to say which is meant.
type SignsError struct {
	Account AccountID
	Signs   []string
}

func (e *SignsError) Error() string {
	return fmt.Sprintf("several ask to be let into %s: add --sign '%s'", e.Account, strings.Join(e.Signs, "' or --sign '"))
}

// Approve lets in who waits for the account: by its sign, or whoever it is if just
// one does. What was frozen is let in for good.
func (s *Store) Approve(ctx context.Context, id AccountID, word string) (Claim, error) {
	return s.answer(ctx, id, word, []State{Waits, Frozen}, func(a *Account, c *Claim, now int64) error {
		if c.State == Granted {
			return nil // a cut left the request behind
		}
		frozen := c.State == Frozen
		if err := a.grant(c, ByPerson, now); err != nil {
			return err
		}
		if frozen {
			a.settle(c)
		}
		return nil
	})
}

// Refuse turns away who waits, and takes back what was granted.
func (s *Store) Refuse(ctx context.Context, id AccountID, word string) (Claim, error) {
	no := func(a *Account, c *Claim, now int64) error {
		event := "refused"
		if c.State != Waits {
			event = "taken back"
		}
		a.takeBack(c, now)
		a.noteClaim(now, event, c, ByPerson)
		return nil
	}
	c, err := s.answer(ctx, id, word, []State{Waits, Frozen}, no)
	if errors.Is(err, ErrNoClaim) {
		return s.answer(ctx, id, word, []State{Granted}, no)
	}
	return c, err
}

// Leave takes the claim of a key back because its own holder says so: it was
// another child's account. Nothing of it stays but the lines in the history.
func (s *Store) Leave(ctx context.Context, c Claimant, want string) (Outcome, error) {
	out := Outcome{State: noClaim}
	id, err := ParseAccountID(want)
	if err != nil {
		return out, err
	}
	if _, err := s.Account(id); errors.Is(err, ErrNoAccount) {
		return out, nil // no answer tells which accounts there are
	}
	line := keyLine(c.Key)
	if err := s.leave(ctx, id, line); err != nil {
		return out, err
	}
	return out, s.unqueue(ctx, line)
}

// leave takes back what the key has claimed of the account, the newest first.
func (s *Store) leave(ctx context.Context, id AccountID, line string) error {
	return s.edit(ctx, id, func(a *Account) error {
		now := s.now().Unix()
		for {
			claim := a.claimThat(func(k *Claim) bool { return k.Key == line && k.State != Refused })
			if claim == nil {
				return nil
			}
			left := claim.ID
			a.noteClaim(now, "left", claim, claim.By)
			a.takeBack(claim, now)
			a.Claims = slices.DeleteFunc(a.Claims, func(k Claim) bool { return k.ID == left })
		}
	})
}

// leaveAll takes the key out of all accounts that it has come into by a claim.
func (s *Store) leaveAll(ctx context.Context, key ssh.PublicKey) error {
	if err := s.refresh(ctx); err != nil {
		return err
	}
	line := keyLine(key)
	holders, _ := s.under(keyWord(line))
	for _, a := range holders {
		if a.broughtIn(line) == nil {
			continue
		}
		if err := s.leave(ctx, a.ID, line); err != nil {
			return err
		}
	}
	return nil
}

// answer does what a person decided of a claim in one of the states.
func (s *Store) answer(ctx context.Context, id AccountID, word string, states []State, do func(*Account, *Claim, int64) error) (answered Claim, err error) {
	word = signOf(word)
	var strangers []Request
	if slices.Contains(states, Waits) {
		if strangers, err = s.strangersFor(id, word); err != nil {
			return answered, err
		}
	}
	var stranger *Request
	err = s.edit(ctx, id, func(a *Account) error {
		now := s.now().Unix()
		var found []*Claim
		for i := range a.Claims {
			c := &a.Claims[i]
			if slices.Contains(states, c.State) && c.current(now) && (word == "" || c.Sign == word) {
				found = append(found, c)
			}
		}
		if word == "" && states[0] == Granted && len(found) > 1 {
			found = found[len(found)-1:] // the newest is the one that writes
		}
		if len(found)+len(strangers) > 1 {
			return manySigns(id, found, strangers)
		}
		if len(found) == 0 {
			if len(strangers) == 0 {
				return fmt.Errorf("%w: account %s; 'xs-backupd accounts' shows who does", ErrNoClaim, id)
			}
			stranger = &strangers[0]
			c, err := a.enter(stranger.Claim, now)
			if err != nil {
				return err
			}
			found = []*Claim{c}
		}
		// do may move what it is given.
		kept := *found[0]
		if err := do(a, found[0], now); err != nil {
			return err
		}
		answered = kept
		if c := a.claim(kept.ID); c != nil {
			answered = *c
		}
		return nil
	})
	if err == nil && stranger != nil {
		err = s.dequeue(ctx, *stranger)
	}
	return answered, err
}

// strangersFor lists the requests of machines that are not recognised: those that
// name the account, and any that has the sign.
func (s *Store) strangersFor(id AccountID, word string) ([]Request, error) {
	list, err := s.Requests()
	return slices.DeleteFunc(list, func(r Request) bool {
		if word != "" {
			return r.Sign != word || r.Account != "" && r.Account != string(id)
		}
		return r.Account != string(id)
	}), err
}

func manySigns(id AccountID, found []*Claim, strangers []Request) error {
	e := &SignsError{Account: id}
	for _, c := range found {
		e.Signs = append(e.Signs, c.Sign)
	}
	for _, r := range strangers {
		e.Signs = append(e.Signs, r.Sign)
	}
	return e
}

// Grant is a claim that was granted, with its account.
type Grant struct {
	Account AccountID
	Claim   Claim
}

// ApproveAll lets in all that wait and are recognised as the machine that wrote.
func (s *Store) ApproveAll(ctx context.Context) (granted []Grant, err error) {
	ids, err := s.Accounts()
	if err != nil {
		return nil, err
	}
	var failed error
	for _, id := range ids {
		a, err := s.Account(id)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("account %s: %w", id, err))
			continue
		}
		if a.claimThat(func(c *Claim) bool { return c.State == Waits }) == nil {
			continue
		}
		c, err := s.approveWriter(ctx, id)
		failed = errors.Join(failed, err)
		if c != nil {
			granted = append(granted, Grant{id, *c})
		}
	}
	return granted, failed
}

// approveWriter lets the newest request of the machine that writes in again. One that
// the laptop itself makes, and waits for, is preferred to what Sugar's registration
// made of its other key: each grant answers the other.
func (s *Store) approveWriter(ctx context.Context, id AccountID) (granted *Claim, err error) {
	return granted, s.edit(ctx, id, func(a *Account) error {
		now := s.now().Unix()
		waits := func(c *Claim) bool {
			how, _ := a.policyFor(Machine{Serial: c.Serial, UUID: c.UUID}, Automatic)
			return c.State == Waits && c.current(now) && how == Automatic
		}
		c := a.claimThat(func(c *Claim) bool { return waits(c) && c.By != ByRegistration })
		if c == nil {
			c = a.claimThat(waits)
		}
		if c == nil {
			return nil
		}
		name := c.ID
		if err := a.grant(c, ByPerson, now); err != nil {
			return err
		}
		is := *a.claim(name)
		granted = &is
		return nil
	})
}

// Alias names a machine that is let into the account when it asks. Without a uuid
// it is that of the first machine of the serial, or of the one that is known here.
func (s *Store) Alias(ctx context.Context, id AccountID, m Machine) error {
	if err := checkWords(m.UUID, ""); err != nil {
		return err
	}
	if !m.Serial.speaks() || m.UUID != "" && !uuidSpeaks(m.UUID) {
		return &NameError{"machine", string(m.Serial), "says nothing of which machine it is; 'xs-backupd code' lets in any"}
	}
	m.Writes = false
	return s.edit(ctx, id, func(a *Account) error {
		a.Aliases = slices.DeleteFunc(a.Aliases, func(o Machine) bool { return o.Serial == m.Serial })
		if len(a.Aliases) >= maxMachines {
			return fmt.Errorf("account %s has %d aliases already: remove one", id, len(a.Aliases))
		}
		m.Since = s.now().Unix()
		a.Aliases = append(a.Aliases, m)
		a.note(Event{Time: m.Since, Event: "alias", Serial: m.Serial, UUID: m.UUID, By: ByAlias})
		return nil
	})
}

// RemoveAlias undoes Alias, also where the machine has been let in by it.
func (s *Store) RemoveAlias(ctx context.Context, id AccountID, serial Serial) error {
	return s.edit(ctx, id, func(a *Account) error {
		now, before := s.now().Unix(), len(a.Aliases)
		a.Aliases = slices.DeleteFunc(a.Aliases, func(o Machine) bool { return o.Serial == serial })
		some := len(a.Aliases) < before
		for {
			c := a.claimThat(func(c *Claim) bool {
				return c.By == ByAlias && c.Serial == serial && (c.State == Granted || c.State == Frozen)
			})
			if c == nil {
				break
			}
			some = true
			a.takeBack(c, now)
			a.noteClaim(now, "taken back", c, ByAlias)
		}
		if !some {
			return fmt.Errorf("%w: %s is no alias of account %s", ErrNoClaim, serial, id)
		}
		a.note(Event{Time: now, Event: "alias removed", Serial: serial, By: ByAlias})
		return nil
	})
}
