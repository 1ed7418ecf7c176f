package store

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/sugarlabs/xo-backupd/wire"
)

// CodeHash is what is kept of a code: it lets one machine in, once.
type CodeHash struct {
	Hash string `json:"hash"`
	Made int64  `json:"made"` // Unix seconds
}

func (c CodeHash) current(now int64) bool { return now-c.Made < waitTime }

// ErrCode: a code that is wrong, was used, is too old, or belongs to another
// account: which of them is nobody's business.
var ErrCode = errors.New("this code is not right, or cannot be used any more; ask your teacher for a new one")

// NewCode makes a code for the account. The one before can no longer be used.
func (s *Store) NewCode(ctx context.Context, id AccountID) (wire.Code, error) {
	if _, err := s.Account(id); err != nil {
		return "", err
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return "", err
	}
	for {
		code := randomCode()
		hash, err := hashCode(secret, code)
		if err != nil {
			return "", err
		}
		if err := s.refresh(ctx); err != nil {
			return "", err
		}
		if taken, many := s.under(codeWord(hash)); many || len(taken) > 0 {
			continue
		}
		return code, s.edit(ctx, id, func(a *Account) error {
			a.Codes = []CodeHash{{hash, s.now().Unix()}}
			a.note(Event{Time: s.now().Unix(), Event: "code made"})
			return nil
		})
	}
}

func randomCode() wire.Code {
	for {
		var seven [7]byte
		rand.Read(seven[:])
		if slices.ContainsFunc(seven[:], func(b byte) bool { return b >= 250 }) {
			continue // or some digits would come more often than others
		}
		if code, ok := wire.NewCode(seven); ok {
			return code
		}
	}
}

// claimByCode lets the claimant into the account that the code belongs to. It
// counts as a wrong try from before it is looked at until it turned out right.
func (s *Store) claimByCode(ctx context.Context, c Claimant, want string, code wire.Code) (Outcome, error) {
	secret, err := s.secret(ctx)
	if err != nil {
		return Outcome{}, err
	}
	right, err := s.try(ctx, c)
	if err != nil {
		return Outcome{}, err
	}
	hash, err := hashCode(secret, code)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.refresh(ctx); err != nil {
		return Outcome{}, err
	}
	accounts, _ := s.under(codeWord(hash))
	for _, a := range accounts {
		if want != "" && AccountID(want) != a.ID {
			continue
		}
		out, err := s.useCode(ctx, a.ID, c, hash, sign(secret, keyLine(c.Key), string(a.ID)))
		if errors.Is(err, ErrCode) {
			continue
		}
		if err == nil {
			err = right()
		}
		return out, err
	}
	return Outcome{}, ErrCode
}

func (s *Store) useCode(ctx context.Context, id AccountID, c Claimant, hash, sign string) (Outcome, error) {
	out := Outcome{State: Granted, Account: id, Sign: sign}
	return out, s.edit(ctx, id, func(a *Account) error {
		now := s.now().Unix()
		line := keyLine(c.Key)
		if a.claimThat(func(k *Claim) bool { return k.Key == line && k.Code == hash && k.State == Granted }) != nil {
			return nil // the answer did not arrive the first time
		}
		if k, in := a.FindKey(c.Key); in && k.Former == "" {
			return nil // it has no need of it
		}
		i := slices.IndexFunc(a.Codes, func(k CodeHash) bool { return k.Hash == hash && k.current(now) })
		if i < 0 {
			return ErrCode
		}
		a.Codes = slices.Delete(a.Codes, i, i+1)
		claim, err := a.enter(c.claim(ByCode, sign), now)
		if err != nil {
			return err
		}
		claim.Code = hash
		return a.grant(claim, ByCode, now)
	})
}
