package xs

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

// run runs a program in an environment of its own and answers what it said.
func run(t testing.TB, env []string, words ...string) (string, error) {
	t.Helper()
	cmd := osexec.Command(words[0], words[1:]...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustRun(t testing.TB, env []string, words ...string) string {
	t.Helper()
	out, err := run(t, env, words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}

// Sugar's own registration, with an owner's key as XOs have them, and then that
// key opens a session.
func TestSugarRegisters(t *testing.T) {
	b := newBed(t)
	home := t.TempDir()
	profile := filepath.Join(home, "sugar", "default")
	if err := errors.Join(os.MkdirAll(profile, 0o700), os.Mkdir(home+"/run", 0o700)); err != nil {
		t.Fatal(err)
	}
	mustRun(t, nil, "ssh-keygen", "-q", "-t", "dsa", "-m", "PEM", "-N", "", "-C", "", "-f", profile+"/owner.key")
	env := []string{"HOME=" + home, "SUGAR_HOME=" + home + "/sugar", "SUGAR_PROFILE=default",
		"XDG_RUNTIME_DIR=" + home + "/run", "GSETTINGS_BACKEND=keyfile"}
	script := fmt.Sprintf(`
from gi.repository import Gio
Gio.Settings.new('org.sugarlabs.user').set_string('nick', 'Amara & Ñandú <3')
from jarabe.desktop.schoolserver import register_laptop
assert register_laptop('http://%s/')
print(Gio.Settings.new('org.sugarlabs').get_string('backup-url'))
print(Gio.Settings.new('org.sugarlabs.collaboration').get_string('jabber-server'))
`, b.registration)
	lines := strings.Split(strings.TrimSpace(mustRun(t, env, "/usr/bin/python3", "-c", script)), "\n")
	url, jabber := lines[len(lines)-2], lines[len(lines)-1]
	sn, err := os.ReadFile(profile + "/identifiers/sn")
	if err != nil {
		t.Fatal(err)
	}
	if want := string(sn) + "@127.0.0.1:backup"; url != want || jabber != "127.0.0.1" {
		t.Errorf("backup-url %q, jabber-server %q", url, jabber)
	}
	a, err := b.store.Find(t.Context(), string(sn))
	if err != nil || a.Nick != "Amara & Ñandú <3" {
		t.Fatalf("%+v %v", a, err)
	}
	pemKey, err := os.ReadFile(profile + "/owner.key")
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(pemKey); block == nil {
		t.Fatal("no PEM")
	}
	owner, err := ssh.ParsePrivateKey(pemKey)
	if err != nil || owner.PublicKey().Type() != "ssh-dss" {
		t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", b.ssh, &ssh.ClientConfig{User: string(sn), Auth: []ssh.AuthMethod{ssh.PublicKeys(owner)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if o := b.backup(c, journal(t, 2)); o.refusal != nil {
		t.Error(o.refusal)
	}
}

// stock is the file of a private key, and what OpenSSH is called with.
func (b *bed) stock() (command string, key string) {
	b.t.Helper()
	dir := b.t.TempDir()
	key = dir + "/id"
	mustRun(b.t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	pub, err := os.ReadFile(key + ".pub")
	if err != nil {
		b.t.Fatal(err)
	}
	parsed, _, _, _, err := ssh.ParseAuthorizedKey(pub)
	if err != nil {
		b.t.Fatal(err)
	}
	b.account = b.register("SHC00000009", "u9", parsed)
	b.owner = nil
	host, port, _ := net.SplitHostPort(b.ssh)
	known := fmt.Sprintf("[%s]:%s %s\n", host, port, readFile(b.t, b.root+"/.xs/host_key.pub"))
	if err := os.WriteFile(dir+"/known", []byte(known), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("ssh -F none -p %s -i %s -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes -o UserKnownHostsFile=%s -o StrictHostKeyChecking=yes",
		port, key, dir+"/known"), key
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func (b *bed) backupWith(key, dir string) {
	b.t.Helper()
	signer, err := ssh.ParsePrivateKey([]byte(readFile(b.t, key) + "\n"))
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := b.dial(b.account, signer)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if o := b.backup(c, dir); o.refusal != nil {
		b.t.Fatal(o.refusal)
	}
}

// Stock rsync over stock OpenSSH reads a snapshot; sha256sum agrees with its
// manifest; nothing can be written, and there is no shell.
func TestStockClient(t *testing.T) {
	b := newBed(t)
	command, key := b.stock()
	dir := journal(t, 7)
	b.backupWith(key, dir)
	folder, err := b.store.Folder("SHC00000009")
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	list, err := folder.Snapshots()
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	at := b.account + "@127.0.0.1:"
	for _, from := range []string{"snapshots/latest/", "snapshots/" + list[0].ID + "/", "snapshots/latest/."} {
		got := filepath.Join(t.TempDir(), "x")
		mustRun(t, nil, "rsync", "-a", "-e", command, at+from, got)
		same(t, got, dir)
		cmd := osexec.Command("sha256sum", "--strict", "--quiet", "-c", b.root+"/"+b.account+"/snapshots/"+list[0].ID+".manifest")
		cmd.Dir = got
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		// Again: nothing moves.
		if out := mustRun(t, nil, "rsync", "-ai", "-e", command, at+from, got); strings.Contains(out, ">f") {
			t.Errorf("sent again:\n%s", out)
		}
	}
	got := t.TempDir()
	mustRun(t, nil, "rsync", "-a", "-e", command, at+"snapshots/"+list[0].ID, got)
	same(t, got+"/"+list[0].ID, dir)
	one := t.TempDir()
	mustRun(t, nil, "rsync", "-a", "-e", command, at+"snapshots/latest/"+uid(1).Path(), one)
	if _, err := os.Stat(one + "/" + string(uid(1)) + ".cjson"); err != nil {
		t.Error(err)
	}
	for _, words := range [][]string{
		{"rsync", "-a", "-e", command, dir + "/", at + "snapshots/latest/"},
		{"rsync", "-a", "-e", command, at + "current/", got},
		{"rsync", "-a", "-e", command, at + "snapshots/", got},
		{"rsync", "-a", "-e", command, at + "snapshots/latest/../../account.json", got},
		{"rsync", "-a", "-e", command, at + "/etc/", got},
		append(strings.Fields(command), b.account+"@127.0.0.1"),
		append(strings.Fields(command), "-tt", b.account+"@127.0.0.1", "sh"),
		append(strings.Fields(command), b.account+"@127.0.0.1", "cat /etc/passwd"),
		append(strings.Fields(command), "claim@127.0.0.1", "x"),
	} {
		out, err := run(t, nil, words...)
		if err == nil || strings.Contains(out, "root:") {
			t.Errorf("%q: %s", words, out)
		}
		t.Logf("%q: %s", words[len(words)-2:], out)
	}
}

// A host certificate beside the host key is shown to whoever asks for one.
func TestHostCertificate(t *testing.T) {
	b := newBed(t)
	if fi, err := os.Stat(b.root + "/.xs/host_key"); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("host key: %v %v", fi, err)
	}
	host := readFile(t, b.root+"/.xs/host_key.pub")
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	ca := t.TempDir() + "/ca"
	mustRun(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ca)
	mustRun(t, nil, "ssh-keygen", "-q", "-s", ca, "-I", "school", "-h", "-n", "127.0.0.1", b.root+"/.xs/host_key.pub")
	b.start()
	if again := readFile(t, b.root+"/.xs/host_key.pub"); again != host {
		t.Error("another host key")
	}
	var s wire.Service
	getJSON(t, "http://"+b.http+"/backup/2", http.StatusOK, &s)
	if !strings.HasPrefix(host, s.HostKey) || s.SSH != b.ssh || s.Registration != b.registration ||
		!strings.HasPrefix(s.HostCertificate, "ssh-ed25519-cert-v01@openssh.com ") {
		t.Errorf("%+v", s)
	}
	dir := journal(t, 2)
	pinned, key := b.stock()
	b.backupWith(key, dir)
	mustRun(t, nil, "rsync", "-a", "-e", pinned, b.account+"@127.0.0.1:snapshots/latest/", t.TempDir())
	// Trusting the deployment alone, and another deployment.
	signed := strings.ReplaceAll(pinned, "/known", "/ca")
	known := pinned[strings.Index(pinned, "UserKnownHostsFile=")+len("UserKnownHostsFile="):]
	known, _, _ = strings.Cut(known, " ")
	write := func(pub string) {
		if err := os.WriteFile(strings.TrimSuffix(known, "known")+"ca", []byte("@cert-authority * "+pub+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(readFile(t, ca+".pub"))
	mustRun(t, nil, "rsync", "-a", "-e", signed, b.account+"@127.0.0.1:snapshots/latest/", t.TempDir())
	write(readFile(t, key+".pub"))
	if out, err := run(t, nil, "rsync", "-a", "-e", signed, b.account+"@127.0.0.1:snapshots/latest/", t.TempDir()); err == nil {
		t.Errorf("a certificate of nobody's was taken: %s", out)
	}
}
