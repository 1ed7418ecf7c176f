package xs

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

// frozen is a connection of the account that will stop reading and writing. The
// caller closes and thaws it.
func (b *bed) frozen() (*ssh.Client, *freezer) {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.ssh)
	if err != nil {
		b.t.Fatal(err)
	}
	f := &freezer{Conn: conn, thaw: make(chan struct{})}
	sc, chans, reqs, err := ssh.NewClientConn(f, b.ssh, &ssh.ClientConfig{User: b.account,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(b.owner)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		b.t.Fatal(err)
	}
	return ssh.NewClient(sc, chans, reqs), f
}

// other is a laptop of another account.
func (b *bed) other(n int) *ssh.Client {
	b.t.Helper()
	key := newKey(b.t)
	c, err := b.dial(b.register(fmt.Sprintf("SHC0000010%d", n), fmt.Sprint("other", n), key.PublicKey()), key)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// The bug: an idle session was ended by a message alone, so that a laptop that
// did not answer it kept its slot and its account's lock for six hours.
func TestPeerThatIgnoresTheEnd(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxSessions, c.IdleTimeout, c.Keepalive = 1, 2*time.Second, time.Hour })
	large := journal(t, 8) // more than the kernel's buffers hold
	for i := range 3 {
		writeEntry(t, large, 20+i, "large", make([]byte, 8<<20))
	}
	if o := b.backup(b.client(), large); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	for i, line := range []any{offer(t, journal(t, 2)), wire.RestoreRequest{Version: wire.Version}} {
		command := []string{"backup", "restore snapshots/latest"}[i]
		t.Run(command, func(t *testing.T) {
			c, f := b.frozen()
			defer close(f.thaw)
			defer f.Conn.Close()
			e := b.exec(c, command)
			if a, err := e.ask(line); err != nil || a.Error != nil {
				t.Fatalf("%+v %v", a, err)
			}
			if command != "backup" { // what the server sends then is more than anybody takes
				io.WriteString(e.in, "\x1b\x00\x00\x00\x00\x00\x00\x00")
			}
			f.frozen.Store(true)
			other := b.other(i)
			waitFor(t, "the slot and the account are free again", func() bool {
				c, err := b.dial(b.account, b.owner)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				return b.backup(c, large).refusal == nil && b.backup(other, journal(t, 1)).refusal == nil
			})
		})
	}
}

// The bug: a byte now and then was enough to keep a slot.
func TestPeerThatTrickles(t *testing.T) {
	b := newBed(t, func(c *Config) { c.IdleTimeout = 2 * time.Second })
	dir := journal(t, 2)
	e := b.exec(b.client(), "backup")
	if a, err := e.ask(offer(t, dir)); err != nil || a.Action != wire.ActionPull {
		t.Fatalf("%+v %v", a, err)
	}
	go func() {
		// rsync's protocol and seed, and a list whose first name takes its time.
		what := "\x1b\x00\x00\x00\x00\x00\x00\x00" + "\x00\x20\x00\x07" + "\x40\xa0\x0f\x00\x00" + strings.Repeat("a", 4000)
		for i := range what {
			if _, err := io.WriteString(e.in, what[i:i+1]); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	begun := time.Now()
	r, err := e.end()
	if err != nil || r.Error == nil || r.Error.Code != wire.RefusedFailed || time.Since(begun) > 10*time.Second {
		t.Errorf("%+v %v after %v", r, err, time.Since(begun))
	}
	if o := b.backup(b.client(), dir); o.refusal != nil {
		t.Error(o.refusal)
	}
}

// The bug: one account could have all slots, and all connections.
func TestShareOfOneAccount(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxSessions, c.MaxConnections = 3, 120 })
	dir := journal(t, 2)
	c := b.client()
	if o := b.backup(c, dir); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	var held []*exec
	for i := range 3 {
		e := b.exec(c, "restore snapshots/latest")
		a, err := e.ask(wire.RestoreRequest{Version: wire.Version})
		if taken := a.Error == nil; err != nil || taken != (i < sessionsOfOne) {
			t.Errorf("restore %d: %+v %v", i, a, err)
		} else if !taken && (a.Error.Code != wire.RefusedBusy || a.Error.RetryAfter == 0) {
			t.Errorf("%+v", a.Error)
		}
		held = append(held, e)
	}
	if o := b.backup(b.other(1), dir); o.refusal != nil {
		t.Errorf("another account: %v", o.refusal)
	}
	held[0].Close()
	waitFor(t, "a place is given back", func() bool {
		_, no := b.restore(b.client(), "snapshots/latest", filepath.Join(t.TempDir(), "x"))
		return no == nil
	})

	for i := range apisOfOne + 1 {
		a, err := b.exec(b.client(), "api").ask(wire.Hello{Version: wire.Version})
		if err != nil || (a.Error == nil) != (i < apisOfOne) {
			t.Errorf("api %d: %+v %v", i, a, err)
		}
	}
	opened := 0
	for range 12 {
		c, err := b.dial(b.account, b.owner)
		if err != nil {
			continue // ended before it was seen to begin
		}
		t.Cleanup(func() { c.Close() })
		if s, err := c.NewSession(); err == nil {
			s.Close()
			opened++
		}
	}
	if opened >= 12-1-apisOfOne || opened == 0 {
		t.Errorf("%d further connections of one account", opened)
	}
	if o := b.backup(b.other(2), dir); o.refusal != nil {
		t.Errorf("another account: %v", o.refusal)
	}
}

