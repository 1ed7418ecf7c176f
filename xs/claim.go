package xs

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// claimant lets any key open a connection as the user of claims, and remembers
// which: that it is held is proved afterwards, and it is the one that is let in.
func claimant(key ssh.PublicKey) *ssh.Permissions {
	return &ssh.Permissions{Extensions: map[string]string{permKey: authorizedKey(key)}}
}

// claiming tells whether the connection is one of claims.
func (n *connection) claiming() bool { return n.conn.User() == wire.ClaimUser }

// from is the address of the other side, without the port.
func (n *connection) from() string {
	host, _, err := net.SplitHostPort(n.conn.RemoteAddr().String())
	if err != nil {
		return n.conn.RemoteAddr().String()
	}
	return host
}

// owner of a connection, among which they are shared out: its account, or, of a
// claim, which has none, where it comes from.
func (n *connection) owner() store.AccountID {
	if n.claiming() {
		return store.AccountID("claims from " + n.from()) // no account's name has a blank
	}
	return n.account
}

// execClaim is all that the user of claims can do.
func (s *session) execClaim(ctx context.Context, command string) (status uint32) {
	if command != wire.CommandClaim {
		s.complain("%.80q: who comes as %q may only claim", command, wire.ClaimUser)
		return 127
	}
	if err := s.claim(ctx); err != nil {
		s.log.Warn("claim failed", "error", err)
		return 1
	}
	return 0
}

// claim reads one line and answers with one.
func (s *session) claim(ctx context.Context) error {
	var req wire.ClaimRequest
	if err := s.open(&req, &req.Version); err != nil {
		return err
	}
	c, err := s.claimantOf(req)
	if err != nil {
		return s.fail(err)
	}
	ctx, done := context.WithTimeout(ctx, answerTime)
	defer done()
	a := wire.ClaimAnswer{Version: wire.Version}
	if req.Ask == wire.ClaimFind {
		a.Backups, err = s.Store.Claimable(ctx, c, s.Config.policy())
	} else {
		var out store.Outcome
		out, err = s.outcome(ctx, c, req)
		a.State, a.Account, a.Sign = string(out.State), string(out.Account), out.Sign
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.room.busy("The school server is busy with other laptops.")
	}
	if err != nil {
		return s.fail(err)
	}
	s.log.Info("claim", "ask", req.Ask, "serial", c.Serial, "wants", req.Account, "offered", len(a.Backups), "state", a.State, "account", a.Account, "sign", a.Sign)
	defer s.patience()()
	return wire.WriteLine(s.ch, a)
}

// claimantOf is who asks: what it says of itself, and the key that it has proved.
func (s *session) claimantOf(req wire.ClaimRequest) (store.Claimant, error) {
	serial, err := store.ParseSerial(req.Serial)
	if err != nil {
		return store.Claimant{}, err
	}
	key, err := store.ParseKey(s.conn.Permissions.Extensions[permKey])
	if err != nil {
		return store.Claimant{}, err
	}
	return store.Claimant{Machine: store.Machine{Serial: serial, UUID: req.UUID}, Key: key, Nick: req.Nick, From: s.from()}, nil
}

func (s *session) outcome(ctx context.Context, c store.Claimant, req wire.ClaimRequest) (store.Outcome, error) {
	switch req.Ask {
	case wire.ClaimTake:
		if req.Code != "" {
			return s.guess(ctx, c, req)
		}
		return s.Store.Claim(ctx, c, req.Account, "", s.Config.policy())
	case wire.ClaimState:
		return s.Store.ClaimState(ctx, c, req.Account)
	case wire.ClaimLeave:
		return s.Store.Leave(ctx, c, req.Account)
	case wire.ClaimOwn:
		id, err := s.Store.Register(ctx, store.Registration{Serial: c.Serial, UUID: c.UUID, Nick: c.Nick, Key: c.Key, Own: true}, s.Config.MaxAccounts)
		return store.Outcome{State: store.Granted, Account: id}, err
	}
	return store.Outcome{}, &wire.Refusal{Code: wire.RefusedInput, Message: fmt.Sprintf("A claim asks for find, claim, state, own or leave, not for %.40q.", req.Ask)}
}

// guess claims with a code. One that was not typed as it should be is no try.
func (s *session) guess(ctx context.Context, c store.Claimant, req wire.ClaimRequest) (store.Outcome, error) {
	code, err := wire.ParseCode(req.Code)
	if err != nil {
		return store.Outcome{}, err
	}
	leave, err := s.guesses.enter(ctx, c.From)
	if err != nil {
		return store.Outcome{}, err
	}
	out, err := s.Store.Claim(ctx, c, req.Account, code, s.Config.policy())
	leave(errors.Is(err, store.ErrCode))
	return out, err
}
