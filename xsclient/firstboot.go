package xsclient

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Answers to the offer of a Journal.
const (
	AnswerLater  = "later"  // not now
	AnswerAfresh = "afresh" // a new Journal
	AnswerNotMe  = "not-me" // another child
)

// lookAtFirst notes that this is a laptop's first boot, as far as backups go: it
// has no account and no answer, and nothing of a child's is on it. That holds
// then, whatever is drawn until somebody answers: the network may come later.
func (c *Client) lookAtFirst() error {
	st := c.state.get()
	if st.Account != "" || st.FirstBoot || st.Answer != "" || c.state.why() != "" {
		return nil
	}
	if c.cfg.Profile.HasOwnerKey() && !emptyJournal(c.cfg.Profile.Datastore()) {
		return nil
	}
	return c.update(func(st *state) { st.FirstBoot = true })
}

// emptyJournal tells whether there is no entry in a datastore's folder: entries
// are below folders of two characters.
func emptyJournal(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return false
	}
	for _, name := range names {
		if len(name) == 2 {
			return false
		}
	}
	return true
}

// firstBootReason says what to do at a first boot.
func firstBootReason(offered bool) string {
	if offered {
		return "The school server keeps a Journal for this laptop: 'xo-backup recover' brings it back."
	}
	return "Nobody has said yet whose laptop this is: 'xo-backup recover' looks for its Journal at school, 'xo-backup register' begins a new one."
}

// noteOffer keeps whether the XS has something for this laptop: then it is one
// that is to be asked whose it is, however it looks.
func (c *Client) noteOffer(offered bool) error {
	return c.update(func(st *state) {
		st.Offered = offered && st.Account == ""
		st.FirstBoot = st.FirstBoot || st.Offered && st.Answer == ""
	})
}

// Dismiss answers the offer of a Journal. It is kept here, and may be changed; what
// the XS has to be told of it is told when it is in reach.
func (c *Client) Dismiss(ctx context.Context, answer string) error {
	if answer != AnswerLater && answer != AnswerAfresh && answer != AnswerNotMe {
		return &Error{Code: InvalidArgument, Message: fmt.Sprintf("%.40q is no answer: later, afresh or not-me are.", answer)}
	}
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	c.claims.Lock()
	defer c.claims.Unlock()
	before := c.state.get()
	leaves := answer == AnswerNotMe && before.Claimed
	if leaves {
		// The key is in another child's account. It is taken out there, with what
		// came by it, and a new one is nobody's. Where the XS is away the key stays,
		// or nobody could take it out later: openOwn does.
		_, err := c.claiming(ctx, true, wire.ClaimRequest{Ask: wire.ClaimLeave, Account: before.Account})
		if err == nil {
			err = c.cfg.Profile.RetireBackupKey()
		}
		if err != nil && !mayBeLater(err) {
			return fmt.Errorf("leaving the account %s: %w", before.Account, err)
		}
		if err := c.cfg.Profile.SetBackupURL(ctx, ""); err != nil {
			return fmt.Errorf("forgetting the registration: %w", err)
		}
	}
	err := c.update(func(st *state) {
		st.FirstBoot, st.Answer = false, answer
		if answer != AnswerLater {
			st.Claim = claim{}
		}
		switch {
		case answer != AnswerLater && st.Account != "": // also of an account that is its own already
			st.Pin = wire.PinAnswer{Answer: wire.PinDismissed}
		case st.Pin.Answer == wire.PinDismissed: // and not told yet
			st.Pin = wire.PinAnswer{}
		}
		if leaves {
			*st = state{Version: st.Version, Answer: answer, Server: st.Server, SSH: st.SSH, HostKey: st.HostKey}
		}
	})
	if err != nil {
		return fullDisk(err)
	}
	switch account := c.account(); {
	case answer == AnswerNotMe && account == "":
		err = c.openOwn(ctx)
	case answer != AnswerLater && account != "":
		err = c.withAPI(ctx, c.tellPin)
	}
	if mayBeLater(err) {
		c.cfg.Log.Info("the school server is told later", "answer", answer, "why", err)
		err = nil
	}
	return err
}

// mayBeLater tells whether what did not succeed is done when the server is there.
func mayBeLater(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Code == ServerUnavailable || e.Code == ServerBusy)
}

// ownAccount tells whether a person wants an account of its own for this laptop,
// whatever the XS knows of its machine.
func (st *state) ownAccount() bool { return st.Answer == AnswerAfresh || st.Answer == AnswerNotMe }

