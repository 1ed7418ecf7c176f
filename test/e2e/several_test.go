package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Two XOs back up to one server at once, and get their own back at once.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	s := bed.XSFor(t, bed.ServerOptions{})
	var both []laptop
	for i, o := range []bed.Options{
		{Nick: "Amara"},
		{Nick: "Beto", Serial: "SHC00500002", UUID: "5b2e8a3c-9d41-4f6e-8a70-1c0de0500002", KeyNew: true},
	} {
		x := bed.XOFor(t, o)
		line, err := bed.NewLine(s)
		must(t, err)
		t.Cleanup(func() { must(t, line.Close()) })
		must(t, x.PointAtLine(line))
		must(t, x.Register(t.Context()))
		_, err = x.FillJournal(t.Context(), 20, uint64(i+10)) // 9 MB and more
		must(t, err)
		both = append(both, laptop{x, line.SSH, onDisk(t, x)})
	}
	atOnce(t, both, "Backup")
	for _, l := range both {
		must(t, l.WipeJournal(t.Context()))
	}
	atOnce(t, both, "Restore", "")
	for _, l := range both {
		holds(t, l.XO, l.journal)
	}
}

// laptop is one of several, with its line to the school and what it had.
type laptop struct {
	*bed.XO
	line    *bed.Proxy
	journal bed.Journal
}

// atOnce has a job of each laptop run at the same time: none gets beyond its
// first MB before all have got so far.
func atOnce(t *testing.T, all []laptop, method string, args ...any) {
	t.Helper()
	var paths []objectPath
	var reached []<-chan struct{}
	for _, l := range all {
		reached = append(reached, l.line.StandStill(1<<20))
		paths = append(paths, start(t, l.XO, method, args...))
	}
	for _, c := range reached {
		await(t, c)
	}
	for i, l := range all {
		if result := jobProperty[string](t, l.XO, paths[i], "Result"); result != "" {
			t.Errorf("%s of %s is over before the others have come so far: %s", method, l.Options.Nick, result)
		}
		l.line.GoOn()
	}
	for i, l := range all {
		r, err := l.Wait(t.Context(), paths[i])
		must(t, err)
		if err := r.OK(); err != nil {
			t.Errorf("%s of %s: %v", method, l.Options.Nick, err)
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