// The bug: any number of requests, each of 16 MiB, were taken in at once.
func TestLargeBodies(t *testing.T) {
	b := newBed(t)
	clients := []*ssh.Client{b.client(), b.other(1), b.other(2)}
	begin := func(c *ssh.Client) io.WriteCloser {
		t.Helper()
		h := b.apiClient(c)
		r, w := io.Pipe()
		go func() {
			resp, err := h.Post("http://xs/saved", "application/json", r)
			if err == nil {
				resp.Body.Close()
			}
		}()
		if _, err := io.WriteString(w, `{"entries":{`); err != nil {
			t.Fatal(err)
		}
		return w
	}
	var open []io.WriteCloser
	for i := range maxBodies {
		open = append(open, begin(clients[i/apisOfOne]))
	}
	time.Sleep(300 * time.Millisecond) // they have arrived
	h := b.apiClient(clients[2])
	answered := make(chan string, 1)
	ask := func(body string) {
		resp, err := h.Post("http://xs/saved", "application/json", strings.NewReader(body))
		if err != nil {
			answered <- err.Error()
			return
		}
		resp.Body.Close()
		answered <- resp.Status
	}
	go ask(`{"entries":null}`)
	select {
	case got := <-answered:
		t.Errorf("another body was taken in at once: %s", got)
	case <-time.After(300 * time.Millisecond):
	}
	io.WriteString(open[0], "}}")
	open[0].Close()
	if got := <-answered; got != "200 OK" {
		t.Error(got)
	}
	for _, w := range open[1:] {
		w.Close()
	}
	go ask(`{"entries":{"a":"` + strings.Repeat("x", maxBody) + `"}}`)
	if got := <-answered; got == "200 OK" {
		t.Errorf("a body of more than %d bytes was taken", maxBody)
	}
}

func TestVersions(t *testing.T) {
	var body struct{ Entries versions }
	for text, want := range map[string]int{`{}`: 0, `{"entries":null}`: 0, `{"entries":{}}`: 0,
		`{"entries":{"a":"1","b":"2"}}`: 2, `{"entries":5}`: -1, `{"entries":{"a":{}}}`: -1, `{"entries":[]}`: -1} {
		body.Entries = nil
		if err := json.Unmarshal([]byte(text), &body); (err == nil) != (want >= 0) || err == nil && len(body.Entries) != want {
			t.Errorf("%s: %v %v", text, body.Entries, err)
		}
	}
	var many strings.Builder
	for i := range maxVersions + 1 {
		fmt.Fprintf(&many, `,"%d":""`, i)
	}
	if err := json.Unmarshal([]byte(`{"entries":{`+many.String()[1:]+`}}`), &body); err == nil {
		t.Errorf("%d versions were taken", len(body.Entries))
	}
}
