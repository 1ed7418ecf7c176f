package profile

import (
	"bytes"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// keygen makes a key with OpenSSH's own ssh-keygen, and answers its file.
func keygen(t testing.TB, path string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("ssh-keygen", append([]string{"-q", "-f", path}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %s: %v\n%s", args, err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newProfile(t testing.TB) Profile {
	t.Helper()
	return Profile{Dir: t.TempDir()}
}

// What ssh-keygen makes, of every kind and in every format, is read, and signs
// what its public half verifies.
func TestOwnerKeyOfEveryKind(t *testing.T) {
	for _, kind := range []string{"dsa", "rsa", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521", "ed25519"} {
		for _, format := range []string{"RFC4716", "PEM", "PKCS8"} {
			if kind == "dsa" && format == "PKCS8" {
				continue // no Sugar has ever made one
			}
			t.Run(kind+" "+format, func(t *testing.T) {
				p := newProfile(t)
				args := append([]string{"-N", "", "-C", "a@b", "-m", format, "-t"}, strings.Fields(kind)...)
				keygen(t, p.path("owner.key"), args...)
				key, err := p.OwnerKey()
				if err != nil {
					t.Fatal(err)
				}
				file, err := os.ReadFile(p.path("owner.key.pub"))
				if err != nil {
					t.Fatal(err)
				}
				public, _, _, _, err := ssh.ParseAuthorizedKey(file)
				if err != nil || !bytes.Equal(public.Marshal(), key.PublicKey().Marshal()) {
					t.Fatalf("the public key in owner.key.pub is another: %v", err)
				}
				sig, err := key.Sign(rand.Reader, []byte("journal"))
				if err != nil {
					t.Fatal(err)
				}
				if err := public.Verify([]byte("journal"), sig); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestOwnerKeyThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	encryptedNew := keygen(t, filepath.Join(dir, "1"), "-t", "dsa", "-N", "secret")
	encryptedPEM := keygen(t, filepath.Join(dir, "2"), "-t", "dsa", "-N", "secret", "-m", "PEM")
	encryptedEd := keygen(t, filepath.Join(dir, "3"), "-t", "ed25519", "-N", "secret")
	whole := keygen(t, filepath.Join(dir, "4"), "-t", "dsa", "-N", "")
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"encrypted DSA, new format", encryptedNew, ErrEncrypted},
		{"encrypted DSA, PEM", encryptedPEM, ErrEncrypted},
		{"encrypted ed25519", encryptedEd, ErrEncrypted},
		{"empty", nil, nil},
		{"cut in half", whole[:len(whole)/2], nil},
		{"text", []byte("hello"), nil},
		{"huge", bytes.Repeat([]byte("x"), 1<<20), nil},
	} {
		p := newProfile(t)
		if err := os.WriteFile(p.path("owner.key"), c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := p.OwnerKey()
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !strings.Contains(err.Error(), p.path("owner.key")) {
			t.Errorf("%s: the error does not name the file: %v", c.name, err)
		}
	}
	if _, err := newProfile(t).OwnerKey(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no key: %v", err)
	}
	if _, err := (Profile{Dir: "/nonexistent/profile"}).OwnerKey(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no profile: %v", err)
	}
}

// A DSA key of which any byte has changed is read as what it was or not at
// all: never as a key that signs wrongly.
func TestDSAKeyOneByteChanged(t *testing.T) {
	file := keygen(t, filepath.Join(t.TempDir(), "k"), "-t", "dsa", "-N", "")
	block, _ := pem.Decode(file)
	good, err := ParseKey(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range block.Bytes {
		changed := bytes.Clone(block.Bytes)
		changed[i] ^= 0x41
		key, err := ParseKey(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: changed}))
		if err == nil && !bytes.Equal(key.PublicKey().Marshal(), good.PublicKey().Marshal()) {
			t.Fatalf("byte %d: another key", i)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	dir := f.TempDir()
	for i, args := range [][]string{
		{"-t", "dsa", "-N", ""}, {"-t", "dsa", "-N", "", "-m", "PEM"}, {"-t", "dsa", "-N", "secret"},
		{"-t", "dsa", "-N", "secret", "-m", "PEM"}, {"-t", "ed25519", "-N", ""}, {"-t", "rsa", "-b", "1024", "-N", ""},
	} {
		block, _ := pem.Decode(keygen(f, filepath.Join(dir, string(rune('a'+i))), args...))
		f.Add(block.Type, block.Bytes)
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		file := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body})
		key, err := ParseKey(file)
		if err != nil {
			return
		}
		sig, err := key.Sign(rand.Reader, []byte("x"))
		if err != nil {
			return
		}
		if key.PublicKey().Type() == kindDSA && strings.HasPrefix(kind, "OPENSSH") {
			if err := key.PublicKey().Verify([]byte("x"), sig); err != nil {
				t.Fatalf("signs what it does not verify: %v", err)
			}
		}
	})
}

func TestBackupKey(t *testing.T) {
	p := Profile{Dir: filepath.Join(t.TempDir(), ".sugar/default")} // Sugar was never started
	if _, err := p.BackupKey(false); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before it is made: %v", err)
	}
	made, err := p.BackupKey(true)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"backup.key": 0o600, "backup.key.pub": 0o644} {
		if info, err := os.Stat(p.path(name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	// Stock OpenSSH reads it, and thinks the same of its public half.
	out, err := exec.Command("ssh-keygen", "-y", "-f", p.path("backup.key")).Output()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := os.ReadFile(p.path("backup.key.pub"))
	if err != nil || !bytes.Equal(out, pub) {
		t.Errorf("ssh-keygen -y: %s\nbackup.key.pub: %s", out, pub)
	}
	// A power cut between the two files.
	if err := os.Remove(p.path("backup.key.pub")); err != nil {
		t.Fatal(err)
	}
	again, err := p.BackupKey(true)
	if err != nil || !bytes.Equal(again.PublicKey().Marshal(), made.PublicKey().Marshal()) {
		t.Fatalf("a second call made another key: %v", err)
	}
	if now, err := os.ReadFile(p.path("backup.key.pub")); err != nil || !bytes.Equal(now, pub) {
		t.Errorf("backup.key.pub did not come back: %v", err)
	}
	// Damaged: an error that names it; made anew where it will be enrolled.
	if err := os.WriteFile(p.path("backup.key"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.BackupKey(false); err == nil || !strings.Contains(err.Error(), p.path("backup.key")) {
		t.Errorf("damaged: %v", err)
	}
	fresh, err := p.BackupKey(true)
	if err != nil || bytes.Equal(fresh.PublicKey().Marshal(), made.PublicKey().Marshal()) {
		t.Errorf("damaged, with create: %v", err)
	}
	if b, err := os.ReadFile(p.path("backup.key.damaged")); err != nil || string(b) != "damaged" {
		t.Errorf("the damaged one was not kept aside: %v", err)
	}
	left, err := filepath.Glob(p.path(".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
