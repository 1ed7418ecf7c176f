package xs

import (
	"crypto/rand"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

func TestBackupAndRestore(t *testing.T) {
	b := newBed(t)
	c := b.client()
	dir := journal(t, 30)
	first := b.backup(c, dir)
	if first.refusal != nil || first.confirmed || len(first.kept) > 0 || first.snapshot.Entries != 30 ||
		first.snapshot.Digest != sums(t, dir).Digest() || first.snapshot.Machine != "SHC00000001" {
		t.Fatalf("first: %+v %v", first.snapshot, first.refusal)
	}
	again := b.backup(c, dir)
	if !again.confirmed || again.snapshot.ID != first.snapshot.ID {
		t.Errorf("nothing changed: %+v", again)
	}
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	writeEntry(t, dir, 1, "changed", []byte("new"))
	writeEntry(t, dir, 40, "added", nil)
	second := b.backup(c, dir)
	if second.refusal != nil || second.snapshot.Seq != 2 {
		t.Fatalf("second: %+v", second)
	}

	all, old, some := filepath.Join(t.TempDir(), "x"), filepath.Join(t.TempDir(), "x"), filepath.Join(t.TempDir(), "x")
	if r, no := b.restore(c, "snapshots/latest", all); no != nil || len(r.Kept) > 0 {
		t.Fatalf("%+v %v", r, no)
	}
	same(t, all, dir)
	if _, no := b.restore(c, "snapshots/"+first.snapshot.ID, old); no != nil {
		t.Fatal(no)
	}
	same(t, old, before)
	r, no := b.restore(c, "snapshots/latest", some, string(uid(1)), string(uid(7)), string(uid(99)))
	if no != nil || len(r.Kept) != 1 || r.Kept[0].UID != string(uid(99)) {
		t.Errorf("%+v %v", r, no)
	}
	got := sums(t, some)
	if len(got) != 1+2+4 { // journal.cjson, cjson and data, cjson and three parts
		t.Errorf("%d files of two entries", len(got))
	}
}

func TestRefusals(t *testing.T) {
	b := newBed(t)
	c := b.client()
	good := wire.BackupRequest{Version: wire.Version, Digest: strings.Repeat("0", 64)}
	with := func(change func(*wire.BackupRequest)) wire.BackupRequest {
		r := good
		change(&r)
		return r
	}
	long := strings.Repeat("A", 4<<10)
	for _, test := range []struct {
		command string
		line    any
		code    string
		want    string // in the message
	}{
		{"backup", with(func(r *wire.BackupRequest) { r.Version = 1 }), wire.RefusedVersion, "version 1,"},
		{"backup", with(func(r *wire.BackupRequest) { r.Digest = "../" }), wire.RefusedInput, `"../" is not the digest`},
		{"backup", with(func(r *wire.BackupRequest) { r.Digest = long }), wire.RefusedInput, `AAAA" is not the digest`},
		{"backup", with(func(r *wire.BackupRequest) { r.Files = -1 }), wire.RefusedInput, "-1 files"},
		{"backup", with(func(r *wire.BackupRequest) { r.Files = 1 << 30 }), wire.RefusedInput, "1073741824 files"},
		{"backup", with(func(r *wire.BackupRequest) { r.Bytes = 1 << 40 }), wire.RefusedInput, "1048576 MB"},
		{"backup", "no object", wire.RefusedInput, "first line of the session"},
		{"restore snapshots/latest", wire.RestoreRequest{Version: wire.Version}, wire.RefusedNoSnapshot, "nothing has been backed up"},
		{"restore snapshots/2026-11-23T21-30-05Z", wire.RestoreRequest{Version: wire.Version}, wire.RefusedNoSnapshot, "2026-11-23T21-30-05Z"},
		{"restore ../SHC00000002/snapshots/latest", wire.RestoreRequest{Version: wire.Version}, wire.RefusedInput, `"../SHC00000002/snapshots/latest"`},
		{"restore snapshots/../current", wire.RestoreRequest{Version: wire.Version}, wire.RefusedInput, `"../current"`},
		{"restore snapshots/a\x00b", wire.RestoreRequest{Version: wire.Version}, wire.RefusedInput, `"a\x00b"`},
		{"restore snapshots/" + long, wire.RestoreRequest{Version: wire.Version}, wire.RefusedInput, `AAAA"… (4096 bytes)`},
		{"restore snapshots/latest", wire.RestoreRequest{Version: wire.Version, UIDs: []string{"../../../../etc/passwd"}}, wire.RefusedInput, `"../../../../etc/passwd"`},
		{"restore /etc", wire.RestoreRequest{Version: wire.Version}, wire.RefusedInput, `"/etc"`},
		{"restore", wire.RestoreRequest{Version: wire.Version}, wire.RefusedInput, `path ""`},
		{"api", wire.Hello{Version: 99}, wire.RefusedVersion, "version 99,"},
	} {
		e := b.exec(c, test.command)
		a, err := e.ask(test.line)
		if err != nil || a.Error == nil || a.Error.Code != test.code || !strings.Contains(a.Error.Message, test.want) || len(a.Error.Message) > 300 {
			t.Errorf("%.40s %.60v: %+v %v, want %s with %q", test.command, test.line, a.Error, err, test.code, test.want)
		}
		if e.Wait() == nil {
			t.Errorf("%.40s: exit status 0", test.command)
		}
	}
	for command, want := range map[string]string{
		"": `"": this school server runs only`, "sh": `"sh": this`, "ls /": `"ls /": this`, "backup\x00": `"backup\x00": this`,
		long: `AAAA": this`, "rsync --server . /": "may only read", "rsync --daemon": `"--daemon" is not supported`,
		"rsync --server --sender -logDtpr . ../other/":        `"../other/": not a path`,
		"rsync --server --sender -logDtpr . snapshots/../../": `"snapshots/../../": not a path`,
		"rsync --server --sender -e.sh . /etc/":               `"/etc/": not a path`,
	} {
		e := b.exec(c, command)
		said, _ := io.ReadAll(e.err)
		if err := e.Wait(); err == nil || !strings.Contains(string(said), want) || len(said) > 400 {
			t.Errorf("%.40q: %v %q, want %q", command, err, said, want)
		}
	}
}

// No shell, pty, environment, forwarding: each is refused, and the connection
// goes on to serve.
func TestNothingElse(t *testing.T) {
	b := newBed(t)
	c := b.client()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.RequestPty("vt100", 80, 24, nil) == nil || s.Setenv("LD_PRELOAD", "x") == nil || s.RequestSubsystem("sftp") == nil || s.Shell() == nil {
		t.Error("something was let through")
	}
	if _, err := c.Dial("tcp", b.http); err == nil {
		t.Error("it forwards")
	}
	if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("it listens for us")
	}
	if o := b.backup(c, journal(t, 2)); o.refusal != nil {
		t.Error(o.refusal)
	}
}

