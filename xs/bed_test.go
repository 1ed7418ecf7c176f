package xs

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

func TestMain(m *testing.M) {
	transfer.Child{Allow: allow}.Main()
	os.Exit(m.Run())
}

// bed is a school server on loopback ports, and its one laptop.
type bed struct {
	t                       testing.TB
	root                    string
	store                   *store.Store
	http, registration, ssh string
	stop                    func() error
	owner                   ssh.Signer
	account                 string
}

// testConfig has limits that no test machine hits by itself.
func testConfig(root string) Config {
	c := Defaults()
	c.Root, c.MaxLoad, c.MinFreeMB, c.MinFreeInodes, c.Drain = root, 1000, 0, 0, 5*time.Second
	return c
}

func newBed(t testing.TB, change ...func(*Config)) *bed {
	t.Helper()
	b := &bed{t: t, root: filepath.Join(t.TempDir(), "root"), owner: newKey(t)}
	b.start(change...)
	b.account = b.register("SHC00000001", "u1", b.owner.PublicKey())
	return b
}

func (b *bed) start(change ...func(*Config)) {
	b.t.Helper()
	c := testConfig(b.root)
	for _, f := range change {
		f(&c)
	}
	log := slog.New(slog.NewTextHandler(b.t.Output(), nil))
	s, err := store.Create(c.Root, log)
	if err != nil {
		b.t.Fatal(err)
	}
	b.store = s
	listen := func(at *string) net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.t.Fatal(err)
		}
		*at = l.Addr().String()
		return l
	}
	l := Listeners{HTTP: listen(&b.http), Registration: listen(&b.registration), SSH: listen(&b.ssh)}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- (&Server{Store: s, Config: c, Log: log, Ready: func() { close(ready) }}).Serve(ctx, l)
		s.Close()
	}()
	select {
	case <-ready:
	case err := <-ended:
		b.t.Fatal(err)
	}
	b.stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	b.t.Cleanup(func() {
		if err := b.stop(); err != nil {
			b.t.Errorf("server ended: %v", err)
		}
	})
}

func newKey(t testing.TB) ssh.Signer {
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

// register asks as Sugar does and answers the account.
func (b *bed) register(serial, uuid string, key ssh.PublicKey) string {
	b.t.Helper()
	answer := b.tryRegister(serial, "Amara", uuid, authorizedKey(key))
	url, _ := answer["backupurl"].(string)
	account, _, _ := strings.Cut(url, "@")
	if answer["success"] != "OK" || account == "" {
		b.t.Fatalf("not registered: %v", answer)
	}
	return account
}

func (b *bed) tryRegister(params ...any) map[string]any {
	b.t.Helper()
	body, err := wire.EncodeCall("register", params...)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.Post("http://"+b.registration+"/", "text/xml", bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	v, err := wire.DecodeResponse(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return v.(map[string]any)
}

// dial opens a connection as user with key.
func (b *bed) dial(user string, key ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", b.ssh, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second})
}

func (b *bed) client() *ssh.Client {
	b.t.Helper()
	c, err := b.dial(b.account, b.owner)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// exec is one session, with its streams.
type exec struct {
	*ssh.Session
	in  io.WriteCloser
	out *bufio.Reader
	err *bufio.Reader
}

func (b *bed) exec(c *ssh.Client, command string) *exec {
	b.t.Helper()
	s, err := c.NewSession()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	in, err1 := s.StdinPipe()
	out, err2 := s.StdoutPipe()
	stderr, err3 := s.StderrPipe()
	if err := errors.Join(err1, err2, err3, s.Start(command)); err != nil {
		b.t.Fatal(err)
	}
	return &exec{s, in, bufio.NewReader(out), bufio.NewReader(stderr)}
}

// ask sends the first line and reads the answer.
func (e *exec) ask(line any) (a wire.Answer, err error) {
	if err := wire.WriteLine(e.in, line); err != nil {
		return a, err
	}
	return a, wire.ReadLine(e.out, &a)
}

// end reads reports up to the last.
func (e *exec) end() (wire.Report, error) {
	var kept []wire.Kept
	for {
		var r wire.Report
		err := wire.ReadLine(e.err, &r)
		kept = append(kept, r.Kept...)
		if err != nil || r.End {
			r.Kept = kept
			return r, err
		}
	}
}

// outcome of a backup as the XO sees it.
type outcome struct {
	snapshot  *wire.Snapshot
	confirmed bool
	kept      []wire.Kept
	refusal   *wire.Refusal
}

// backup offers the tree in dir and serves it.
func (b *bed) backup(c *ssh.Client, dir string) outcome {
	b.t.Helper()
	o, err := b.tryBackup(b.t.Context(), c, dir)
	if err != nil {
		b.t.Fatal(err)
	}
	return o
}

func (b *bed) tryBackup(ctx context.Context, c *ssh.Client, dir string) (outcome, error) {
	return b.tryBackupThrough(ctx, c, dir, func(w io.Writer) io.Writer { return w })
}

// tryBackupThrough has what is sent pass through a writer.
func (b *bed) tryBackupThrough(ctx context.Context, c *ssh.Client, dir string, through func(io.Writer) io.Writer) (outcome, error) {
	e := b.exec(c, "backup")
	defer e.Close()
	a, err := e.ask(offer(b.t, dir))
	if err != nil {
		return outcome{}, err
	}
	if a.Error != nil || a.Action == wire.ActionConfirmed {
		return outcome{snapshot: a.Snapshot, confirmed: a.Action == wire.ActionConfirmed, refusal: a.Error}, nil
	}
	p, err := transfer.Start(ctx, transfer.Dir(dir, nil), nil)
	if err != nil {
		return outcome{}, err
	}
	defer p.Close()
	if err := p.Ready(ctx); err != nil {
		return outcome{}, err
	}
	_, ran := p.Run(ctx, e.out, through(e.in))
	r, err := e.end()
	if err != nil {
		return outcome{}, errors.Join(ran, err)
	}
	return outcome{snapshot: r.Snapshot, kept: r.Kept, refusal: r.Error}, nil
}

// restore fetches into dir, which it makes.
func (b *bed) restore(c *ssh.Client, path, dir string, uids ...string) (wire.Report, *wire.Refusal) {
	b.t.Helper()
	e := b.exec(c, "restore "+path)
	defer e.Close()
	a, err := e.ask(wire.RestoreRequest{Version: wire.Version, UIDs: uids})
	if err != nil {
		b.t.Fatal(err)
	}
	if a.Error != nil {
		return wire.Report{}, a.Error
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	p, err := transfer.Start(b.t.Context(), transfer.Job{Receive: dir}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Run(b.t.Context(), e.out, e.in); err != nil {
		b.t.Fatal(err)
	}
	r, err := e.end()
	if err != nil {
		b.t.Fatal(err)
	}
	return r, r.Error
}

// waitFor asks until it is so.
func waitFor(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func (b *bed) log() *slog.Logger { return slog.New(slog.NewTextHandler(b.t.Output(), nil)) }

// freezer is a connection whose other side stops reading and writing.
type freezer struct {
	net.Conn
	frozen atomic.Bool
	thaw   chan struct{}
}

func (f *freezer) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.frozen.Load() {
		<-f.thaw
	}
	return n, err
}

func (f *freezer) Write(p []byte) (int, error) {
	if f.frozen.Load() {
		<-f.thaw
	}
	return f.Conn.Write(p)
}
