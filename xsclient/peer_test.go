package xsclient

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/wire"
)

// peer is a small school server over real HTTP, XML-RPC and SSH: honest as it
// stands, hostile where a test replaces one of its parts.
type peer struct {
	t    testing.TB
	http *httptest.Server
	reg  *httptest.Server
	ssh  net.Listener

	mu sync.Mutex
	// What a test may replace.
	check    http.HandlerFunc // nil: honest
	register http.HandlerFunc
	exec     func(command string, ch ssh.Channel)      // nil: honest
	accept   func(net.Conn) bool                       // false: the connection is not served
	claims   func(key string, r wire.ClaimRequest) any // nil: nobody may claim; see serveClaim

	hostKey ssh.Signer
	shown   ssh.Signer                   // host key over SSH, if it is another
	keys    map[string]map[string]string // account → public key → "owner" or "backup"
	calls   []string                     // of register: its arguments
	claimed []wire.ClaimRequest          // what was asked for as who claims
	enrols  []wire.KeyRequest
	tries   int // to authenticate
	serves  wire.Availability
	wait    sync.WaitGroup
	open    map[net.Conn]bool
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	p := &peer{t: t, hostKey: newSigner(t), keys: map[string]map[string]string{}, open: map[net.Conn]bool{}}
	p.serves.Available = true
	var err error
	if p.ssh, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.hook(&p.check, p.honestCheck)(w, r)
	}))
	p.reg = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.hook(&p.register, p.honestRegister)(w, r)
	}))
	p.wait.Go(p.serveSSH)
	t.Cleanup(p.stop)
	return p
}

func (p *peer) stop() {
	p.http.CloseClientConnections()
	p.http.Close()
	p.reg.CloseClientConnections()
	p.reg.Close()
	p.ssh.Close()
	p.cut()
	p.wait.Wait()
}

// cut ends all SSH connections.
func (p *peer) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		conn.Close()
	}
}

func (p *peer) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// hook answers what a test has put in the place of what is honest.
func (p *peer) hook(replaced *http.HandlerFunc, honest http.HandlerFunc) http.HandlerFunc {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *replaced != nil {
		return *replaced
	}
	return honest
}

func (p *peer) honestCheck(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.URL.Path == "/backup/2":
		json.NewEncoder(w).Encode(wire.Service{
			Protocols: []int{1, 2}, HostKey: hostKeyLine(p.hostKey.PublicKey()),
			SSH:          p.ssh.Addr().String(),
			Registration: p.reg.Listener.Addr().String(),
		})
	case strings.HasPrefix(r.URL.Path, "/backup/2/available/"):
		if !p.serves.Available {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(p.serves)
	default:
		http.NotFound(w, r)
	}
}

func (p *peer) honestRegister(w http.ResponseWriter, r *http.Request) {
	method, params, err := wire.DecodeCall(r.Body)
	if err != nil || method != "register" || len(params) != 4 {
		http.Error(w, "bad call", http.StatusBadRequest)
		return
	}
	blob, err := base64.StdEncoding.DecodeString(params[3].(string))
	if err != nil {
		http.Error(w, "bad key", http.StatusBadRequest)
		return
	}
	account := params[0].(string)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, fmt.Sprint(params[:3]))
	if p.keys[account] == nil {
		p.keys[account] = map[string]string{}
	}
	p.keys[account][string(blob)] = "owner"
	b, err := wire.EncodeResponse(map[string]any{
		"success": "OK", "backupurl": account + "@schoolserver:backup", "jabberserver": "schoolserver",
	})
	if err != nil {
		p.t.Error(err)
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Write(b)
}

func (p *peer) serveSSH() {
	for {
		conn, err := p.ssh.Accept()
		if err != nil {
			return
		}
		var accept func(net.Conn) bool
		p.set(func() { p.open[conn] = true; accept = p.accept })
		p.wait.Go(func() {
			defer conn.Close()
			if accept == nil || accept(conn) {
				p.serveConn(conn)
			}
		})
	}
}

func (p *peer) serveConn(conn net.Conn) {
	config := &ssh.ServerConfig{
		//lint:ignore SA1019 the keys of XOs are DSA and cannot be changed
		PublicKeyAuthAlgorithms: append(ssh.SupportedAlgorithms().PublicKeyAuths, ssh.InsecureKeyAlgoDSA),
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.tries++
			if c.User() == wire.ClaimUser && p.claims != nil {
				return &ssh.Permissions{Extensions: map[string]string{"key": string(key.Marshal())}}, nil
			}
			kind, ok := p.keys[c.User()][string(key.Marshal())]
			if !ok {
				return nil, errors.New("unknown key")
			}
			return &ssh.Permissions{Extensions: map[string]string{"kind": kind}}, nil
		},
	}
	p.set(func() {
		key := p.hostKey
		if p.shown != nil {
			key = p.shown
		}
		config.AddHostKey(key)
	})
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	p.wait.Go(func() { ssh.DiscardRequests(requests) })
	for opening := range channels {
		ch, requests, err := opening.Accept()
		if err != nil {
			return
		}
		p.wait.Go(func() { p.serveChannel(server, ch, requests) })
	}
}

