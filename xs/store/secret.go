package store

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sugarlabs/xo-backupd/wire"
)

// Files of the server's own that claims need, and the lock of who changes them.
const (
	secretFile = "claims.key"
	claimsLock = ownDir + "/.claims.lock"
)

// secret is what nobody who asks can know: signs and codes are made with it.
func (s *Store) secret(ctx context.Context) ([]byte, error) {
	b, err := s.ReadOwn(secretFile)
	if err == nil && len(b) == sha256.Size {
		return b, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	lock, err := s.lockClaims(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if b, err := s.ReadOwn(secretFile); err == nil && len(b) == sha256.Size {
		return b, nil // another process was faster
	}
	b = make([]byte, sha256.Size)
	rand.Read(b)
	return b, s.WriteOwn(secretFile, b)
}

func (s *Store) lockClaims(ctx context.Context) (*os.File, error) {
	if err := s.root.Mkdir(ownDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return waitLock(ctx, s.root, claimsLock)
}

// signWords are short, and things that a child can point at.
var signWords = strings.Fields(`ant apple ball banana bear bee bell bird boat book bread bus cake camel candle cat
	chair cloud cow cup dog door drum duck egg eye fish flag flower fly foot frog
	goat hand hat hen horse house key kite lamp leaf lion mango map milk moon mouse
	nest orange pen pig pot rabbit rain ring river rose shoe snake spoon star sun tree`)

// sign answers what is shown beside the request of a key for an account, on both
// sides. It says nothing of either, and nobody can look for a key that has a
// certain one.
func sign(secret []byte, key, account string) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "sign %s %s", key, account)
	n := binary.BigEndian.Uint32(mac.Sum(nil))
	var words []string
	for range 3 {
		words = append(words, signWords[n%uint32(len(signWords))])
		n /= uint32(len(signWords))
	}
	return strings.Join(words, " ")
}

// signOf is a sign as a person types it.
func signOf(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// hashRounds make a look at all codes that there can be, by who has stolen the
// disk and the secret with it, a matter of days, and one try one of milliseconds.
const hashRounds = 60_000

// hashCode answers what is kept of a code. The same code has the same hash, so
// that it alone tells where it belongs.
func hashCode(secret []byte, code wire.Code) (string, error) {
	b, err := pbkdf2.Key(sha256.New, string(code), append([]byte("code "), secret...), hashRounds, 16)
	return hex.EncodeToString(b), err
}
