package xs

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

// What a hostile XO serves ends that session with the reason, and no more.
func TestHostileSender(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxFiles = 100; c.AccountQuotaMB = 64 })
	good := journal(t, 5)
	if o := b.backup(b.client(), good); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	cjson := uid(1).Path()
	data := strings.TrimSuffix(cjson, "cjson") + "data"
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"foreign name": {func(dir string) error { return os.WriteFile(dir+"/evil", []byte("x"), 0o644) }, `"evil": no such file belongs`},
		"mode":         {func(dir string) error { return os.Chmod(dir+"/"+cjson, 0o666) }, `"` + cjson + `": its mode is -rw-rw-rw-`},
		"too many":     {manyFiles, `": more than 100 files`},
		"1 TB":         {func(dir string) error { return os.Truncate(dir+"/"+cjson, 1<<40) }, `"` + cjson + `": 1099511627776 bytes`},
		"1 TB of data": {func(dir string) error { return os.Truncate(dir+"/"+data, 1<<40) }, `"` + data + `": 1099511627776 bytes`},
		"no journal":   {func(dir string) error { return os.Remove(dir + "/journal.cjson") }, "journal.cjson is missing"},
		"not canonical": {func(dir string) error { return os.WriteFile(dir+"/journal.cjson", []byte("{}"), 0o644) },
			`rules: journal.cjson: "{\"format\":" is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := journal(t, 3)
			o := offer(t, dir)
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			refusedAs(t, b.serve(b.announce(o), dir).Error, wire.RefusedInput, c.want)
			got := filepath.Join(t.TempDir(), "x")
			if _, no := b.restore(b.client(), "snapshots/latest", got); no != nil {
				t.Fatal(no)
			}
			same(t, got, good)
		})
	}
	if o := b.backup(b.client(), good); !o.confirmed {
		t.Errorf("%+v", o)
	}
	writeEntry(t, good, 9, "goes on", nil)
	if o := b.backup(b.client(), good); o.refusal != nil {
		t.Errorf("%+v", o)
	}
}

func manyFiles(dir string) error {
	for n := range 100 {
		name := filepath.Join(dir, uid(100+n).Path())
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("{}"), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

func TestBusy(t *testing.T) {
	dir := journal(t, 2)
	for name, change := range map[string]func(*Config){
		"busy": func(c *Config) { c.MaxLoad = 1e-9 },
		"full": func(c *Config) { c.MinFreeMB = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			if load, ok := newRoom("/", Defaults()).load(); name == "busy" && (!ok || load == 0) {
				t.Skip("this machine has no load at all")
			}
			b := newBed(t)
			if o := b.backup(b.client(), dir); o.refusal != nil {
				t.Fatal(o.refusal)
			}
			if err := b.stop(); err != nil {
				t.Fatal(err)
			}
			b.start(change)
			if o := b.backup(b.client(), dir); !o.confirmed {
				t.Errorf("nothing changed, and yet: %+v", o)
			}
			if o := b.backup(b.client(), journal(t, 3)); o.refusal == nil || o.refusal.Code != name || o.refusal.RetryAfter != 300 {
				t.Errorf("%+v", o.refusal)
			}
		})
	}
}

// A laptop that is gone without a word is given up after a while.
func TestDeadPeer(t *testing.T) {
	b := newBed(t, func(c *Config) { c.Keepalive = 100 * time.Millisecond })
	conn, err := net.Dial("tcp", b.ssh)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	frozen := &freezer{Conn: conn, thaw: make(chan struct{})}
	defer close(frozen.thaw)
	sc, chans, reqs, err := ssh.NewClientConn(frozen, b.ssh, &ssh.ClientConfig{User: b.account,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(b.owner)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	dir := journal(t, 2)
	e := b.exec(ssh.NewClient(sc, chans, reqs), "backup")
	if a, err := e.ask(offer(t, dir)); err != nil || a.Action != wire.ActionPull {
		t.Fatalf("%+v %v", a, err)
	}
	frozen.frozen.Store(true)
	waitFor(t, "the account is free again", func() bool { return b.backup(b.client(), dir).refusal == nil })
}

// A laptop that answers, and does nothing, is given up too.
func TestIdlePeer(t *testing.T) {
	b := newBed(t, func(c *Config) { c.IdleTimeout = 3 * time.Second })
	dir := journal(t, 2)
	e := b.exec(b.client(), "backup")
	if a, err := e.ask(offer(t, dir)); err != nil || a.Action != wire.ActionPull {
		t.Fatalf("%+v %v", a, err)
	}
	if err := e.Wait(); err == nil {
		t.Error("exit status 0")
	}
	waitFor(t, "the account is free again", func() bool {
		o, err := b.tryBackup(t.Context(), b.client(), dir)
		return err == nil && o.refusal == nil
	})
}

// Those that never say who they are do not keep others out for good.
func TestStrangers(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxUnauthenticated = 3; c.HandshakeTimeout = time.Second })
	for range 10 {
		c, err := net.Dial("tcp", b.ssh)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	waitFor(t, "somebody known gets in", func() bool {
		c, err := b.dial(b.account, b.owner)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// SIGTERM's way: a session that runs comes to its end, and then the server does.
func TestDrain(t *testing.T) {
	b := newBed(t, func(c *Config) { c.Drain = 20 * time.Second })
	c := b.client()
	dir := journal(t, 10)
	e := b.exec(c, "backup")
	if a, err := e.ask(offer(t, dir)); err != nil || a.Action != wire.ActionPull {
		t.Fatalf("%+v %v", a, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.stop() }()
	waitFor(t, "nobody new is let in", func() bool {
		_, err := net.DialTimeout("tcp", b.ssh, time.Second)
		return err != nil
	})
	p, err := transfer.Start(t.Context(), transfer.Dir(dir, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Run(t.Context(), e.out, e.in); err != nil {
		t.Fatal(err)
	}
	if r, err := e.end(); err != nil || r.Snapshot == nil {
		t.Errorf("%+v %v", r, err)
	}
	begun := time.Now()
	if err := <-ended; err != nil || time.Since(begun) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

// A laptop that keeps its connection for the next question does not hold up the
// server's end; an answer that is on its way comes.
func TestDrainKeptConnections(t *testing.T) {
	b := newBed(t, func(c *Config) { c.Drain = time.Hour })
	h := b.apiClient(b.client())
	resp, err := h.Get("http://xs/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	ended := make(chan error, 1)
	go func() { ended <- b.stop() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the server waits for a question that nobody asks")
	}
}

// Two servers do not serve one root.
func TestOneServer(t *testing.T) {
	b := newBed(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = (&Server{Store: b.store, Config: testConfig(b.root), Log: b.log()}).Serve(t.Context(), Listeners{l, l, l})
	if err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("%v", err)
	}
}
