package xsclient

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// starting is Sugar's datastore, that begins to run during a look and is in the
// midst of a change then.
type starting struct {
	stopped
	asked  int
	finish func() // the change, when it is asked for the second time
}

func (s *starting) Running(context.Context) (bool, error) {
	if s.asked++; s.asked == 2 {
		s.finish()
	}
	return s.asked > 1, nil
}

// A look during which Sugar's datastore began to run does not count: it may
// have seen metadata of one version beside data of another.
func TestDatastoreStartsDuringALook(t *testing.T) {
	cfg := laptop(t, newPeer(t))
	journal := cfg.Profile.Datastore()
	want := datastore.Entry{
		UID:      uidN(1),
		Metadata: map[string][]byte{"uid": []byte(uidN(1)), "title": []byte("new"), "filesize": []byte("3")},
		Data:     &datastore.Data{SHA256: sha256.Sum256([]byte("new")), Size: 3},
	}
	entry := filepath.Join(journal, string(want.UID[:2]), string(want.UID))
	must(t, os.MkdirAll(filepath.Join(entry, "metadata"), 0o755))
	for name, value := range want.Metadata {
		must(t, os.WriteFile(filepath.Join(entry, "metadata", name), value, 0o644))
	}
	// The metadata is the new one's already, the data comes last.
	must(t, os.WriteFile(filepath.Join(entry, "data"), []byte("old"), 0o644))
	cfg.Datastore = &starting{finish: func() {
		must(t, os.WriteFile(filepath.Join(entry, "data"), []byte("new"), 0o644))
		must(t, os.WriteFile(filepath.Join(journal, "ds_clean"), nil, 0o644))
	}}
	l, err := client(t, cfg).startLook(t.Context(), nil, silent)
	must(t, err)
	defer l.child.Close()
	if got := l.entries[want.UID].Version; got != want.Version() {
		t.Errorf("saw version %q, want %q", got, want.Version())
	}
}