func (p *peer) serveChannel(server *ssh.ServerConn, ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for r := range requests {
		if r.Type != "exec" {
			r.Reply(false, nil)
			continue
		}
		var command struct{ Value string }
		if err := ssh.Unmarshal(r.Payload, &command); err != nil {
			r.Reply(false, nil)
			return
		}
		r.Reply(true, nil)
		p.wait.Go(func() { ssh.DiscardRequests(requests) })
		var exec func(string, ssh.Channel)
		p.set(func() { exec = p.exec })
		if command.Value == wire.CommandClaim {
			p.serveClaim(server.Permissions.Extensions["key"], ch)
			return
		}
		if exec != nil {
			exec(command.Value, ch)
			return
		}
		p.honestAPI(server.User(), ch)
		ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
		return
	}
}

// honestAPI answers hello and serves HTTP over the channel.
func (p *peer) honestAPI(account string, ch ssh.Channel) {
	r := bufio.NewReader(ch)
	var hello wire.Hello
	if err := wire.ReadLine(r, &hello); err != nil {
		return
	}
	if err := wire.WriteLine(ch, wire.Answer{Version: wire.Version, Action: wire.ActionServe}); err != nil {
		return
	}
	mux := http.NewServeMux()
	snapshot := wire.Snapshot{ID: "2026-11-23T21-30-05Z", Seq: 7, Time: 1795469405, Entries: 3, Account: account}
	mux.HandleFunc("GET /snapshots", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode([]wire.Snapshot{snapshot})
	})
	mux.HandleFunc("GET /snapshots/{id}/restore", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(wire.RestorePath{Path: "snapshots/" + r.PathValue("id")})
	})
	mux.HandleFunc("GET /snapshots/{id}/entries", func(w http.ResponseWriter, r *http.Request) {
		for i := range 2000 {
			if err := wire.WriteLine(w, wire.Entry{UID: fmt.Sprintf("%036d", i), Metadata: map[string]string{"title": "t"}}); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("POST /saved", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(wire.SavedAnswer{UIDs: []string{"a", "never asked for"}})
	})
	mux.HandleFunc("POST /keys", func(w http.ResponseWriter, r *http.Request) {
		var k wire.KeyRequest
		if err := json.NewDecoder(r.Body).Decode(&k); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		key := parseHostKey(k.Key)
		p.set(func() {
			p.enrols = append(p.enrols, k)
			p.keys[account][string(key.Marshal())] = "backup"
		})
		w.WriteHeader(http.StatusNoContent)
	})
	// One request after the other, as net/http would on a connection.
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		w := &apiWriter{header: http.Header{}}
		mux.ServeHTTP(w, request)
		io.Copy(io.Discard, request.Body)
		response := http.Response{
			StatusCode: max(w.status, 200), ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
			Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: request,
		}
		if w.status == 0 {
			response.StatusCode = http.StatusOK
		}
		if err := response.Write(ch); err != nil {
			return
		}
	}
}

type apiWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *apiWriter) Header() http.Header         { return w.header }
func (w *apiWriter) WriteHeader(status int)      { w.status = status }
func (w *apiWriter) Write(b []byte) (int, error) { return w.body.Write(b) }

// laptop is a profile with an owner's key that ssh-keygen made, in a home of
// its own, for a peer.
func laptop(t testing.TB, p *peer, keygen ...string) Config {
	t.Helper()
	home := t.TempDir()
	if t, ok := t.(*testing.T); ok {
		t.Setenv("HOME", home)
		t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
		t.Setenv("GSETTINGS_BACKEND", "keyfile")
	}
	dir := filepath.Join(home, "profile")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if keygen == nil {
		keygen = []string{"-t", "dsa"}
	}
	args := append([]string{"-q", "-N", "", "-f", filepath.Join(dir, "owner.key")}, keygen...)
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return Config{
		Server:   p.http.URL,
		Profile:  profile.Profile{Dir: dir},
		Root:     filepath.Join(home, "root"),
		StateDir: filepath.Join(home, "state"),
		CacheDir: filepath.Join(home, "cache"),
	}
}

func client(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// registered is a client that has registered with a peer.
func registered(t testing.TB, p *peer) *Client {
	t.Helper()
	c := client(t, laptop(t, p))
	if err := c.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantCode checks an error's code, and that its message is fit for a person.
func wantCode(t testing.TB, err error, code Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v (%T), want %s", err, err, code)
	}
	if e.Code != code {
		t.Fatalf("%s: %v, want %s", e.Code, e, code)
	}
	if e.Message == "" || strings.ContainsAny(e.Message, "\n\x00") || len(e.Message) > 600 {
		t.Errorf("not a sentence: %q", e.Message)
	}
	return e
}
