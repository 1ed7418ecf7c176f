package xsclient

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// stopped is Sugar's datastore, not running.
type stopped struct {
	mu   sync.Mutex
	held int
	hold error // of the next Hold

	holding func() // called while it is held; may be nil
}

func (*stopped) Running(context.Context) (bool, error) { return false, nil }
func (*stopped) Update(context.Context, *datastore.Entry, string) error {
	return fmt.Errorf("not running")
}

func (s *stopped) Hold(context.Context) (func() error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		return nil, s.hold
	}
	s.held++
	if s.holding != nil {
		s.holding()
	}
	return func() error { return nil }, nil
}

// pupil is a laptop with a Journal, registered with a school.
type pupil struct {
	*Client
	t       testing.TB
	home    string // all that is the laptop's
	journal string
	service *stopped
	outside map[string]string // the listing of what must never change

	mu     sync.Mutex
	phases []string
}

// newPupil registers a laptop with a school. Its Journal is a copy of journal;
// "" is none.
func newPupil(t testing.TB, s *school, journal string) *pupil {
	t.Helper()
	s.serve()
	cfg := laptop(t, s.peer, "-t", "ed25519")
	p := &pupil{t: t, home: filepath.Dir(cfg.Profile.Dir), journal: cfg.Profile.Datastore(), service: &stopped{}}
	cfg.Datastore = p.service
	if journal != "" {
		must(t, os.CopyFS(p.journal, os.DirFS(journal)))
	}
	p.Client = client(t, cfg)
	must(t, p.Register(t.Context()))
	// What a climbing name would love to hit.
	must(t, os.WriteFile(filepath.Join(p.home, "precious"), []byte("precious"), 0o600))
	p.outside = p.around()
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must1 is must for what answers a value as well: must1(os.ReadFile(path))(t).
func must1[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T { t.Helper(); must(t, err); return v }
}

// around lists all in the temp root but what a restore may write.
func (p *pupil) around() map[string]string {
	p.t.Helper()
	all := listing(p.t, p.home)
	for name := range all {
		for _, ours := range []string{"state", "cache", "profile/datastore", "profile/backup-unreadable", ".config", ".cache"} {
			if name == ours || strings.HasPrefix(name, ours) {
				delete(all, name)
			}
		}
	}
	delete(all, ".")
	delete(all, "profile")
	return all
}

// listing is every file below dir with its content and mode.
func listing(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		out[name] = info.Mode().String()
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out[name] += fmt.Sprintf(" %x", sha256.Sum256(b))
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

// progress notes the phases.
func (p *pupil) progress(now Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.phases); n == 0 || p.phases[n-1] != now.Phase {
		p.phases = append(p.phases, now.Phase)
	}
}

func (p *pupil) sawPhase(phase string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.phases, phase)
}

// unharmed checks that a restore that failed has left the Journal as it was,
// nothing outside, and a record of itself only where it is to go on.
func (p *pupil) unharmed(before map[string]string, goesOn bool) {
	p.t.Helper()
	p.untouched()
	unchanged(p.t, "the Journal", before, listing(p.t, p.journal))
	p.pending(goesOn)
}

func (p *pupil) untouched() {
	p.t.Helper()
	unchanged(p.t, "outside", p.outside, p.around())
}

// openAgreed reads what was agreed with the server that is trusted.
func (p *pupil) openAgreed() (*agreed, error) {
	return openAgreed(p.cfg.StateDir, agreedWith(p.account(), p.pinned()))
}

// pending checks whether a restore is to go on; where it is not, no trace of it
// is left, and nothing blocks a backup.
func (p *pupil) pending(goesOn bool) {
	p.t.Helper()
	if _, ok := p.PendingRestore(); ok != goesOn {
		p.t.Errorf("a restore is to go on: %v", ok)
	}
	if goesOn {
		return
	}
	if _, err := os.Lstat(p.stagingDir()); !os.IsNotExist(err) {
		p.t.Errorf("left behind: %s, %v", p.stagingDir(), err)
	}
}

func unchanged(t testing.TB, what string, want, got map[string]string) {
	t.Helper()
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %q was %s, is %s", what, name, w, got[name])
		}
	}
	for name, g := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q is new: %s", what, name, g)
		}
	}
}

// holds checks that the Journal is, entry for entry, what another is, but for
// the uids named.
func (p *pupil) holds(journal string, but ...string) {
	p.t.Helper()
	want, err := bed.ReadDisk(journal)
	must(p.t, err)
	got, err := bed.ReadDisk(p.journal)
	must(p.t, err)
	for uid, w := range want {
		if !slices.Contains(but, uid) && fmt.Sprint(got[uid]) != fmt.Sprint(w) {
			p.t.Errorf("entry %s is not what it was", uid)
		}
	}
	for uid := range got {
		if _, ok := want[uid]; !ok && !slices.Contains(but, uid) {
			p.t.Errorf("entry %s is nobody's", uid)
		}
	}
}

// rawJournal writes a Journal of n entries.
func rawJournal(t testing.TB, n int, seed uint64) (dir string, uids []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "journal")
	uids, err := bed.WriteRaw(dir, n, 0, seed)
	must(t, err)
	slices.Sort(uids)
	return dir, uids
}
