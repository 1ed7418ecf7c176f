package xsclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
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
	if s := c.Status(); s.State != StateIdle {
		t.Errorf("after TrustServer: %+v", s)
	}
	if _, err := c.ListSnapshots(t.Context()); err != nil {
		t.Error(err)
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
		"ask":      c.ask,
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
	if !strings.Contains(e.Message, "Register") {
		t.Errorf("does not say what to do: %v", e)
	}
}

// hang holds a channel until the peer ends.
func hang(_ string, ch ssh.Channel) { io.Copy(io.Discard, ch) }

// Whatever a server does wrong after the login is an error in good time, and
// never hangs a caller who has given up.
func TestHostileSessions(t *testing.T) {
	say := func(line string) func(string, ssh.Channel) {
		return func(_ string, ch ssh.Channel) {
			io.WriteString(ch, line)
			hang("", ch)
		}
	}
	hello := fmt.Sprintf(`{"version":%d,"action":"serve"}`+"\n", wire.Version)
	// reply is honest until it has read a request.
	reply := func(http1 string) func(string, ssh.Channel) {
		return func(_ string, ch ssh.Channel) {
			r := bufio.NewReader(ch)
			r.ReadString('\n')
			io.WriteString(ch, hello)
			http.ReadRequest(r)
			io.WriteString(ch, http1)
			hang("", ch)
		}
	}
	for _, c := range []struct {
		name string
		exec func(string, ssh.Channel)
		code Code
	}{
		{"not JSON", say("hello\n"), ServerUnavailable},
		{"JSON of another kind", say("[1]\n"), ServerUnavailable},
		{"another version", say(`{"version":99,"action":"serve"}` + "\n"), ServerUnavailable},
		{"another action", say(`{"version":2,"action":"pull"}` + "\n"), ServerUnavailable},
		{"an endless line", func(_ string, ch ssh.Channel) {
			for {
				if _, err := ch.Write(make([]byte, 1<<15)); err != nil {
					return
				}
			}
		}, ServerUnavailable},
		{"no answer", hang, ServerUnavailable},
		{"no answer to HTTP", reply(""), ServerUnavailable},
		{"closes", func(_ string, ch ssh.Channel) { ch.Close() }, ServerUnavailable},
		{"half a line", func(_ string, ch ssh.Channel) { io.WriteString(ch, `{"version`); ch.Close() }, ServerUnavailable},
		{"busy", say(`{"version":2,"error":{"code":"busy","message":"Come again.","retry_after":90}}` + "\n"), ServerBusy},
		{"in use", say(`{"version":2,"error":{"code":"in-use","message":"Come again."}}` + "\n"), ServerBusy},
		{"full", say(`{"version":2,"error":{"code":"full","message":"The disk is full."}}` + "\n"), ServerRefused},
		{"read-only", say(`{"version":2,"error":{"code":"read-only","message":"No."}}` + "\n"), ServerRefused},
		{"damaged", say(`{"version":2,"error":{"code":"damaged","message":"Oh."}}` + "\n"), Damaged},
		{"a code of tomorrow", say(`{"version":2,"error":{"code":"moon","message":"Full."}}` + "\n"), Failed},
		{"a refusal without words", say(`{"version":2,"error":{}}` + "\n"), Failed},
		{"HTTP that is none", reply("nonsense\r\n\r\n"), ServerUnavailable},
		{"an endless header", func(_ string, ch ssh.Channel) {
			io.WriteString(ch, hello+"HTTP/1.1 200 OK\r\nX: ")
			for {
				if _, err := ch.Write(make([]byte, 1<<15)); err != nil {
					return
				}
			}
		}, ServerUnavailable},
		{"an endless body", func(_ string, ch ssh.Channel) {
			r := bufio.NewReader(ch)
			r.ReadString('\n')
			io.WriteString(ch, hello)
			http.ReadRequest(r)
			io.WriteString(ch, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := ch.Write(make([]byte, 1<<15)); err != nil {
					return
				}
			}
		}, ServerUnavailable},
		{"closes midway", func(_ string, ch ssh.Channel) {
			r := bufio.NewReader(ch)
			r.ReadString('\n')
			io.WriteString(ch, hello)
			http.ReadRequest(r)
			io.WriteString(ch, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[")
			ch.Close()
		}, ServerUnavailable},
		{"a body of another kind", reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\"\""), ServerUnavailable},
		{"redirects", reply("HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n"), ServerUnavailable},
		{"a status without a reason", reply("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"), ServerUnavailable},
		{"busy over HTTP", reply("HTTP/1.1 503 Busy\r\nContent-Length: 45\r\n\r\n" + `{"code":"busy","message":"x","retry_after":5}`), ServerBusy},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, cl := hostile(t)
			p.set(func() { p.exec = c.exec })
			start := time.Now()
			_, err := cl.ListSnapshots(t.Context())
			e := wantCode(t, err, c.code)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if c.name == "busy" && e.RetryAfter != 90*time.Second {
				t.Errorf("retry after %v", e.RetryAfter)
			}
		})
	}
	for name, exec := range map[string]func(string, ssh.Channel){
		"no answer":         hang,
		"no answer to HTTP": reply(""),
		"a body that stops": reply("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n["),
	} {
		t.Run(name+", given up", func(t *testing.T) {
			t.Parallel()
			p, cl := hostile(t)
			p.set(func() { p.exec = exec })
			cl.openTimeout, cl.apiTimeout = openTimeout, apiTimeout
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(200*time.Millisecond, cancel)
			start := time.Now()
			_, err := cl.ListSnapshots(ctx)
			if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	}
}

// hostile is a registered client without any settings of its own, for tests
// that run at the same time.
func hostile(t *testing.T) (*peer, *Client) {
	t.Helper()
	p := newPeer(t)
	dir := t.TempDir()
	cfg := Config{Server: p.http.URL, Serial: "SHC1", StateDir: dir, Root: dir}
	cfg.Profile.Dir = dir
	key, err := cfg.Profile.BackupKey(true)
	if err != nil {
		t.Fatal(err)
	}
	p.keys["SHC1"] = map[string]string{string(key.PublicKey().Marshal()): "backup"}
	c := client(t, cfg)
	c.openTimeout, c.apiTimeout = time.Second, time.Second
	err = c.update(func(st *state) {
		st.Account, st.Enrolled, st.Server = "SHC1", true, p.http.URL
		st.SSH, st.HostKey = p.ssh.Addr().String(), hostKeyLine(p.hostKey.PublicKey())
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// A server that takes the connection and then says nothing, or nonsense.
func TestSilentSSH(t *testing.T) {
	for name, accept := range map[string]func(net.Conn) bool{
		"nothing":  func(c net.Conn) bool { io.Copy(io.Discard, c); return false },
		"nonsense": func(c net.Conn) bool { io.WriteString(c, "220 smtp ready\r\n\r\n"); c.Close(); return false },
		"endless": func(c net.Conn) bool {
			for {
				if _, err := c.Write([]byte(strings.Repeat("x", 4096))); err != nil {
					return false
				}
			}
		},
		"closes": func(c net.Conn) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c := hostile(t)
			p.set(func() { p.accept = accept })
			start := time.Now()
			_, err := c.ListSnapshots(t.Context())
			wantCode(t, err, ServerUnavailable)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("given up", func(t *testing.T) {
		t.Parallel()
		p, c := hostile(t)
		c.openTimeout = openTimeout
		p.set(func() { p.accept = func(c net.Conn) bool { io.Copy(io.Discard, c); return false } })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		start := time.Now()
		if _, err := c.dial(ctx); !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestCheckServer(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	check, err := c.CheckServer(t.Context())
	if err != nil || !check.Available || check.Reason != "" || fmt.Sprint(check.Protocols) != "[1 2]" {
		t.Errorf("%+v, %v", check, err)
	}
	if err := c.ask(t.Context()); err != nil {
		t.Error(err)
	}
	p.set(func() {
		p.serves = wire.Availability{Code: wire.RefusedBusy, Reason: "Many laptops at once.", RetryAfter: 77}
	})
	check, err = c.CheckServer(t.Context())
	if err != nil || check.Available || check.Reason != "Many laptops at once." || check.RetryAfter != 77*time.Second {
		t.Errorf("%+v, %v", check, err)
	}
	if e := wantCode(t, c.ask(t.Context()), ServerBusy); e.RetryAfter != 77*time.Second {
		t.Errorf("%+v", e)
	}

	for _, hostile := range []struct {
		name string
		http http.HandlerFunc
		code Code
	}{
		{"a login page", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>Welcome to Wi-Fi") }, ServerUnavailable},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, ServerUnavailable},
		{"a 404 page", http.NotFound, ServerUnavailable},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, ServerUnavailable},
		{"no ssh address", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"protocols":[2]}`) }, ServerUnavailable},
		{"closes", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, ServerUnavailable},
		{"503", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, ServerBusy},
	} {
		p.set(func() { p.check = hostile.http })
		_, err := c.CheckServer(t.Context())
		e := wantCode(t, err, hostile.code)
		if hostile.code == ServerUnavailable && !strings.Contains(e.Message, "127.0.0.1") {
			t.Errorf("%s: does not name the host: %v", hostile.name, e)
		}
	}
}

// A server of before is recognised, and believed about when to come again.
func TestOldServer(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	var status atomic.Int32
	p.set(func() {
		p.check = func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/backup/1/available/") {
				w.Header().Set("Retry-After", "120")
				w.WriteHeader(int(status.Load()))
				return
			}
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "1\n")
		}
	})
	for _, s := range []struct {
		status int32
		retry  time.Duration
	}{{200, 0}, {403, 0}, {404, 0}, {503, 120 * time.Second}} {
		status.Store(s.status)
		check, err := c.CheckServer(t.Context())
		if err != nil || check.Available || check.Reason == "" || check.RetryAfter != s.retry || fmt.Sprint(check.Protocols) != "[1]" {
			t.Errorf("%d: %+v, %v", s.status, check, err)
		}
	}
	wantCode(t, client(t, laptop(t, p)).Register(t.Context()), ServerRefused)
}

func TestDiscovery(t *testing.T) {
	p := newPeer(t)
	cfg := laptop(t, p)
	cfg.Server = ""
	c := client(t, cfg)
	for _, step := range []struct{ backup, jabber, state, want string }{
		{"", "", "", "http://schoolserver"},
		{"", "jabber.school", "", "http://jabber.school"},
		{"SHC1@xs.school:backup", "jabber.school", "", "http://xs.school"},
		{"SHC1@xs.school:backup", "", "http://xs.school:4711", "http://xs.school:4711"},
		{"SHC1@xs.school:backup", "", "http://127.0.0.1:4711", "http://xs.school"},
		{"nonsense", "a b", "http://127.0.0.1:4711", "http://127.0.0.1:4711"},
	} {
		for _, err := range []error{
			cfg.Profile.SetBackupURL(t.Context(), step.backup),
			cfg.Profile.SetJabberServer(t.Context(), step.jabber),
			c.update(func(st *state) { st.Server = step.state }),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if u, err := c.server(t.Context()); err != nil || u.String() != step.want {
			t.Errorf("%+v: %v, %v", step, u, err)
		}
	}
	for _, bad := range []string{"schoolserver", "ftp://x", "http://", "http://u:p@x", "://"} {
		cfg.Server = bad
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "server") {
			t.Errorf("server %q: %v", bad, err)
		}
	}
}

func TestAPI(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	s, err := c.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	api, err := s.api(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	snaps, err := api.Snapshots(t.Context())
	if err != nil || len(snaps) != 1 || snaps[0].Seq != 7 {
		t.Fatalf("%v, %v", snaps, err)
	}
	if one, err := api.Snapshot(t.Context(), snaps[0].ID); err != nil || one != snaps[0] {
		t.Errorf("%v, %v", one, err)
	}
	_, err = api.Snapshot(t.Context(), "../../x")
	wantCode(t, err, NoSnapshot)
	if path, err := api.RestorePath(t.Context(), snaps[0].ID); err != nil || path != "snapshots/"+snaps[0].ID {
		t.Errorf("%q, %v", path, err)
	}
	n := 0
	if err := api.Entries(t.Context(), snaps[0].ID, func(wire.Entry) error { n++; return nil }); err != nil || n != 2000 {
		t.Errorf("%d entries, %v", n, err)
	}
	// Given up in the midst: the next question is answered all the same.
	enough := errors.New("enough")
	if err := api.Entries(t.Context(), snaps[0].ID, func(wire.Entry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	if saved, err := api.Saved(t.Context(), map[string]string{"a": "1", "b": "2"}); err != nil || fmt.Sprint(saved) != "[a]" {
		t.Errorf("%v, %v", saved, err)
	}
}
