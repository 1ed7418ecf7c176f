package xs

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/crypto/ssh"
)

const (
	hostKeyFile  = "host_key"
	hostCertFile = "host_key-cert.pub" // where `ssh-keygen -s` puts it
)

// loadHostKey reads the host key, and makes it at the first start: the XOs pin
// it, so it is on the disk before anybody sees it.
func (r *running) loadHostKey() error {
	b, err := r.Store.ReadOwn(hostKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = r.makeHostKey()
	}
	if err != nil {
		return fmt.Errorf("host key: %w", err)
	}
	if r.hostKey, err = ssh.ParsePrivateKey(b); err != nil {
		return fmt.Errorf("host key: %w", err)
	}
	b, err = r.Store.ReadOwn(hostCertFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		r.hostCert, err = hostCertificate(b, r.hostKey)
	}
	if err != nil {
		return fmt.Errorf("host certificate: %w", err)
	}
	return nil
}

func (r *running) makeHostKey() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "xs-backupd")
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(block)
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	r.Log.Info("made a host key", "fingerprint", ssh.FingerprintSHA256(signer.PublicKey()))
	// The public half first: an administrator finds both or, after a cut, a
	// public half that is made anew.
	if err := r.Store.WriteOwn(hostKeyFile+".pub", ssh.MarshalAuthorizedKey(signer.PublicKey())); err != nil {
		return nil, err
	}
	return b, r.Store.WriteOwn(hostKeyFile, b)
}

func hostCertificate(b []byte, key ssh.Signer) (*ssh.Certificate, error) {
	public, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return nil, err
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok || cert.CertType != ssh.HostCert {
		return nil, fmt.Errorf("%s holds no host certificate", hostCertFile)
	}
	if !bytes.Equal(cert.Key.Marshal(), key.PublicKey().Marshal()) {
		return nil, fmt.Errorf("%s is of another host key", hostCertFile)
	}
	return cert, nil
}
