package e2e

import (
	"runtime"
	"slices"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// The programs as an XO-1 needs them, 386 without floating point instructions,
// do one backup and one restore, and look into both Journals.
func TestOn386Softfloat(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "386" {
		t.Skip("this machine does not run 386 programs")
	}
	t.Parallel()
	old, err := bed.BuildBinaries(t.Context(), t.TempDir(), "GOARCH=386", "GO386=softfloat")
	must(t, err)
	s := bed.XSFor(t, bed.ServerOptions{})
	x := bed.XOFor(t, bed.Options{Binaries: old})
	register(t, x, s)
	_, before := fill(t, x, 40)
	done(t, x, "Backup")
	must(t, x.WipeJournal(t.Context()))
	_, err = x.Find(t.Context())
	must(t, err)
	done(t, x, "Restore", "")
	holds(t, x, before)

	titles, err := findIn(t, x, "", "dra*")
	must(t, err)
	there, err := findIn(t, x, snapshotID(t, x, 0), "dra*")
	must(t, err)
	if len(titles) == 0 || !slices.Equal(titles, there) {
		t.Errorf("%q here, %q at school", titles, there)
	}
}
