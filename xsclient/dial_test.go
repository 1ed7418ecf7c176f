package xsclient

import (
	"context"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A server with another host key gets nothing: not one try to authenticate.
func TestChangedHostKey(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	old := p.hostKey
	fresh := newSigner(t)
	p.set(func() { p.hostKey = fresh; p.tries = 0 })
	_, err := c.ListSnapshots(t.Context())
	e := wantCode(t, err, WrongServer)
	fingerprint := ssh.FingerprintSHA256(fresh.PublicKey())
	s := c.Status()
	if p.tries != 0 || !strings.Contains(e.Message, fingerprint) || s.State != StateNewServer || !strings.Contains(s.StateReason, fingerprint) {
		t.Errorf("%d tries; %v; %+v", p.tries, e, s)
	}
	wantCode(t, c.Register(t.Context()), WrongServer)
	if s := client(t, c.cfg).Status(); s.State != StateNewServer {
		t.Errorf("after a restart: %+v", s)
	}
	for _, wrong := range []string{"", ssh.FingerprintSHA256(old.PublicKey()), fingerprint + "x", strings.ToLower(fingerprint)} {
		wantCode(t, c.TrustServer(t.Context(), wrong), InvalidArgument)
	}
	if p.tries != 0 {
		t.Errorf("%d tries", p.tries)
	}
	if err := c.TrustServer(t.Context(), fingerprint); err != nil {
		t.Fatal(err)
	}
	// Whether that one knows this laptop is found out as soon as it is asked.
	if s := c.Status(); s.State != StateUnregistered {
		t.Errorf("after TrustServer: %+v", s)
	}
	if _, err := c.ListSnapshots(t.Context()); err != nil {
		t.Error(err)
	}
	if s := c.Status(); s.State != StateIdle {
		t.Errorf("after it let us in: %+v", s)
	}
	// Now the old one is the wrong one.
	p.set(func() { p.hostKey = old })
	_, err = c.ListSnapshots(t.Context())
	wantCode(t, err, WrongServer)
}

// When the right server is back, another that was met is forgotten.
func TestRightServerIsBack(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	p.set(func() { p.shown = newSigner(t) })
	_, err := c.ListSnapshots(t.Context())
	wantCode(t, err, WrongServer)
	p.set(func() { p.shown = nil })
	if _, err := c.ListSnapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := c.Status(); s.State != StateIdle {
		t.Errorf("%+v", s)
	}
}

// At the first registration too: the key of the ssh listener has to be the one
// that the http listener told.
func TestFirstMeetingOfAnImpostor(t *testing.T) {
	p := newPeer(t)
	p.shown = newSigner(t)
	c := client(t, laptop(t, p))
	wantCode(t, c.Register(t.Context()), WrongServer)
	if p.tries != 0 || c.state.get().HostKey != "" {
		t.Errorf("%d tries; pinned %q", p.tries, c.state.get().HostKey)
	}
}

// A fingerprint that the school gave is enough before the first registration.
func TestTrustBeforeRegister(t *testing.T) {
	p := newPeer(t)
	c := client(t, laptop(t, p))
	wantCode(t, c.TrustServer(t.Context(), ssh.FingerprintSHA256(newSigner(t).PublicKey())), InvalidArgument)
	if err := c.TrustServer(t.Context(), ssh.FingerprintSHA256(p.hostKey.PublicKey())); err != nil {
		t.Fatal(err)
	}
	if err := c.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestServerMoved(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	p.ssh.Close()
	p.cut()
	_, err := c.ListSnapshots(t.Context())
	wantCode(t, err, ServerUnavailable)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.ssh = l })
	p.wait.Go(p.serveSSH)
	if _, err := c.ListSnapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.state.get().SSH; got != l.Addr().String() {
		t.Errorf("remembers %s", got)
	}
}

func TestServerAway(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	p.stop()
	for name, call := range map[string]func(context.Context) error{
		"list":     func(ctx context.Context) error { _, err := c.ListSnapshots(ctx); return err },
		"check":    func(ctx context.Context) error { _, err := c.CheckServer(ctx); return err },
		"ask":      c.WouldTake,
		"register": c.Register,
	} {
		e := wantCode(t, call(t.Context()), ServerUnavailable)
		if !strings.Contains(e.Message, "127.0.0.1") {
			t.Errorf("%s: does not name the host: %v", name, e)
		}
	}
	cfg := c.cfg
	cfg.Server = "http://no-such-school-server.invalid"
	e := wantCode(t, client(t, cfg).Register(t.Context()), ServerUnavailable)
	if !strings.Contains(e.Message, "no-such-school-server.invalid") {
		t.Errorf("does not name the host: %v", e)
	}
}

func TestNotRegistered(t *testing.T) {
	p := newPeer(t)
	c := client(t, laptop(t, p))
	_, err := c.ListSnapshots(t.Context())
	wantCode(t, err, NotRegistered)
	r := registered(t, p)
	p.set(func() { clear(p.keys) })
	_, err = r.ListSnapshots(t.Context())
	e := wantCode(t, err, NotRegistered)
	if s := r.Status(); !strings.Contains(e.Message, "Register") || s.State != StateUnregistered || s.StateReason != e.Message {
		t.Errorf("does not say what to do: %v, %+v", e, s)
	}
	check, err := r.CheckServer(t.Context())
	if err != nil || check.Available || check.Reason != e.Message {
		t.Errorf("%+v, %v", check, err)
	}
	if err := r.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ListSnapshots(t.Context()); err != nil || r.Status().State != StateIdle {
		t.Errorf("%v, %+v", err, r.Status())
	}
}

// A server that takes the laptop back by itself needs no registration.
func TestKnownAgain(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	keys := p.keys
	p.set(func() { p.keys = nil })
	_, err := c.ListSnapshots(t.Context())
	wantCode(t, err, NotRegistered)
	p.set(func() { p.keys = keys })
	if _, err := c.ListSnapshots(t.Context()); err != nil || c.Status().State != StateIdle {
		t.Errorf("%v, %+v", err, c.Status())
	}
}
