package browse

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// freePath is a name for a file to look at, where Sugar's activities expect it.
func (b *Browser) freePath(uid datastore.UID, extension string) (string, error) {
	dir := dataDir(b.cfg.Profile)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	random := make([]byte, 6)
	_, _ = rand.Read(random) // never fails
	return filepath.Join(dir, string(uid)+"_"+hex.EncodeToString(random)+extension), nil
}
