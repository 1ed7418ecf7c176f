package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// Policy says how a machine that is recognised is let in again.
type Policy string

// The policies.
const (
	Automatic Policy = wire.ClaimAutomatic
	Approval  Policy = wire.ClaimApproval
	CodeOnly  Policy = wire.ClaimByCode
)

// Policies lists them.
func Policies() []Policy { return []Policy{Automatic, Approval, CodeOnly} }

// Outcome is what became of a claim.
type Outcome struct {
	State   State
	Account AccountID // when granted
	Sign    string
}

const noClaim State = wire.ClaimNone

func (c Claimant) claim(by How, sign string) Claim {
	var b [8]byte
	rand.Read(b[:])
	kind := c.Kind
	if kind == "" {
		kind = Backup
	}
	return Claim{ID: ClaimID(hex.EncodeToString(b[:])), Key: keyLine(c.Key), Kind: kind, Serial: c.Serial, UUID: c.UUID,
		Nick: c.Nick, Sign: sign, By: by}
}

// policyFor answers how this machine, which the account knows, would be let in now.
func (a *Account) policyFor(m Machine, p Policy) (Policy, How) {
	if a.claimThat(func(c *Claim) bool { return c.State == Frozen }) != nil {
		return Approval, ByPolicy
	}
	if a.aliasOf(m) {
		return Automatic, ByAlias
	}
	last := a.claimThat(func(c *Claim) bool { return c.State != Waits && m.is(Machine{Serial: c.Serial, UUID: c.UUID}) })
	if last != nil && last.State == Refused && p == Automatic {
		p = Approval // or who was just turned out comes in again, with another key
	}
	if w, ok := a.Writer(); p == Automatic && (!ok || !w.is(m)) {
		p = Approval // a machine that was replaced may be another child's by now
	}
	return p, ByPolicy
}

// Claimable lists what the machine may claim, nothing if it is not recognised; and
// what its key is in already, while nobody has answered the offer of that, or while
// it only reads.
func (s *Store) Claimable(ctx context.Context, c Claimant, p Policy) ([]wire.Claimable, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p = s.today(p)
	known, err := s.recognised(ctx, c.Machine)
	if err != nil {
		return nil, err
	}
	// A machine that nobody recognises has come in by a code, or by a person.
	own, _ := s.under(keyWord(keyLine(c.Key)))
	var list []wire.Claimable
	for _, a := range append(known, own...) {
		if slices.ContainsFunc(list, func(l wire.Claimable) bool { return l.Account == string(a.ID) }) {
			continue
		}
		key, in := a.FindKey(c.Key)
		writes := in && a.MayWrite(key)
		switch {
		case writes && !a.owesAnswer(key):
			continue // nothing is left to say
		case !in && !a.knows(c.Machine):
			continue // the key was in it once
		}
		about, err := s.About(a.ID)
		if err != nil {
			s.log.Error("account is not offered", "account", a.ID, "error", err)
			continue
		}
		if writes && about.LastBackup == 0 {
			continue // there is nothing to offer
		}
		how := Automatic
		if !writes {
			how, _ = a.policyFor(c.Machine, p)
		}
		about.Claim = string(how)
		list = append(list, about)
	}
	return list, nil
}

// owesAnswer tells whether nobody has answered yet what becomes of the Journal that
// was there before the key, or before the Journal shrank.
func (a *Account) owesAnswer(k Key) bool {
	return len(a.Pins) > 0 || k.Claim != "" && a.Answered != k.Claim
}

// About tells of an account what a child or teacher knows it by.
func (s *Store) About(id AccountID) (wire.Claimable, error) {
	a, err := s.Account(id)
	if err != nil {
		return wire.Claimable{}, err
	}
	about := wire.Claimable{Account: string(id), Nick: a.Nick}
	folder, err := s.Folder(id)
	if err != nil {
		return about, err
	}
	defer folder.Close()
	list, err := folder.Snapshots()
	if err != nil || len(list) == 0 {
		return about, err
	}
	about.LastBackup = list[0].Confirmed
	offered := list[0]
	for _, rec := range list {
		if rec.Pinned && (!offered.Pinned || rec.Entries > offered.Entries) {
			offered = rec
		}
	}
	about.Entries, about.Bytes = offered.Entries, offered.Bytes
	owner, err := folder.owner(offered.ID)
	if err != nil {
		s.log.Warn("nobody knows whose Journal this is", "account", id, "snapshot", offered.ID, "error", err)
		return about, nil
	}
	if owner.Nick != "" {
		about.Nick = owner.Nick
	}
	about.Color, about.Group = owner.Color, owner.Group
	return about, nil
}