// openOwed makes the account that a child wanted while the XS was away.
func (c *Client) openOwed(ctx context.Context) error {
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	c.claims.Lock()
	defer c.claims.Unlock()
	if st := c.state.get(); st.Account != "" || st.Answer != AnswerNotMe || st.Claim.Asked {
		return nil
	}
	return c.openOwn(ctx)
}

// openOwn makes an account of this child's own. If our key is in another child's, the
// XS takes it out there.
func (c *Client) openOwn(ctx context.Context) error {
	if _, err := c.settleMachine(); err != nil {
		return err
	}
	a, err := c.claiming(ctx, true, wire.ClaimRequest{Ask: wire.ClaimOwn})
	if err != nil {
		return err
	}
	if a.State != wire.ClaimGranted {
		return badAnswer(fmt.Sprintf("an account of its own: state %.20q", a.State))
	}
	return c.letIn(ctx, a.Account, false)
}

// settleMachine answers which machine this is, made up where nothing says so.
func (c *Client) settleMachine() (profile.Machine, error) {
	machine := c.machine()
	if c.cfg.Serial == "" && (machine.Serial == "" || machine.Serial == profile.NoSerial) {
		// Kept before it is used: another try must not bring another serial.
		machine = machine.Invent(c.now())
	}
	if machine.UUID == "" {
		machine.UUID = profile.NoUUID
	}
	if err := c.cfg.Profile.StoreMachine(machine); err != nil {
		return machine, fmt.Errorf("keeping this laptop's serial: %w", err)
	}
	return machine, nil
}

// owesOwner tells whether Sugar's key is to be let in: our own came in without it.
func (c *Client) owesOwner() bool {
	st := c.state.get()
	return (st.Claimed || st.Answer != "") && st.Account != "" && st.OwnerKey == "" && c.cfg.Profile.HasOwnerKey()
}

// bringOwner lets Sugar's key in where ours came in without it, and registers as
// Sugar does, so that Sugar knows of it.
func (c *Client) bringOwner(ctx context.Context, api *apiClient) error {
	if !c.owesOwner() {
		return nil
	}
	owner, err := c.cfg.Profile.OwnerKey()
	if err != nil {
		return ownerKeyError(err)
	}
	machine, err := c.settleMachine()
	if err != nil {
		return err
	}
	err = api.AddKey(ctx, owner, machine.Serial)
	if err != nil {
		return err
	}
	found, err := c.service(ctx)
	if err != nil {
		return err
	}
	if _, err := c.registerSugar(ctx, found.Registration, machine, owner.PublicKey(), c.account()); err != nil {
		return err
	}
	return c.update(func(st *state) { st.OwnerKey = ssh.FingerprintSHA256(owner.PublicKey()) })
}

// noteRestored keeps that a person has brought a snapshot back, to tell the XS.
func (c *Client) noteRestored(snapshot string) error {
	return c.update(func(st *state) { st.Pin = restoredPin(snapshot) })
}

// tellPin tells the XS what a person has answered about the snapshot that it
// offers, if that is still to be told.
func (c *Client) tellPin(ctx context.Context, api *apiClient) error {
	pin := c.state.get().Pin
	if pin == (wire.PinAnswer{}) {
		return nil
	}
	if err := c.answerPin(ctx, api, pin); err != nil {
		return err
	}
	return c.update(func(st *state) {
		if st.Pin == pin {
			st.Pin = wire.PinAnswer{}
		}
	})
}

// answerPin tells the XS. Where another laptop is the one that writes, that one
// answers.
func (c *Client) answerPin(ctx context.Context, api *apiClient, pin wire.PinAnswer) error {
	err := api.AnswerPin(ctx, pin)
	var e *Error
	if errors.As(err, &e) && e.Code == ServerRefused {
		c.cfg.Log.Info("the answer about a kept snapshot is not taken", "why", err)
		return nil
	}
	return err
}

func restoredPin(snapshot string) wire.PinAnswer {
	return wire.PinAnswer{Snapshot: snapshot, Answer: wire.PinRestored}
}

// catchUp tells the XS what it is still to be told.
func (c *Client) catchUp(ctx context.Context, s *session) error {
	if c.state.get().Pin == (wire.PinAnswer{}) && !c.owesOwner() {
		return nil
	}
	return s.withAPI(ctx, func(ctx context.Context, api *apiClient) error {
		if err := c.bringOwner(ctx, api); err != nil {
			c.cfg.Log.Info("Sugar's key is let in later", "why", err)
		}
		return c.tellPin(ctx, api)
	})
}
