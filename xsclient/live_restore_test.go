package xsclient

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// living is Sugar's datastore, running on a Journal.
type living struct {
	stopped
	journal string
	asked   func() bool                                 // whether it runs; nil: it does
	before  func(e *datastore.Entry, path string) error // of each update; an error is its answer
}

// live lets a pupil's Sugar run.
func (p *pupil) live() *living {
	p.t.Helper()
	l := &living{journal: p.journal}
	must(p.t, os.MkdirAll(p.journal, 0o755))
	must(p.t, os.WriteFile(filepath.Join(p.journal, "ds_clean"), nil, 0o644)) // it changes nothing now
	p.cfg.Datastore = l
	return l
}

func (l *living) Running(context.Context) (bool, error) { return l.asked == nil || l.asked(), nil }

func (l *living) Update(_ context.Context, e *datastore.Entry, path string) error {
	if l.before != nil {
		if err := l.before(e, path); err != nil {
			return err
		}
	}
	dir := filepath.Join(l.journal, string(e.UID[:2]), string(e.UID))
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Join(dir, "metadata"), 0o755)); err != nil {
		return err
	}
	for name, value := range e.Metadata {
		if err := os.WriteFile(filepath.Join(dir, "metadata", name), value, 0o644); err != nil {
			return err
		}
	}
	if path == "" {
		return nil
	}
	return os.Rename(path, filepath.Join(dir, "data"))
}

// An entry that Sugar's datastore does not take is named; the others come back,
// and nothing is left to do.
func TestEntryIsRefused(t *testing.T) {
	old, uids := rawJournal(t, 5, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, "")
	p.live().before = func(e *datastore.Entry, _ string) error {
		if string(e.UID) == uids[2] {
			return &datastore.RefusedError{UID: e.UID, Reason: "ValueError: no turtles"}
		}
		return nil
	}
	result, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)
	if !result.Partial || len(result.Skipped) != 1 || result.Skipped[0].UID != uids[2] || result.Entries != 4 ||
		!strings.Contains(result.Message, uids[2]) || !strings.Contains(result.Message, "no turtles") {
		t.Errorf("%+v", result)
	}
	p.pending(false)
	p.agreedIsHere()
	p.service.hold = errors.New("not in a merge")
	p.cfg.Datastore = p.service
	if _, ok := rawRead(t, p.journal, uids[2]); ok {
		t.Error("what was refused is there")
	}
}

// A datastore that is gone is the end for now, and the restore goes on later.
func TestDatastoreDies(t *testing.T) {
	old, uids := rawJournal(t, 5, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, "")
	updates := 0
	p.live().before = func(*datastore.Entry, string) error {
		if updates++; updates > 2 {
			return errors.New("org.freedesktop.DBus.Error.NoReply")
		}
		return nil
	}
	_, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
	if e := wantCode(t, err, Failed); !strings.Contains(e.Message, "goes on") {
		t.Error(e.Message)
	}
	if o, ok := p.PendingRestore(); !ok || o != (RestoreOptions{}) {
		t.Fatalf("what goes on later: %+v, %t", o, ok)
	}
	p.live()
	result, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)
	if result.Partial || result.Entries != len(uids) {
		t.Errorf("%+v", result)
	}
	p.holds(old)
	p.pending(false)
}

// The last look at an entry comes when nothing but its update is left to do:
// the child must have no time to change it in between.
func TestLastLookIsLast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	large(t, dir, 9<<20)
	s := newSchool(t, dir)
	p := newPupil(t, s, dir) // in an older version
	must(t, os.WriteFile(filepath.Join(p.journal, "aa", largeUID, "metadata", "title"), []byte("old film"), 0o644))
	p.agreeOn(p.journal)
	l, lies := p.live(), false
	l.asked = func() bool {
		if !p.sawPhase("verifying") {
			return false
		}
		// First by the restore, then by each look.
		st, err := os.Stat(filepath.Join(p.stagingDir(), largeUID+".data"))
		lies = err == nil && st.Size() == 9<<20
		return !lies
	}
	must(t, os.Remove(filepath.Join(p.journal, "ds_clean"))) // so that a look asks
	l.before = func(*datastore.Entry, string) error {
		if !lies {
			t.Error("its data was made ready after the last look")
		}
		return nil
	}
	_, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)
	p.holds(dir)
}

const largeUID = "aa000000-0000-4000-8000-000000000000"

// large makes a Journal of one entry with that much data.
func large(t testing.TB, dir string, size int) {
	t.Helper()
	metadata := filepath.Join(dir, "aa", largeUID, "metadata")
	must(t, os.MkdirAll(metadata, 0o755))
	must(t, os.WriteFile(filepath.Join(metadata, "title"), []byte("film"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "aa", largeUID, "data"), make([]byte, size), 0o644))
}

// While the datastore is kept from starting, nothing is done that takes time.
func TestHeldForAMoment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	large(t, dir, 9<<20)
	s := newSchool(t, dir)
	p := newPupil(t, s, "")
	held := 0
	p.service.holding = func() {
		held++
		found, err := filepath.Glob(filepath.Join(p.stagingDir(), "out", "*", "data"))
		if err != nil || len(found) != 1 {
			t.Errorf("%v are unpacked, %v", found, err)
		}
	}
	_, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)
	if held != 1 {
		t.Errorf("held %d times", held)
	}
	p.holds(dir)
}

// What the child changes while an entry is made ready stays, and what comes back
// stands beside it, its file and all; what is deleted then comes back as it is.
func TestChangedWhileMadeReady(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	large(t, dir, 9<<20)
	s := newSchool(t, dir)
	for name, change := range map[string]func(entry string) error{
		"changed": func(entry string) error {
			return os.WriteFile(filepath.Join(entry, "metadata", "title"), []byte("my film"), 0o644)
		},
		"deleted": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPupil(t, s, dir) // in an older version
			entry := filepath.Join(p.journal, "aa", largeUID)
			must(t, os.WriteFile(filepath.Join(entry, "metadata", "title"), []byte("old film"), 0o644))
			must(t, os.Truncate(filepath.Join(entry, "data"), 5))
			p.agreeOn(p.journal)
			p.service.holding = func() { must(t, change(entry)) }
			result, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
			must(t, err)
			got, err := bed.ReadDisk(p.journal)
			must(t, err)
			titles := map[string]int{}
			for _, e := range got {
				titles[string(e.Props["title"])] = len(e.Data)
			}
			day := time.Unix(result.Snapshot.Time, 0).Format(time.DateOnly)
			want := map[string]int{"my film": 5, "film (" + day + ")": 9 << 20}
			if name == "deleted" {
				want = map[string]int{"film": 9 << 20}
			}
			if !maps.Equal(titles, want) {
				t.Errorf("%v, not %v", titles, want)
			}
		})
	}
}