// Claim asks for the key to be let in: into the account that is wanted, or into
// the one that the code belongs to. Asking again is answered the same.
func (s *Store) Claim(ctx context.Context, c Claimant, want string, code wire.Code, p Policy) (Outcome, error) {
	if err := c.check(); err != nil {
		return Outcome{}, err
	}
	if why := wire.CheckName(want); want != "" && why != "" {
		return Outcome{}, &NameError{"account name", want, why}
	}
	if code != "" {
		return s.claimByCode(ctx, c, want, code)
	}
	known, err := s.recognised(ctx, c.Machine)
	if err != nil {
		return Outcome{}, err
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return Outcome{}, err
	}
	word := sign(secret, keyLine(c.Key), want)
	if i := slices.IndexFunc(known, func(a *Account) bool { return string(a.ID) == want }); i >= 0 {
		return s.claimKnown(ctx, known[i].ID, c, word, s.today(p))
	}
	// One that was let in by a person, or turned away, is no stranger any more.
	if out, err := s.ClaimState(ctx, c, want); err != nil || out.State != noClaim && out.State != Waits {
		return out, err
	}
	r := Request{Claim: c.claim(ByPerson, word), Account: want, From: c.From}
	r.State, r.Asked = Waits, s.now().Unix()
	return Outcome{State: Waits, Sign: word}, s.queue(ctx, r)
}

func (s *Store) claimKnown(ctx context.Context, id AccountID, c Claimant, sign string, p Policy) (out Outcome, err error) {
	err = s.edit(ctx, id, func(a *Account) error {
		now := s.now().Unix()
		if k, in := a.FindKey(c.Key); in && a.MayWrite(k) {
			out = Outcome{Granted, id, sign}
			return nil
		}
		how, by := a.policyFor(c.Machine, p)
		claim, err := a.enter(c.claim(by, sign), now)
		if err != nil {
			return err
		}
		if claim.State == Waits && how == Automatic {
			id := claim.ID
			err = a.grant(claim, by, now)
			claim = a.claim(id) // which may have moved
			a.Aliases = slices.DeleteFunc(a.Aliases, func(o Machine) bool { return by == ByAlias && o.Serial == c.Serial })
		}
		out = claim.outcome(id)
		return err
	})
	return out, err
}

func (c *Claim) outcome(id AccountID) Outcome {
	out := Outcome{State: c.State, Sign: c.Sign}
	if c.State == Granted {
		out.Account = id
	}
	return out
}

// ClaimState answers what became of the key's claim: of that account, or, where
// none is named, of its newest.
func (s *Store) ClaimState(ctx context.Context, c Claimant, want string) (Outcome, error) {
	if err := s.refresh(ctx); err != nil {
		return Outcome{}, err
	}
	line := keyLine(c.Key)
	now := s.now().Unix()
	out, asked := Outcome{State: noClaim}, int64(-1)
	accounts, _ := s.under(keyWord(line))
	for _, a := range accounts {
		claim := a.claimThat(func(k *Claim) bool { return k.Key == line && k.current(now) })
		if claim != nil && (want == "" || want == string(a.ID)) && claim.Asked > asked {
			out, asked = claim.outcome(a.ID), claim.Asked
		}
	}
	queue, err := s.Requests()
	if err != nil {
		return Outcome{}, err
	}
	for _, r := range queue {
		if r.Key == line && r.Account == want && r.Asked > asked {
			out, asked = Outcome{State: Waits, Sign: r.Sign}, r.Asked
		}
	}
	return out, nil
}

// CameBack is told of each key that opened a connection to its account.
func (s *Store) CameBack(ctx context.Context, id AccountID, k Key) error {
	if k.Former == "" {
		return nil
	}
	return s.edit(ctx, id, func(a *Account) error {
		a.cameBack(k.Key, s.now().Unix())
		return nil
	})
}

const openFile = "open.json"

// opened is until when machines that are recognised are let in as they ask.
type opened struct {
	Until int64 `json:"until"` // Unix seconds
}

// today is the policy, unless an administrator said otherwise for some hours.
func (s *Store) today(p Policy) Policy {
	b, err := s.ReadOwn(openFile)
	if errors.Is(err, fs.ErrNotExist) {
		return p
	}
	var o opened
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		s.log.Error("cannot tell whether all are let in today", "file", ownDir+"/"+openFile, "error", err)
		return p
	}
	if s.now().Unix() < o.Until {
		return Automatic
	}
	return p
}

// OpenFor lets machines that are recognised in as they ask, for a while.
func (s *Store) OpenFor(ctx context.Context, d time.Duration) error {
	b, err := json.Marshal(opened{s.now().Add(d).Unix()})
	if err != nil {
		return err
	}
	lock, err := s.lockClaims(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.WriteOwn(openFile, b); err != nil {
		return fmt.Errorf("%s/%s: %w", ownDir, openFile, err)
	}
	return nil
}
