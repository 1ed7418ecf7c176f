package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Two XOs back up to one server at once, and each gets its own back.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	s := bed.XSFor(t, bed.ServerOptions{})
	var xos []*bed.XO
	var journals []bed.Journal
	for i, o := range []bed.Options{
		{Nick: "Amara"},
		{Nick: "Beto", Serial: "SHC00500002", UUID: "5b2e8a3c-9d41-4f6e-8a70-1c0de0500002", KeyNew: true},
	} {
		x := bed.XOFor(t, o)
		register(t, x, s)
		_, err := x.FillJournal(t.Context(), 40, uint64(i+10))
		must(t, err)
		xos, journals = append(xos, x), append(journals, onDisk(t, x))
	}
	paths := []objectPath{start(t, xos[0], "Backup"), start(t, xos[1], "Backup")}
	for i, x := range xos {
		r, err := x.Wait(t.Context(), paths[i])
		must(t, err)
		must(t, r.OK())
		must(t, x.WipeJournal(t.Context()))
	}
	for i, x := range xos {
		done(t, x, "Restore", "")
		after, err := x.ReadJournal(t.Context())
		must(t, err)
		if err := journals[i].Diff(after); err != nil {
			t.Errorf("%s: %v", x.Options.Nick, err)
		}
	}
}

// The same account twice at once: the second is told so, and the first is not
// disturbed.
func TestSameAccountTwice(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	if _, err := x.Create(t.Context(), bed.Sample{
		Props: map[string][]byte{"title": []byte("large")},
		Data:  bytes.Repeat([]byte("fedcba9876543210"), 6<<20),
	}); err != nil {
		t.Fatal(err)
	}
	must(t, x.Settle(t.Context()))

	// A copy of the laptop: same serial, same keys.
	twin := bed.XOFor(t, bed.Options{})
	must(t, twin.PointAt(s))
	_, err := twin.FillJournal(t.Context(), 3, 1)
	must(t, err)
	must(t, x.StopService(t.Context(), bed.BackupName))
	for _, name := range []string{"owner.key", "owner.key.pub", "backup.key", "backup.key.pub"} {
		b, err := os.ReadFile(filepath.Join(x.Profile, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(twin.Profile, name), b, 0o600))
	}
	b, err := os.ReadFile(stateFile(x))
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(stateFile(twin)), 0o700))
	must(t, os.WriteFile(stateFile(twin), b, 0o600))

	path := start(t, x, "Backup")
	awaitBytes(t, x, path, 1<<20)
	r := failed(t, twin, "ServerBusy", "Backup")
	t.Logf("the second is told: %s", r.Message)
	first, err := x.Wait(t.Context(), path)
	must(t, err)
	must(t, first.OK())
}