func TestWhoIsLetIn(t *testing.T) {
	b := newBed(t)
	stranger := newKey(t)
	other := b.register("SHC00000002", "u2", stranger.PublicKey())
	for _, test := range []struct {
		user string
		key  ssh.Signer
		in   bool
	}{
		{b.account, b.owner, true}, {other, stranger, true}, {b.account, stranger, false}, {other, b.owner, false},
		{"SHC9", b.owner, false}, {"", b.owner, false}, {"root", b.owner, false}, {"claim", b.owner, true},
		{"../" + b.account, b.owner, false}, {"./" + b.account, b.owner, false}, {b.account + "\x00", b.owner, false},
		{strings.Repeat("A", 4<<10), b.owner, false}, {".xs", b.owner, false},
	} {
		c, err := b.dial(test.user, test.key)
		if err == nil {
			c.Close()
		}
		if (err == nil) != test.in {
			t.Errorf("%.40q: %v", test.user, err)
		}
	}
}

// The second session of an account at once is told so; another account is not
// in its way, and neither are slots that are taken by nobody.
func TestTwoAtOnce(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxSessions = 2 })
	c := b.client()
	dir := journal(t, 4)
	held := b.exec(c, "backup") // answers pull, and then nobody serves
	if a, err := held.ask(offer(t, dir)); err != nil || a.Action != wire.ActionPull {
		t.Fatalf("%+v %v", a, err)
	}
	if o := b.backup(b.client(), dir); o.refusal == nil || o.refusal.Code != wire.RefusedInUse || o.refusal.RetryAfter == 0 {
		t.Errorf("second: %+v", o.refusal)
	}
	otherKey, thirdKey := newKey(t), newKey(t)
	other := b.register("SHC00000002", "u2", otherKey.PublicKey())
	oc, err := b.dial(other, otherKey)
	if err != nil {
		t.Fatal(err)
	}
	defer oc.Close()
	if o := b.backup(oc, dir); o.refusal != nil {
		t.Errorf("other account: %v", o.refusal)
	}
	// With both slots taken, a third is told to come again.
	held2 := b.exec(oc, "backup")
	changed := journal(t, 5)
	if a, err := held2.ask(offer(t, changed)); err != nil || a.Action != wire.ActionPull {
		t.Fatalf("%+v %v", a, err)
	}
	third := b.register("SHC00000003", "u3", thirdKey.PublicKey())
	tc, err := b.dial(third, thirdKey)
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	if o := b.backup(tc, dir); o.refusal == nil || o.refusal.Code != wire.RefusedBusy || o.refusal.RetryAfter == 0 {
		t.Errorf("third: %+v", o.refusal)
	}
	// The first one's end frees lock and slot.
	c.Close()
	waitFor(t, "slot and lock are free", func() bool {
		return b.backup(tc, dir).refusal == nil
	})
	waitFor(t, "the account is free", func() bool { return b.backup(b.client(), dir).refusal == nil })
}

