package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A server that shows another host key gets nothing; the state says so until a
// person says that this is the school's server now.
func TestChangedHostKey(t *testing.T) {
	t.Parallel()
	s := bed.XSFor(t, bed.ServerOptions{Args: []string{"--verbose"}})
	x := bed.XOFor(t, bed.Options{})
	register(t, x, s)
	_, before := fill(t, x, 5)
	done(t, x, "Backup")

	must(t, s.Stop())
	changeHostKey(t, s)
	must(t, s.Start(t.Context()))
	logged := len(s.Log())

	failed(t, x, "WrongServer", "Backup")
	failed(t, x, "WrongServer", "Restore", "")
	if state := property[string](t, x, "State"); state != "new-server" {
		t.Errorf("state %s", state)
	}
	// The log names the account of whoever has said who it is.
	said := s.Log()[logged:]
	if !strings.Contains(said, "ssh refused") {
		t.Errorf("the laptop never looked at the server's key:\n%s", said)
	}
	if strings.Contains(said, "account") || strings.Contains(said, x.Options.Serial) {
		t.Errorf("the wrong server learned something:\n%s", said)
	}
	fingerprint := fingerprintIn(t, property[string](t, x, "StateReason"))

	refused(t, x.Backup().Call("org.laptop.Backup.TrustServer", 0, "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").Err, "InvalidArgument")
	failed(t, x, "WrongServer", "Backup")
	must(t, x.Backup().Call("org.laptop.Backup.TrustServer", 0, fingerprint).Err)
	done(t, x, "Backup")
	must(t, x.WipeJournal(t.Context()))
	done(t, x, "Restore", "")
	holds(t, x, before)
}

// changeHostKey lets a stopped server have another host key when it starts.
func changeHostKey(t *testing.T, s *bed.XS) {
	t.Helper()
	keys, err := filepath.Glob(filepath.Join(s.Root, ".xs", "*host_key*"))
	must(t, err)
	if len(keys) == 0 {
		t.Fatal("no host key to change")
	}
	for _, key := range keys {
		must(t, os.Remove(key))
	}
}

// fingerprintIn is what a person reads in a message, and types to trust a server.
func fingerprintIn(t *testing.T, said string) string {
	t.Helper()
	fingerprint := regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`).FindString(said)
	if fingerprint == "" {
		t.Fatalf("no fingerprint in %q", said)
	}
	return fingerprint
}

// With a deployment key any server that it has signed is trusted, and no other.
func TestHostCertificate(t *testing.T) {
	t.Parallel()
	s := bed.XSFor(t, bed.ServerOptions{})
	ca, other := filepath.Join(t.TempDir(), "deployment"), filepath.Join(t.TempDir(), "other")
	for _, key := range []string{ca, other} {
		run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)
	}
	hostKey := filepath.Join(s.Root, ".xs", "host_key")
	if _, err := os.Stat(hostKey + ".pub"); err != nil {
		out := run(t, "ssh-keygen", "-y", "-f", hostKey)
		must(t, os.WriteFile(hostKey+".pub", []byte(out), 0o644))
	}
	x := bed.XOFor(t, bed.Options{})
	pub, err := os.ReadFile(ca + ".pub")
	must(t, err)
	must(t, x.Configure("server = \""+s.URL()+"\"\nregistration = \""+s.RegistrationURL()+"\"\ndeployment_key = \""+strings.TrimSpace(string(pub))+"\"\n"))
	fill(t, x, 3)

	refused(t, x.Register(t.Context()), "WrongServer")
	sign := func(by string) {
		t.Helper()
		run(t, "ssh-keygen", "-q", "-s", by, "-I", "schoolserver", "-h", "-n", "127.0.0.1,schoolserver", hostKey+".pub")
		must(t, s.Stop())
		must(t, s.Start(t.Context()))
	}
	sign(other)
	refused(t, x.Register(t.Context()), "WrongServer")
	sign(ca)
	must(t, x.Register(t.Context()))
	done(t, x, "Backup")
}

// A key that the server does not know, and an account that it does not have.
func TestWrongKeyAndUnknownAccount(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	fill(t, x, 3)
	done(t, x, "Backup")
	must(t, x.StopService(t.Context(), bed.BackupName))
	key := filepath.Join(x.Profile, "backup.key")
	for _, name := range []string{key, key + ".pub"} {
		must(t, os.Rename(name, name+".right"))
	}
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)
	failed(t, x, "NotRegistered", "Backup")

	must(t, x.StopService(t.Context(), bed.BackupName))
	for _, name := range []string{key, key + ".pub"} {
		must(t, os.Rename(name+".right", name))
	}
	done(t, x, "Backup") // the key was all that was wrong
	must(t, s.Stop())
	here, gone := account(t, s), filepath.Join(s.Dir, "gone")
	must(t, os.Rename(here, gone))
	must(t, s.Start(t.Context()))
	failed(t, x, "NotRegistered", "Backup")

	must(t, s.Stop())
	must(t, os.RemoveAll(here))
	must(t, os.Rename(gone, here))
	must(t, s.Start(t.Context()))
	done(t, x, "Backup") // and now the account was
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}
