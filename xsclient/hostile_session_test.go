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
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

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
			chunks, _ := inChunks(ch)
			for {
				if _, err := chunks.Write(make([]byte, 1<<15)); err != nil {
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
