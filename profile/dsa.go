package profile

import (
	"bytes"
	"crypto/dsa" //lint:ignore SA1019 the keys of XOs are DSA and cannot be changed
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// opensshMagic opens OpenSSH's own private key format
// (PROTOCOL.key in its sources).
const opensshMagic = "openssh-key-v1\x00"

//lint:ignore SA1019 the keys of XOs are DSA and cannot be changed
const kindDSA = ssh.InsecureKeyAlgoDSA

// parseOpenSSHDSA reads a DSA key in OpenSSH's own format, which
// x/crypto/ssh does not. Anything else is (nil, nil): somebody else's to read.
func parseOpenSSHDSA(b []byte) (ssh.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "OPENSSH PRIVATE KEY" {
		return nil, nil
	}
	body, ok := bytes.CutPrefix(block.Bytes, []byte(opensshMagic))
	if !ok {
		return nil, nil
	}
	var file struct {
		Cipher, KDF, KDFOptions string
		Keys                    uint32
		Public, Private         []byte
		Rest                    []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(body, &file); err != nil || file.Keys != 1 {
		return nil, nil
	}
	var public struct {
		Kind string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(file.Public, &public); err != nil || public.Kind != kindDSA {
		return nil, nil
	}
	if file.Cipher != "none" || file.KDF != "none" {
		return nil, ErrEncrypted
	}
	key, err := decodeDSA(file.Private)
	if err != nil {
		return nil, err
	}
	// NewSignerFromKey checks the sizes of p, q and g.
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	if err := checkDSA(key); err != nil {
		return nil, err
	}
	if !bytes.Equal(signer.PublicKey().Marshal(), file.Public) {
		return nil, errors.New("the key's public and private halves differ")
	}
	return signer, nil
}

func decodeDSA(b []byte) (*dsa.PrivateKey, error) {
	var private struct {
		Check1, Check2 uint32
		Kind           string
		P, Q, G, Y, X  *big.Int
		Comment        string
		Padding        []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(b, &private); err != nil {
		return nil, fmt.Errorf("malformed DSA key: %w", err)
	}
	if private.Check1 != private.Check2 || private.Kind != kindDSA {
		return nil, errors.New("malformed DSA key")
	}
	for i, b := range private.Padding {
		if int(b) != (i+1)&0xff {
			return nil, errors.New("malformed DSA key: wrong padding")
		}
	}
	return &dsa.PrivateKey{
		PublicKey: dsa.PublicKey{
			Parameters: dsa.Parameters{P: private.P, Q: private.Q, G: private.G},
			Y:          private.Y,
		},
		X: private.X,
	}, nil
}

// checkDSA checks that x belongs to y: 0 < x < q, y = g^x mod p.
func checkDSA(key *dsa.PrivateKey) error {
	if key.P.Sign() <= 0 || key.Q.Sign() <= 0 || key.X.Sign() <= 0 || key.X.Cmp(key.Q) >= 0 {
		return errors.New("malformed DSA key: a number is out of range")
	}
	if new(big.Int).Exp(key.G, key.X, key.P).Cmp(key.Y) != 0 {
		return errors.New("the key's public and private halves differ")
	}
	return nil
}
