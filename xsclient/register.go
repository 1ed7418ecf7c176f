package xsclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Register makes this laptop known to the school server: Sugar's own
// registration where it has not happened, then a key of our own, let in by a
// connection that the owner's key opened. Each step that is done stays done:
// calling it again goes on where it was cut off, and does nothing when all is
// well.
func (c *Client) Register(ctx context.Context) error {
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	r := registration{c: c}
	for _, step := range []func(context.Context) error{
		r.meet, r.keys, r.known, r.enrol,
	} {
		if r.done {
			break
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// registration is one run of Register.
type registration struct {
	c       *Client
	found   *found
	trust   *hostTrust
	account string
	owner   ssh.Signer
	backup  ssh.Signer
	done    bool
}

func (r *registration) meet(ctx context.Context) (err error) {
	r.found, r.trust, err = r.c.meet(ctx)
	return err
}

// meet finds the server. If none is trusted yet this one is, as soon as it has
// proved over SSH that it has the key that it claims.
func (c *Client) meet(ctx context.Context) (*found, *hostTrust, error) {
	found, err := c.service(ctx)
	if err != nil {
		return nil, nil, err
	}
	trust := c.hostTrust()
	trust.server = found.Server.String()
	if trust.deploy == nil && trust.pinned == nil {
		if trust.pinned = parseHostKey(found.HostKey); trust.pinned == nil {
			return nil, nil, notXS(found.Server, fmt.Errorf("host key %.80q", found.HostKey))
		}
	}
	return found, trust, nil
}

// keys reads the owner's key and makes ours.
func (r *registration) keys(context.Context) (err error) {
	if r.owner, err = r.c.cfg.Profile.OwnerKey(); err != nil {
		return ownerKeyError(err)
	}
	r.backup, err = r.c.ownKey()
	return err
}

// ownKey reads our key, and makes it if there is none: one at a time, or two who ask
// at once make one each, and the XS lets in the one that is not kept.
func (c *Client) ownKey() (ssh.Signer, error) {
	c.making.Lock()
	defer c.making.Unlock()
	key, err := c.cfg.Profile.BackupKey(true)
	if err != nil {
		return nil, badKey("backup.key", err)
	}
	return key, nil
}

func ownerKeyError(err error) error {
	message := "Sugar's key of this laptop (owner.key) cannot be read: please ask whoever looks after the laptops."
	switch {
	case errors.Is(err, fs.ErrNotExist):
		message = "Sugar has not made this laptop's key (owner.key) yet: start Sugar, give a name and a colour, then register again."
	case errors.Is(err, profile.ErrEncrypted):
		message = "Sugar's key of this laptop (owner.key) is protected by a passphrase, so it cannot be used to register: please ask whoever looks after the laptops."
	}
	return &Error{Code: NotRegistered, Message: message, Err: err}
}

// known makes sure that the server knows the account and the owner's key, by
// Sugar's registration if it does not.
func (r *registration) known(ctx context.Context) error {
	account, err := r.registered(ctx)
	if err != nil {
		return err
	}
	if st := r.c.state.get(); account == "" && st.ownAccount() {
		if err := r.c.openOwn(ctx); err != nil {
			return err
		}
		r.done = true
		return nil
	}
	if account != "" {
		if r.done, err = r.knocks(ctx, account, r.backup); err != nil || r.done {
			return err
		}
		let, err := r.knocks(ctx, account, r.owner)
		if err != nil || let {
			return err
		}
	}
	if account, err = r.register(ctx); err != nil {
		return r.knownMachine(ctx, err)
	}
	r.account = account
	return nil
}

// knownMachine is asked when the XS does not register us. If it keeps the Journal
// of this very machine, and of a child of the same name, it is the same laptop, set
// up anew, and claims it. Else a person has to say whose it is.
func (r *registration) knownMachine(ctx context.Context, why error) error {
	var e *Error
	if !errors.As(why, &e) || e.Code != ServerRefused {
		return why
	}
	offers, err := r.c.FindBackups(ctx)
	if err != nil || len(offers) == 0 {
		return why
	}
	nick := r.c.owner(ctx).Nick
	if len(offers) == 1 && offers[0].Claim == wire.ClaimAutomatic && nick != "" && offers[0].Nick == nick {
		made, err := r.c.Claim(ctx, offers[0].Account, "")
		r.done = err == nil && made.State == wire.ClaimGranted
		if r.done {
			return nil
		}
	}
	return &Error{Code: ServerRefused, Message: fmt.Sprintf(
		"The school server keeps the Journal of %s for this laptop: 'xo-backup recover' brings it back, or makes this laptop somebody else's. %s", namesOffered(offers), e.Message), Err: why}
}

func namesOffered(offers []wire.Claimable) string {
	var names []string
	for _, o := range offers {
		names = append(names, sentence(o.Nick))
	}
	return strings.Join(names, ", ")
}

// registered answers the account that a registration has left, Sugar's or
// ours; "" if there was none.
func (r *registration) registered(ctx context.Context) (string, error) {
	if st := r.c.state.get(); st.Claimed || st.Account != "" && st.ownAccount() {
		return st.Account, nil // a person has said so; Sugar may know another one
	}
	backup, err := r.c.cfg.Profile.BackupURL(ctx)
	if err != nil {
		return "", err
	}
	if account, _, ok := splitBackupURL(backup); ok {
		return account, nil
	}
	return r.c.state.get().Account, nil
}

// knocks tells whether the server lets a key into the account. If it is our
// key, this registration is over.
func (r *registration) knocks(ctx context.Context, account string, key ssh.Signer) (bool, error) {
	s, err := r.c.connect(ctx, r.trust, r.found.SSH, account, key)
	if errors.Is(err, errKeyRefused) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer s.Close()
	r.account = account
	if key != r.backup {
		return true, nil
	}
	return true, r.enrolled()
}

// register registers as Sugar does.
func (r *registration) register(ctx context.Context) (string, error) {
	machine, err := r.c.settleMachine()
	if err != nil {
		return "", err
	}
	account, err := r.c.registerSugar(ctx, r.found.Registration, machine, r.owner.PublicKey(), "")
	if err != nil {
		return "", err
	}
	return account, r.c.update(func(st *state) { st.Account = account; st.Enrolled = false })
}

// registerSugar does what Sugar's register_laptop does, and answers the account. If
// it is not the one that is wanted, unless any is, Sugar does not hear of it.
func (c *Client) registerSugar(ctx context.Context, at string, m profile.Machine, key ssh.PublicKey, want string) (string, error) {
	answer, err := c.callRegister(ctx, at, m, c.owner(ctx).Nick, key)
	if err != nil {
		return "", err
	}
	backupURL, _ := answer["backupurl"].(string)
	account, _, ok := splitBackupURL(backupURL)
	if !ok {
		return "", badAnswer(fmt.Sprintf("registration: backupurl %.80q", backupURL))
	}
	if want != "" && account != want {
		return "", badAnswer(fmt.Sprintf("registration: account %.60q for a key of %.60q", account, want))
	}
	if err := c.cfg.Profile.SetBackupURL(ctx, backupURL); err != nil {
		return "", fmt.Errorf("keeping the registration: %w", err)
	}
	if jabber, _ := answer["jabberserver"].(string); jabber != "" {
		if err := c.cfg.Profile.SetJabberServer(ctx, jabber); err != nil {
			return "", fmt.Errorf("keeping the registration: %w", err)
		}
	}
	return account, nil
}

// callRegister makes the XML-RPC call.
func (c *Client) callRegister(ctx context.Context, at string, m profile.Machine, nick string, key ssh.PublicKey) (map[string]any, error) {
	body, err := wire.EncodeCall("register", m.Serial, nick, m.UUID, base64.StdEncoding.EncodeToString(key.Marshal()))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/xml")
	status, _, reply, err := c.roundTrip(ctx, request)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, notXS(request.URL, fmt.Errorf("registration: status %d", status))
	}
	v, err := wire.DecodeResponse(bytes.NewReader(reply))
	var fault *wire.Fault
	if errors.As(err, &fault) {
		return nil, refusedRegistration(fault.Message, fault)
	}
	if err != nil {
		return nil, notXS(request.URL, err)
	}
	answer, ok := v.(map[string]any)
	if !ok {
		return nil, notXS(request.URL, fmt.Errorf("registration: answer %T", v))
	}
	if success, _ := answer["success"].(string); success != "OK" {
		why, _ := answer["error"].(string)
		return nil, refusedRegistration(why, fmt.Errorf("success %.40q", success))
	}
	return answer, nil
}

func refusedRegistration(why string, err error) error {
	message := "The school server did not register this laptop."
	if why = sentence(why); why != "" {
		message = "The school server did not register this laptop: " + why
	}
	return &Error{Code: ServerRefused, Message: message, Err: err}
}

// enrol lets our key in, and tries it.
func (r *registration) enrol(ctx context.Context) error {
	s, err := r.c.connect(ctx, r.trust, r.found.SSH, r.account, r.owner)
	if err != nil {
		return err
	}
	defer s.Close()
	err = s.withAPI(ctx, func(ctx context.Context, api *apiClient) error {
		return api.AddKey(ctx, r.backup, r.c.machine().Serial)
	})
	if err != nil {
		return err
	}
	ours, err := r.c.connect(ctx, r.trust, r.found.SSH, r.account, r.backup)
	if err != nil {
		return err
	}
	defer ours.Close()
	return r.enrolled()
}

func (r *registration) enrolled() error {
	return r.c.update(func(st *state) { st.Account, st.Enrolled, st.FirstBoot = r.account, true, false })
}

// splitBackupURL reads what a registration answers: ACCOUNT@HOST:backup.
func splitBackupURL(s string) (account, host string, ok bool) {
	account, rest, _ := strings.Cut(s, "@")
	if checkAccount(account) != nil {
		return "", "", false
	}
	host = rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host = rest[:i]
	}
	return account, host, host != ""
}
