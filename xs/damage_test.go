package xs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/wire"
)

// The bug: a latest snapshot of which a file was missing was confirmed again and
// again, although the laptop still had the file.
func TestDamagedSnapshotIsNotConfirmed(t *testing.T) {
	b := newBed(t)
	c := b.client()
	dir := journal(t, 5)
	first := b.backup(c, dir)
	if first.refusal != nil {
		t.Fatal(first.refusal)
	}
	at := filepath.Join(b.root, b.account, "snapshots", first.snapshot.ID)
	if err := os.Remove(filepath.Join(at, strings.TrimSuffix(uid(1).Path(), "cjson")+"data")); err != nil {
		t.Fatal(err)
	}
	second := b.backup(c, dir)
	if second.refusal != nil || second.confirmed || len(second.kept) > 0 || second.snapshot.Seq != 2 {
		t.Fatalf("%+v", second)
	}
	got := filepath.Join(t.TempDir(), "x")
	if _, no := b.restore(c, "snapshots/latest", got); no != nil {
		t.Fatal(no)
	}
	same(t, got, dir)
	if o := b.backup(c, dir); !o.confirmed {
		t.Errorf("%+v", o)
	}

	// Of a snapshot without its manifest nobody can tell what is in it: no try
	// of the same again will.
	if err := os.WriteFile(at+".manifest", []byte("mice"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, no := b.restore(c, "snapshots/"+first.snapshot.ID, t.TempDir()); no == nil || no.Code != wire.RefusedDamaged || no.RetryAfter != 0 {
		t.Errorf("%+v", no)
	}
}
