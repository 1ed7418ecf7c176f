package xsclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/wire"
)

// claim is one that was asked for and is not decided, as far as is known here.
type claim struct {
	// Account may be empty: with a code, and where a person is to say which.
	Account string `json:"account,omitempty"`
	Sign    string `json:"sign,omitempty"`
	// Waits: the XS has said that it waits for a person. Else nobody has heard
	// what the XS says.
	Waits bool `json:"waits,omitempty"`
	Asked bool `json:"asked,omitempty"` // there is one
}

// Claim is what became of a claim.
type Claim struct {
	Account string
	State   string // wire.ClaimGranted, ClaimPending or ClaimRefused
	Sign    string // what the teacher's screen shows beside the request
}

// FindBackups answers what the XS holds that this machine may claim, or has
// claimed while nobody has answered the offer of it yet; the newest first. It
// works before any registration, and leaves nothing behind but our key.
func (c *Client) FindBackups(ctx context.Context) ([]wire.Claimable, error) {
	a, err := c.claiming(ctx, false, wire.ClaimRequest{Ask: wire.ClaimFind})
	if err != nil {
		return nil, err
	}
	found := a.Backups
	for i := range found {
		if err := checkClaimable(&found[i]); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(found, func(a, b wire.Claimable) int { return cmp.Compare(b.LastBackup, a.LastBackup) })
	return found, fullDisk(c.noteOffer(len(found) > 0))
}

// checkClaimable refuses what cannot be an offer. What is in it is shown to
// people, and may go into the profile.
func checkClaimable(f *wire.Claimable) error {
	how := []string{wire.ClaimAutomatic, wire.ClaimApproval, wire.ClaimByCode}
	if checkAccount(f.Account) != nil || f.Entries < 0 || f.Bytes < 0 || !slices.Contains(how, f.Claim) {
		return badAnswer(fmt.Sprintf("an offer of account %.60q: %d entries, %d bytes, claim %.20q", f.Account, f.Entries, f.Bytes, f.Claim))
	}
	owner := profile.Owner{Nick: f.Nick, Color: f.Color, Group: f.Group}.Fit()
	f.Nick, f.Color, f.Group = owner.Nick, owner.Color, owner.Group
	return nil
}

// Claim asks for our key to be let into an account, or where the code belongs. It
// answers granted or pending; asking again is answered the same.
func (c *Client) Claim(ctx context.Context, account, code string) (Claim, error) {
	if account != "" {
		if err := checkAccount(account); err != nil {
			return Claim{}, &Error{Code: InvalidArgument, Message: fmt.Sprintf("%.60q is no account of a school server.", account), Err: err}
		}
	}
	if code != "" {
		parsed, err := wire.ParseCode(code) // what is mistyped is no try
		if err != nil {
			return Claim{}, &Error{Code: InvalidArgument, Message: "The code cannot be right: " + sentence(err.Error()) + ".", Err: err}
		}
		code = string(parsed)
	}
	c.claims.Lock()
	defer c.claims.Unlock()
	// Known before it is asked: the XS may say yes, and we may never hear it.
	before := c.state.get().Claim
	if again := before.Asked && before.Account == account && code == ""; !again {
		if err := c.update(func(st *state) { st.Claim = claim{Account: account, Asked: true} }); err != nil {
			return Claim{}, fullDisk(err)
		}
	}
	a, err := c.claiming(ctx, true, wire.ClaimRequest{Ask: wire.ClaimTake, Account: account, Code: code})
	if err == nil {
		return c.claimed(ctx, account, a)
	}
	var e *Error
	if before.Waits || errors.As(err, &e) && !isBroken(err) {
		err = errors.Join(err, c.update(func(st *state) { st.Claim = before }))
	}
	return Claim{}, err
}

// claimed keeps what the XS says of a claim.
func (c *Client) claimed(ctx context.Context, account string, a wire.ClaimAnswer) (Claim, error) {
	switch a.State {
	case wire.ClaimGranted:
		return Claim{Account: a.Account, State: wire.ClaimGranted}, c.letIn(ctx, a.Account, true)
	case wire.ClaimPending, wire.ClaimFrozen:
		sign := sentence(a.Sign)
		err := c.update(func(st *state) { st.Claim = claim{Account: account, Sign: sign, Waits: true, Asked: true} })
		return Claim{Account: account, State: wire.ClaimPending, Sign: sign}, err
	}
	if err := c.update(func(st *state) { st.Claim = claim{} }); err != nil {
		return Claim{}, err
	}
	return Claim{Account: account, State: wire.ClaimRefused}, &Error{Code: ClaimRefused,
		Message: "Whoever looks after the school server did not let this laptop in: ask them, or use a code that they give you."}
}

// checkState refuses what cannot be said of a claim.
func checkState(a wire.ClaimAnswer) error {
	switch a.State {
	case wire.ClaimGranted:
		if err := checkAccount(a.Account); err != nil {
			return badAnswer("granted: " + err.Error())
		}
		return nil
	case wire.ClaimPending, wire.ClaimFrozen, wire.ClaimRefused, wire.ClaimNone:
		return nil
	}
	return badAnswer(fmt.Sprintf("claim: state %.20q", a.State))
}

// letIn notes that our key is in the account; by a claim, or because the account
// was made for it.
func (c *Client) letIn(ctx context.Context, account string, byClaim bool) error {
	err := c.update(func(st *state) {
		if st.Account != account {
			st.LastBackup, st.LastResult, st.Entries = 0, "", 0
			st.Account, st.Claimed, st.OwnerKey = account, byClaim, ""
		}
		// It may have come into the account by a registration, and by a claim now.
		st.Claimed = st.Claimed || byClaim
		st.Enrolled, st.FirstBoot, st.Offered, st.Claim = true, false, false, claim{}
		if byClaim {
			// What was answered before is not what is wanted now.
			st.Answer, st.Pin = "", wire.PinAnswer{}
		}
	})
	if err != nil {
		return err
	}
	if !c.owesOwner() {
		return nil
	}
	// Sugar's own key comes in with ours.
	if err := c.withAPI(ctx, c.bringOwner); err != nil {
		c.cfg.Log.Info("Sugar's key is let in later", "why", err)
	}
	return nil
}

// Intervals at which the XS is asked what became of a claim: a child stands
// beside the teacher at first, and goes home then.
const (
	claimMinWait = 3 * time.Second
	claimMaxWait = time.Minute
)

// PendingClaim tells whether a claim is not decided.
func (c *Client) PendingClaim() bool { return c.state.get().Claim.Asked }

// AwaitClaim asks what became of the claim until that is known, and answers
// granted or refused. If it is decided elsewhere meanwhile, it is an error.
func (c *Client) AwaitClaim(ctx context.Context) (Claim, error) {
	for wait := claimMinWait; ; wait = min(wait*5/4, claimMaxWait) {
		made, over, err := c.askClaim(ctx)
		if over {
			return made, err
		}
		if err != nil {
			c.cfg.Log.Info("nobody knows what became of the claim", "why", err)
		}
		if err := c.sleep(ctx, wait); err != nil {
			return Claim{}, err
		}
	}
}

// askClaim asks once; over: there is no more to ask.
func (c *Client) askClaim(ctx context.Context) (made Claim, over bool, err error) {
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	asked := c.state.get().Claim
	if !asked.Asked {
		return Claim{}, true, errClaimGone
	}
	a, err := c.claiming(ctx, true, wire.ClaimRequest{Ask: wire.ClaimState, Account: asked.Account})
	if err != nil {
		return Claim{}, false, err
	}
	c.claims.Lock()
	defer c.claims.Unlock()
	if c.state.get().Claim != asked {
		return Claim{}, false, nil // a person was faster
	}
	if a.State == wire.ClaimNone && !asked.Waits {
		// It never got there, and whoever asked for it was told so.
		return Claim{}, true, errors.Join(errClaimGone, c.update(func(st *state) { st.Claim = claim{} }))
	}
	made, err = c.claimed(ctx, asked.Account, a)
	var e *Error
	if errors.As(err, &e) && e.Code == ClaimRefused {
		return made, true, nil
	}
	return made, err == nil && made.State == wire.ClaimGranted, err
}

var errClaimGone = errors.New("no claim waits any more")

// claiming asks one thing as who claims. Only where keep is set the server is
// remembered: else a laptop that looks around in another school's network would
// take that one's server for its own.
func (c *Client) claiming(ctx context.Context, keep bool, request wire.ClaimRequest) (wire.ClaimAnswer, error) {
	found, trust, err := c.meet(ctx)
	if err != nil {
		return wire.ClaimAnswer{}, err
	}
	trust.brief = !keep
	key, err := c.ownKey()
	if err != nil {
		return wire.ClaimAnswer{}, err
	}
	s, err := c.connect(ctx, trust, found.SSH, wire.ClaimUser, key)
	if errors.Is(err, errKeyRefused) {
		return wire.ClaimAnswer{}, &Error{Code: ServerRefused, Message: "This school server cannot give a Journal back to another laptop: please tell whoever looks after it.", Err: err}
	}
	if err != nil {
		return wire.ClaimAnswer{}, err
	}
	defer s.Close()
	ch, err := s.exec(ctx, wire.CommandClaim)
	if err != nil {
		return wire.ClaimAnswer{}, err
	}
	defer ch.Close()
	machine := c.machine()
	request.Version, request.Serial, request.UUID = wire.Version, machine.Serial, machine.UUID
	if request.Ask == wire.ClaimTake || request.Ask == wire.ClaimOwn {
		request.Nick = c.owner(ctx).Nick
	}
	var a wire.ClaimAnswer
	if err := ch.ask(ctx, request, &a); err != nil {
		return a, err
	}
	if a.Error != nil {
		return a, refused(a.Error)
	}
	if a.Version != wire.Version {
		return a, badAnswer(fmt.Sprintf("a claim's answer of version %d", a.Version))
	}
	if request.Ask != wire.ClaimFind {
		err = checkState(a)
	}
	return a, err
}
