package xsclient

import (
	"crypto/rand"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func certify(t *testing.T, key, authority ssh.Signer, change func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	cert := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.HostCert, KeyId: "xs", ValidPrincipals: []string{"schoolserver"},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: ssh.CertTimeInfinity,
	}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestDeploymentKey(t *testing.T) {
	authority, stranger := newSigner(t), newSigner(t)
	for _, c := range []struct {
		name   string
		shown  func(key ssh.Signer) ssh.Signer
		now    time.Time
		accept bool
	}{
		{"signed", func(k ssh.Signer) ssh.Signer { return certify(t, k, authority, nil) }, time.Now(), true},
		{"signed, a clock of 1970", func(k ssh.Signer) ssh.Signer { return certify(t, k, authority, nil) }, time.Unix(60, 0), true},
		{"signed, without names", func(k ssh.Signer) ssh.Signer {
			return certify(t, k, authority, func(c *ssh.Certificate) { c.ValidPrincipals = nil })
		}, time.Now(), true},
		{"not certified", func(k ssh.Signer) ssh.Signer { return k }, time.Now(), false},
		{"signed by a stranger", func(k ssh.Signer) ssh.Signer { return certify(t, k, stranger, nil) }, time.Now(), false},
		{"a user's certificate", func(k ssh.Signer) ssh.Signer {
			return certify(t, k, authority, func(c *ssh.Certificate) { c.CertType = ssh.UserCert })
		}, time.Now(), false},
		{"expired", func(k ssh.Signer) ssh.Signer {
			return certify(t, k, authority, func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(-time.Minute).Unix()) })
		}, time.Now(), false},
		{"never valid", func(k ssh.Signer) ssh.Signer {
			return certify(t, k, authority, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = math.MaxUint64-1, 5 })
		}, time.Now(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t)
			p.shown = c.shown(p.hostKey)
			cfg := laptop(t, p)
			cfg.DeploymentKey = hostKeyLine(authority.PublicKey())
			cl := client(t, cfg)
			cl.now = func() time.Time { return c.now }
			err := cl.Register(t.Context())
			if c.accept {
				if err != nil {
					t.Fatal(err)
				}
				// Another server of the deployment: nobody is asked.
				p.set(func() { p.shown = c.shown(newSigner(t)) })
				if _, err := cl.ListSnapshots(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			wantCode(t, err, WrongServer)
			if p.tries != 0 {
				t.Errorf("%d tries to authenticate", p.tries)
			}
			wantCode(t, cl.TrustServer(t.Context(), ssh.FingerprintSHA256(p.hostKey.PublicKey())), InvalidArgument)
		})
	}
}

// A server that shows a certificate is recognised by its plain key, where
// that is what was pinned.
func TestPinnedKeyInACertificate(t *testing.T) {
	p := newPeer(t)
	p.shown = certify(t, p.hostKey, newSigner(t), nil)
	if err := client(t, laptop(t, p)).Register(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDeploymentKeyThatIsNone(t *testing.T) {
	for _, bad := range []string{"x", "ssh-ed25519 AAAA", "ssh-ed25519\n"} {
		if _, err := New(Config{StateDir: t.TempDir(), DeploymentKey: bad}); err == nil || !strings.Contains(err.Error(), "deployment_key") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
