package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// dial opens a session as this laptop's account. The session ends when ctx
// does. The server's address is the one it told last; only where nobody
// listens there it is asked again.
func (c *Client) dial(ctx context.Context) (*session, error) {
	st := c.state.get()
	moved := c.cfg.Server != "" && c.cfg.Server != st.Server
	if st.SSH != "" && !moved {
		s, err := c.enter(ctx, c.hostTrust(), st.SSH)
		if err == nil || !errors.Is(err, errNobodyThere) {
			return s, err
		}
	}
	return c.dialAnew(ctx)
}

// dialAnew asks the server where it is, and opens a session there.
func (c *Client) dialAnew(ctx context.Context) (*session, error) {
	if c.account() == "" {
		return nil, errNotRegistered()
	}
	found, err := c.service(ctx)
	if err != nil {
		return nil, err
	}
	trust := c.hostTrust()
	trust.server = found.Server.String()
	return c.enter(ctx, trust, found.SSH)
}

// enter opens a session at addr as this laptop's account, and remembers whether
// it was let in. It tries where it was not let in before, too: what the server
// knows is the server's to say.
func (c *Client) enter(ctx context.Context, trust *hostTrust, addr string) (*session, error) {
	account := c.account()
	if account == "" {
		return nil, errNotRegistered()
	}
	key, err := c.cfg.Profile.BackupKey(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotRegistered()
	}
	if err != nil {
		return nil, badKey("backup.key", err)
	}
	s, err := c.connect(ctx, trust, addr, account, key)
	if in := err == nil; in || errors.Is(err, errKeyRefused) {
		if err := c.update(func(st *state) { st.Enrolled = in }); err != nil {
			c.cfg.Log.Warn("cannot keep the state", "error", err)
		}
	}
	return s, err
}

// errNobodyThere marks that no connection came about at an address.
var errNobodyThere = errors.New("no connection")

// errKeyRefused marks that the XS does not let this key in.
var errKeyRefused = errors.New("the server does not let this key in")

// connect opens a session at addr with whom trust trusts; nobody else learns
// even the account's name.
func (c *Client) connect(ctx context.Context, trust *hostTrust, addr, account string, key ssh.Signer) (*session, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, badAnswer(fmt.Sprintf("ssh address %.80q", addr))
	}
	opening, cancel := context.WithTimeout(ctx, c.openTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: pingEvery, Interval: pingEvery, Count: 3}}
	conn, err := dialer.DialContext(opening, "tcp", addr)
	if err != nil {
		if cancelled(ctx) != nil {
			return nil, cancelled(ctx)
		}
		return nil, unavailable(notThere(host, err), fmt.Errorf("%w: %w", errNobodyThere, err))
	}
	l := newLink(conn)
	stop := context.AfterFunc(opening, func() { l.Close() })
	sshConn, channels, requests, err := ssh.NewClientConn(l, addr, &ssh.ClientConfig{
		Config:            ssh.Config{Ciphers: ciphers()},
		User:              account,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback:   trust.check,
		HostKeyAlgorithms: trust.algorithms(),
		ClientVersion:     "SSH-2.0-xo-backupd",
	})
	if !stop() || err != nil {
		l.Close()
		return nil, c.handshakeError(ctx, opening, host, trust, err)
	}
	if err := c.sawTrusted(trust, addr); err != nil {
		c.cfg.Log.Warn("cannot keep the state", "error", err)
	}
	s := &session{ctx: ctx, client: c, conn: sshConn, link: l, host: host, account: account, server: trust.met}
	s.stop = context.AfterFunc(ctx, func() { l.Close() })
	s.serve(channels, requests)
	return s, nil
}

// serve does what a connection needs besides the commands: it refuses what
// the XS might want to open here, and keeps the link alive.
func (s *session) serve(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	done := make(chan struct{})
	s.wait.Go(func() {
		for ch := range channels {
			_ = ch.Reject(ssh.Prohibited, "the laptop opens, the server answers")
		}
	})
	s.wait.Go(func() { ssh.DiscardRequests(requests) })
	s.wait.Go(func() { defer close(done); _ = s.conn.Wait() })
	s.wait.Go(func() { s.link.ping(s.conn, done) })
	s.wait.Go(func() { s.link.watch(done) })
}

// handshakeError tells apart why no session came about in the time that opening
// gave it.
func (c *Client) handshakeError(ctx, opening context.Context, host string, trust *hostTrust, err error) error {
	switch {
	case trust.wrong != nil:
		return c.wrongServer(host, trust)
	case cancelled(ctx) != nil:
		return cancelled(ctx)
	case err == nil || opening.Err() != nil:
		return unavailable(fmt.Sprintf("The school server %s does not answer: please try again later.", host), context.DeadlineExceeded)
	case strings.Contains(err.Error(), "unable to authenticate"):
		// x/crypto/ssh has no type for it.
		return errForgotten(fmt.Errorf("%w at %s: %w", errKeyRefused, host, err))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return unavailable(fmt.Sprintf("The school server %s ended the connection before it began: please try again later.", host), err)
	default:
		return unavailable(fmt.Sprintf("What answers at %s does not behave like a school server: please try again later.", host), err)
	}
}

// notThere says in words why nothing answers.
func notThere(host string, err error) string {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("There is no school server called %s in this network: is this the school's network?", dns.Name)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("The school server %s does not answer: is the school's network in reach?", host)
	default:
		return fmt.Sprintf("The school server %s cannot be reached: is it switched on, and is this the school's network?", host)
	}
}

// badKey is a private key that cannot be used.
func badKey(name string, err error) error {
	if full := fullDisk(err); full != err {
		return full
	}
	return &Error{
		Code:    NotRegistered,
		Message: fmt.Sprintf("The key %s of this laptop cannot be used: please ask whoever looks after the laptops.", name),
		Err:     err,
	}
}

// ciphers prefers what is fast here: AES where Go uses the processor's
// instructions for it, else ChaCha20, which is nearly twice as fast as AES in
// plain Go (386, softfloat: 77 against 41 MB/s).
func ciphers() []string {
	fast := []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305}
	if !(runtime.GOARCH == "amd64" && cpu.X86.HasAES || runtime.GOARCH == "arm64" && cpu.ARM64.HasAES) {
		fast = []string{ssh.CipherChaCha20Poly1305, ssh.CipherAES128GCM, ssh.CipherAES256GCM}
	}
	return append(fast, ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR)
}

// withinAMinute bounds a call that a person waits for.
func withinAMinute(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 55*time.Second)
}
