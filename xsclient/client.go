package xsclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Service is what a Client needs of Sugar's running datastore.
type Service interface {
	// Running tells without starting it.
	Running(ctx context.Context) (bool, error)
	// Update puts an entry, and the file at path if there is one, into it.
	Update(ctx context.Context, e *datastore.Entry, path string) error
	// Hold stops it, and keeps it from starting until release.
	Hold(ctx context.Context) (release func() error, err error)
}

// Config is what a Client is made of. What is empty is found as Sugar finds it.
type Config struct {
	Server        string // URL of the XS's http listener
	Registration  string // URL of its XML-RPC listener
	DeploymentKey string // one authorized_keys line: trust what it has signed

	Nick, Serial, UUID string

	Profile   profile.Profile
	Root      string // where /ofw and /proc are; "" is "/"
	StateDir  string
	CacheDir  string
	Log       *slog.Logger
	Datastore Service
	// Changed is called after the Status may have changed, by whichever
	// goroutine changed it, with no lock held. May be nil.
	Changed func(Status)
}

// Client runs the operations. Its methods may be called at the same time;
// that no two jobs work on one Journal is the caller's care.
type Client struct {
	cfg    Config
	deploy ssh.PublicKey // nil: pin
	state  *stateKeeper
	http   *http.Client
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	kept   *kept      // over which snapshots are looked into
	claims sync.Mutex // one answer to the offer of a Journal at a time
	making sync.Mutex // of our key
	// Bounds of waiting for a server: openTimeout and apiTimeout, but for
	// tests, which have no patience.
	openTimeout, apiTimeout time.Duration
	// found is the server URL as last discovered, so that Status needs no
	// gsettings.
	found atomic.Pointer[string]
	// stopped is why the restore that is pending came to no end, in words.
	stopped atomic.Pointer[string]
}

// New opens the state; it asks nobody anything yet.
func New(cfg Config) (*Client, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	c := &Client{cfg: cfg, http: newHTTPClient(), now: time.Now, sleep: sleep, openTimeout: openTimeout, apiTimeout: apiTimeout}
	c.kept = newKept(c)
	for name, value := range map[string]string{"server": cfg.Server, "registration": cfg.Registration} {
		if value == "" {
			continue
		}
		if _, err := parseURL(value); err != nil {
			return nil, fmt.Errorf("configuration: %s: %w", name, err)
		}
	}
	if cfg.DeploymentKey != "" {
		key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(cfg.DeploymentKey))
		if err != nil || len(strings.TrimSpace(string(rest))) > 0 {
			return nil, fmt.Errorf("configuration: deployment_key is not one public key: %.60q", cfg.DeploymentKey)
		}
		c.deploy = key
	}
	c.state = newState(cfg.StateDir)
	return c, c.loadState()
}

// Close ends what a Client keeps open, whoever uses it. Other operations end with
// their ctx.
func (c *Client) Close() { c.kept.Close() }

// loadState reads the state. One that is damaged begins anew.
func (c *Client) loadState() error {
	err := c.state.load()
	var damaged *damagedState
	if errors.As(err, &damaged) {
		c.cfg.Log.Error("the state is damaged", "error", err)
		return nil
	}
	return err
}

// States of a Client. A job's own state (backing-up, restoring) is whoever
// runs the job's to say.
const (
	StateUnregistered = "unregistered"
	StateFirstBoot    = "first-boot" // nobody has answered yet whose laptop this is
	StateNewServer    = "new-server"
	StateIdle         = "idle"
)

// Status is how things stand, without asking anybody.
type Status struct {
	State       string
	StateReason string // why it is not backing up, in words
	Server      string
	Account     string
	Serial      string
	LastBackup  int64 // Unix seconds; 0: never
	LastResult  string
	Entries     int
}

// Status answers at once.
func (c *Client) Status() Status {
	st := c.state.get()
	s := Status{
		State:      StateIdle,
		Server:     c.knownServer(),
		Account:    st.Account,
		Serial:     c.machine().Serial,
		LastBackup: st.LastBackup,
		LastResult: st.LastResult,
		Entries:    st.Entries,
	}
	switch {
	case st.SeenKey != "":
		s.State, s.StateReason = StateNewServer, newServerReason(st.SeenKey)
	case st.Account == "":
		s.State, s.StateReason = StateUnregistered, inWords(errNotRegistered())
		if st.FirstBoot || st.Claim.Waits {
			s.State, s.StateReason = StateFirstBoot, firstBootReason(st.Offered)
		}
		if why := c.state.why(); why != "" {
			s.StateReason = why
		}
	case !st.Enrolled:
		s.State, s.StateReason = StateUnregistered, inWords(errForgotten(nil))
	}
	if st.Claim.Waits {
		s.StateReason = fmt.Sprintf("This laptop waits to be let in: ask whoever looks after the school server to approve the request with the sign %s.", st.Claim.Sign)
	}
	s.StateReason = strings.TrimSpace(s.StateReason + " " + c.pendingReason())
	return s
}

// update changes the state for good, and tells.
func (c *Client) update(change func(*state)) error {
	changed, err := c.state.update(change)
	if changed && c.cfg.Changed != nil {
		c.cfg.Changed(c.Status())
	}
	return err
}

// account answers whom the XS registered us as, "" if it never did.
func (c *Client) account() string { return c.state.get().Account }

// machine tells which machine this is.
func (c *Client) machine() profile.Machine {
	m := c.cfg.Profile.Machine(c.cfg.Root)
	if c.cfg.Serial != "" {
		m.Serial = c.cfg.Serial
	}
	if c.cfg.UUID != "" {
		m.UUID = c.cfg.UUID
	}
	return m
}

// owner tells whose Journal this is.
func (c *Client) owner(ctx context.Context) datastore.Owner {
	owner, err := c.cfg.Profile.Owner(ctx)
	if err != nil {
		c.cfg.Log.Warn("cannot read the owner's name and colour", "error", err)
	}
	if c.cfg.Nick != "" {
		owner.Nick = c.cfg.Nick
	}
	return datastore.Owner(owner)
}

// checkAccount refuses what cannot be an account: it becomes an SSH user name
// and part of a file's name.
func checkAccount(account string) error {
	if account == wire.ClaimUser || wire.CheckName(account) != "" {
		return fmt.Errorf("%.80q cannot be an account", account)
	}
	return nil
}

// parseURL accepts an http URL with a host and nothing else of note.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, fmt.Errorf("%.80q is not a URL like http://schoolserver", s)
	}
	return u, nil
}

// onHost replaces an address's host where it says nothing.
func onHost(addr, host string) (string, error) {
	h, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(h); h == "" || ip != nil && ip.IsUnspecified() {
		h = host
	}
	return net.JoinHostPort(h, port), nil
}
