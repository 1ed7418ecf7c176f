package profile

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"
)

const (
	ownerKey  = "owner.key"
	backupKey = "backup.key"
	// maxKey is far above any key file: RSA of 16384 bits is 13 kB.
	maxKey = 64 << 10
)

// OwnerKey is Sugar's key, of whatever kind and in either file format.
func (p Profile) OwnerKey() (ssh.Signer, error) { return p.readKey(ownerKey) }

// BackupKey is our own key. If it does not exist it is made, or, without
// create, the error is fs.ErrNotExist. With create a key that cannot be read
// any more is kept aside as backup.key.damaged and a new one made: the caller
// is about to enrol it.
func (p Profile) BackupKey(create bool) (ssh.Signer, error) {
	key, err := p.readKey(backupKey)
	var damaged *KeyError
	switch {
	case err == nil && create:
		return key, p.writePublic(key.PublicKey())
	case err == nil, !create:
		return key, err // and nothing is written: the disk may be full
	case errors.Is(err, fs.ErrNotExist):
	case errors.As(err, &damaged):
		if err := os.Rename(p.path(backupKey), p.path(backupKey+".damaged")); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	return p.makeBackupKey()
}

// RetireBackupKey puts our key aside, as backup.key.former: BackupKey makes
// another one.
func (p Profile) RetireBackupKey() error {
	err := os.Rename(p.path(backupKey), p.path(backupKey+".former"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// HasOwnerKey tells whether Sugar has made its key: its first-boot wizard does so
// in the end.
func (p Profile) HasOwnerKey() bool {
	_, err := os.Lstat(p.path(ownerKey))
	return err == nil
}

func (p Profile) makeBackupKey() (ssh.Signer, error) {
	// At a first boot there is no profile yet; Sugar makes its folder so, too.
	if err := MakeDir(p.Dir, 0o770); err != nil {
		return nil, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "xo-backupd")
	if err != nil {
		return nil, err
	}
	if err := WriteFile(p.path(backupKey), pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	return key, p.writePublic(key.PublicKey())
}

// writePublic makes backup.key.pub say what backup.key is.
func (p Profile) writePublic(key ssh.PublicKey) error {
	line := append(bytes.TrimSuffix(ssh.MarshalAuthorizedKey(key), []byte("\n")), " xo-backupd\n"...)
	have, err := p.readFile(backupKey+".pub", maxKey)
	if err == nil && bytes.Equal(have, line) {
		return nil
	}
	return WriteFile(p.path(backupKey+".pub"), line, 0o644)
}

func (p Profile) readKey(name string) (ssh.Signer, error) {
	b, err := p.readFile(name, maxKey)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(b)
	if err != nil {
		return nil, &KeyError{Path: p.path(name), Err: err}
	}
	return key, nil
}

// KeyError is a key file that is there and cannot be used.
type KeyError struct {
	Path string
	Err  error
}

func (e *KeyError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *KeyError) Unwrap() error { return e.Err }

// ErrEncrypted is a key that asks for a passphrase, which nobody is there to
// type.
var ErrEncrypted = errors.New("the key is protected by a passphrase")

// ParseKey reads a private key, PEM or OpenSSH's own format.
func ParseKey(b []byte) (ssh.Signer, error) {
	if key, err := parseOpenSSHDSA(b); key != nil || err != nil {
		return key, err
	}
	key, err := ssh.ParsePrivateKey(b)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		return nil, ErrEncrypted
	}
	return key, err
}
