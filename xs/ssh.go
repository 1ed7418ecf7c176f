package xs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

const (
	// maxChannels are open on one connection at once: an XO needs two.
	maxChannels = 8
	maxTries    = 6 // keys that one connection may offer
	serverName  = "SSH-2.0-xs-backupd"
)

// Names of what authentication found out, in ssh.Permissions.
const (
	permAccount = "account"
	permKey     = "key"
)

func (r *running) sshConfig() *ssh.ServerConfig {
	algorithms := ssh.SupportedAlgorithms().PublicKeyAuths
	c := &ssh.ServerConfig{
		// The owner's keys of XOs are ssh-dss and stay so: Sugar 0.120 takes no other.
		PublicKeyAuthAlgorithms: append(algorithms, ssh.InsecureKeyAlgoDSA), //lint:ignore SA1019 see above
		PublicKeyCallback:       r.authenticate,
		MaxAuthTries:            maxTries,
		ServerVersion:           serverName,
	}
	c.AddHostKey(r.hostKey)
	if r.hostCert != nil {
		// Both: who pinned the key goes on with it.
		if signer, err := ssh.NewCertSigner(r.hostCert, r.hostKey); err == nil {
			c.AddHostKey(signer)
		}
	}
	return c
}

var errDenied = errors.New("not known here")

// authenticate lets a key into the account whose name is the user's. That the
// other side holds the key is proved afterwards.
func (r *running) authenticate(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if c.User() == wire.ClaimUser {
		return claimant(key), nil
	}
	id, err := store.ParseAccountID(c.User())
	if err != nil {
		return nil, err
	}
	a, err := r.Store.Account(id)
	if err != nil {
		return nil, err
	}
	k, ok := a.FindKey(key)
	if !ok {
		return nil, errDenied
	}
	return &ssh.Permissions{Extensions: map[string]string{permAccount: string(a.ID), permKey: k.Key}}, nil
}

// serveSSH accepts until the listener closes and waits for its connections.
// When ctx ends, those without a session end; when work ends, all do.
func (r *running) serveSSH(ctx, work context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	strangers := make(chan struct{}, r.Config.MaxUnauthenticated)
	all := make(chan struct{}, r.Config.MaxConnections)
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			if c != nil {
				c.Close()
			}
			return err
		case err != nil: // no file descriptors left, say
			r.Log.Error("accept", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if !tryTake(all) {
			c.Close()
			continue
		}
		if !tryTake(strangers) {
			<-all
			c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-all }()
			r.serveConn(ctx, work, c, func() { <-strangers })
		})
	}
}

func tryTake(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// connection is one that has said who it is.
type connection struct {
	*running
	conn    *ssh.ServerConn
	account store.AccountID
	// sessions open now, and since when there is none (Unix nanoseconds).
	mu       sync.Mutex
	sessions int
	idle     time.Time
}

func (r *running) serveConn(ctx, work context.Context, c net.Conn, known func()) {
	defer c.Close()
	live, end := context.WithCancel(work) // as long as the connection
	defer end()
	stop := context.AfterFunc(live, func() { c.Close() })
	defer stop()
	c.SetDeadline(time.Now().Add(r.Config.HandshakeTimeout))
	conn, channels, requests, err := ssh.NewServerConn(c, r.ssh)
	known()
	if err != nil {
		r.Log.Debug("ssh refused", "from", c.RemoteAddr(), "error", err)
		return
	}
	c.SetDeadline(time.Time{})
	defer conn.Close()
	n := &connection{running: r, conn: conn, idle: time.Now(),
		account: store.AccountID(conn.Permissions.Extensions[permAccount])}
	owner := n.owner()
	if !r.connections.enter(owner) {
		r.Log.Warn("connection ended: the account has too many", "account", owner, "from", c.RemoteAddr())
		return
	}
	defer r.connections.leave(owner)
	if err := n.cameBack(live); err != nil {
		r.Log.Error("a former key came, and its claim was not looked at", "account", n.account, "error", err)
		return
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()                                     // and with it the transfers
	wg.Go(func() { ssh.DiscardRequests(requests) }) // no forwarding
	wg.Go(func() { n.watch(ctx, live) })
	for ch := range channels {
		if ch.ChannelType() != "session" {
			ch.Reject(ssh.Prohibited, "only sessions here")
			continue
		}
		if !n.enter() {
			ch.Reject(ssh.ResourceShortage, "too many sessions on one connection")
			continue
		}
		channel, requests, err := ch.Accept()
		if err != nil {
			n.leave()
			continue
		}
		wg.Go(func() {
			defer n.leave()
			n.serveChannel(live, work, channel, requests)
		})
	}
}

func (n *connection) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions == maxChannels {
		return false
	}
	n.sessions++
	return true
}

func (n *connection) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sessions--
	n.idle = time.Now()
}

// watch ends the connection when its other side is gone, when it idles, and,
// once ctx has ended, when no session runs.
func (n *connection) watch(ctx, live context.Context) {
	tick := time.NewTicker(n.Config.Keepalive)
	defer tick.Stop()
	var alive atomic.Int64
	alive.Store(time.Now().UnixNano())
	asking := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer n.conn.Close()
	draining := ctx.Done()
	for {
		select {
		case <-live.Done():
			return
		case <-draining:
			draining = nil
			tick.Reset(min(n.Config.Keepalive, 100*time.Millisecond))
		case <-tick.C:
		}
		n.mu.Lock()
		resting := n.sessions == 0
		rested := time.Since(n.idle)
		n.mu.Unlock()
		if resting && (ctx.Err() != nil || rested > n.Config.IdleTimeout) ||
			time.Since(time.Unix(0, alive.Load())) > 3*n.Config.Keepalive {
			return
		}
		if tryTake(asking) {
			wg.Go(func() {
				defer func() { <-asking }()
				// Any answer is a sign of life. An error is the connection's end.
				if _, _, err := n.conn.SendRequest("keepalive@openssh.com", true, nil); err == nil {
					alive.Store(time.Now().UnixNano())
				}
			})
		}
	}
}

// cameBack has the store know that a former key is still around.
func (n *connection) cameBack(ctx context.Context) error {
	if n.claiming() {
		return nil
	}
	_, k, err := n.find()
	if err != nil || k.Former == "" {
		return nil // what is wrong with it, its session is told
	}
	ctx, done := context.WithTimeout(ctx, answerTime)
	defer done()
	return n.Store.CameBack(ctx, n.account, k)
}

// find answers the account and the key that opened the connection, if it still may.
func (n *connection) find() (*store.Account, store.Key, error) {
	a, err := n.Store.Account(n.account)
	if err != nil {
		return nil, store.Key{}, err
	}
	key, err := store.ParseKey(n.conn.Permissions.Extensions[permKey])
	if err != nil {
		return nil, store.Key{}, err
	}
	if k, ok := a.FindKey(key); ok {
		return a, k, nil
	}
	return nil, store.Key{}, fmt.Errorf("%w: the key was removed from account %s, or its claim is frozen", errDenied, n.account)
}