// A transfer that is cut, again and again, leaves the former state, and goes on
// where it was: a part that arrived is not sent again.
func TestCut(t *testing.T) {
	b := newBed(t)
	dir := journal(t, 5)
	if o := b.backup(b.client(), dir); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	// Each cut comes when one part has arrived for certain, and the next may have.
	const size, part, cuts, eachCut = 48 << 20, 8 << 20, 5, 13 << 20
	large := make([]byte, size)
	rand.Read(large)
	writeEntry(t, dir, 50, "large", large)
	sent := 0
	for i := range cuts {
		conn, err := net.Dial("tcp", b.ssh)
		if err != nil {
			t.Fatal(err)
		}
		cut := &cutter{Conn: conn, left: eachCut}
		sc, chans, reqs, err := ssh.NewClientConn(cut, b.ssh, &ssh.ClientConfig{User: b.account,
			Auth: []ssh.AuthMethod{ssh.PublicKeys(b.owner)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err != nil {
			t.Fatal(err)
		}
		if o, err := b.tryBackup(t.Context(), ssh.NewClient(sc, chans, reqs), dir); err == nil && o.refusal == nil {
			t.Fatalf("cut %d: %+v", i, o)
		}
		sent += eachCut - cut.left
		got := filepath.Join(t.TempDir(), "x")
		if _, no := b.restore(b.client(), "snapshots/latest", got); no != nil {
			t.Fatal(no)
		}
		same(t, got, before)
		waitFor(t, "the account is free", func() bool {
			f, err := b.store.Folder(store.AccountID(b.account))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			l, err := f.Lock()
			if err == nil {
				l.Unlock()
			}
			return err == nil
		})
	}
	conn, err := net.Dial("tcp", b.ssh)
	if err != nil {
		t.Fatal(err)
	}
	last := &cutter{Conn: conn, left: 1 << 30}
	sc, chans, reqs, err := ssh.NewClientConn(last, b.ssh, &ssh.ClientConfig{User: b.account,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(b.owner)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	if o := b.backup(ssh.NewClient(sc, chans, reqs), dir); o.refusal != nil || len(o.kept) > 0 {
		t.Fatalf("%+v", o)
	}
	sent += 1<<30 - last.left
	if sent > size+cuts*part {
		t.Errorf("%d MB were sent for %d", sent>>20, size>>20)
	}
	got := filepath.Join(t.TempDir(), "x")
	if _, no := b.restore(b.client(), "snapshots/latest", got); no != nil {
		t.Fatal(no)
	}
	same(t, got, dir)
}

// cutter is a connection that is cut after so many bytes were written.
type cutter struct {
	net.Conn
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.Conn.Close()
		return 0, net.ErrClosed
	}
	c.left -= len(p)
	return c.Conn.Write(p)
}

// All that was kept is told, however much it is: what is not told counts as safe.
func TestManyKept(t *testing.T) {
	b := newBed(t)
	dir := journal(t, 3)
	j := datastore.Journal{}
	for i := range 9000 {
		j.Kept = append(j.Kept, uid(100+i))
	}
	list, err := j.Encode()
	if err != nil {
		t.Fatal(err)
	}
	writeTreeFile(t, dir, "journal.cjson", list)
	o := b.backup(b.client(), dir)
	if o.refusal != nil || len(o.kept) != 9000 {
		t.Errorf("told of %d, %v", len(o.kept), o.refusal)
	}
}
