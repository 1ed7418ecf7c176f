package store

import (
	"errors"
	"slices"
	"testing"

	"github.com/sugarlabs/xo-backupd/wire"
)

func pinned(t *testing.T, f *Folder) (ids []string) {
	t.Helper()
	list, err := f.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range list {
		if snap, err := f.Snapshot(rec.ID); err != nil || snap.Record.Pinned != rec.Pinned {
			t.Errorf("%s: %v", rec.ID, err)
		} else {
			snap.Close()
		}
		if rec.Pinned {
			ids = append(ids, rec.ID)
		}
	}
	return ids
}

func backupBy(t *testing.T, f *Folder, tree journalTree, claim ClaimID) Taken {
	t.Helper()
	l, err := f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if _, err := l.Prepare(tree.digest()); err != nil {
		t.Fatal(err)
	}
	if err := tree.rsync(l.CurrentPath()); err != nil {
		t.Fatal(err)
	}
	taken, err := l.Take(t.Context(), Offer{Digest: tree.digest(), Machine: "SHC00000001", Claim: claim}, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func TestPinOfLess(t *testing.T) {
	s := testStore(t, t.TempDir())
	f := testFolder(t, s)
	full := mustBackup(t, f, testTree(8)).Snapshot.ID
	mustBackup(t, f, testTree(4)) // half of it is not less than half
	if got := pinned(t, f); len(got) > 0 {
		t.Errorf("%v", got)
	}
	again := mustBackup(t, f, testTree(8)).Snapshot.ID
	mustBackup(t, f, testTree(3))
	if got := pinned(t, f); !slices.Equal(got, []string{again}) {
		t.Errorf("%v, not %s (and not %s)", got, again, full)
	}
	// It is what is offered, and stays through what follows and a new start.
	mustBackup(t, f, testTree(5))
	if about, err := s.About(f.ID); err != nil || about.Entries != 8 || about.Nick != "Amara" {
		t.Errorf("%+v %v", about, err)
	}
	other := testStore(t, s.Dir())
	g, err := other.Folder(f.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if got := pinned(t, g); !slices.Equal(got, []string{again}) {
		t.Errorf("%v", got)
	}
	// Only who writes answers, and only with an answer.
	owner, _ := mustAccount(t, s, f.ID).FindKey(testKey(1))
	for _, test := range []struct {
		via    Key
		answer wire.PinAnswer
		ok     bool
	}{
		{Key{Kind: Backup, Serial: "READER"}, wire.PinAnswer{Answer: wire.PinDismissed}, false},
		{owner, wire.PinAnswer{Answer: "maybe"}, false},
		{owner, wire.PinAnswer{Answer: wire.PinRestored, Snapshot: "../x"}, false},
		{owner, wire.PinAnswer{Answer: wire.PinRestored, Snapshot: "2020-01-01T00-00-00Z"}, true}, // another
	} {
		if err := s.AnswerPin(t.Context(), f.ID, test.via, test.answer); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.answer, err)
		} else if test.via.Serial == "READER" && !errors.Is(err, ErrNotWriter) {
			t.Error(err)
		}
	}
	if got := pinned(t, f); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if err := s.AnswerPin(t.Context(), f.ID, owner, wire.PinAnswer{Answer: wire.PinRestored}); err != nil {
		t.Error(err)
	}
	if got := pinned(t, f); len(got) > 0 {
		t.Errorf("%v", got)
	}
	// Loss after loss does not keep everything.
	for range maxPins + 3 {
		mustBackup(t, f, testTree(4))
		mustBackup(t, f, testTree(1))
	}
	if got := pinned(t, f); len(got) != maxPins {
		t.Errorf("%d are pinned", len(got))
	}
}

// The first backup after a claim pins what was there, unless a person has answered
// or everything was brought back.
func TestPinAfterClaim(t *testing.T) {
	for name, test := range map[string]struct {
		before func(*claimBed, *Folder)
		pins   int
	}{
		"at once":           {func(*claimBed, *Folder) {}, 1},
		"dismissed":         {func(b *claimBed, _ *Folder) { b.answer(wire.PinDismissed) }, 0},
		"all brought back":  {func(b *claimBed, f *Folder) { backupBy(b.t, f, testTree(4), b.newest().ID) }, 0},
		"of another claim":  {func(b *claimBed, _ *Folder) { b.answer(wire.PinRestored); b.claim(ana(3), b.id, Automatic) }, 1},
		"the same twice":    {func(b *claimBed, f *Folder) { backupBy(b.t, f, testTree(5), b.newest().ID) }, 1},
		"then the old owns": {func(b *claimBed, f *Folder) { backupBy(b.t, f, testTree(6), "") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newClaimBed(t)
			f := must[*Folder](t)(b.Folder(b.id))
			defer f.Close()
			mustBackup(t, f, testTree(4))
			b.claim(ana(2), b.id, Automatic)
			test.before(b, f)
			backupBy(t, f, testTree(7), b.newest().ID)
			if got := pinned(t, f); len(got) != test.pins {
				t.Errorf("%v", got)
			}
		})
	}
}

// The first backup after a claim holds little. Who wanted a new Journal is not asked
// again; who brought everything back, and lost it before it was backed up, is.
func TestPinOfLessAfterClaim(t *testing.T) {
	for answer, pins := range map[string]int{wire.PinDismissed: 0, wire.PinRestored: 1} {
		b := newClaimBed(t)
		f := must[*Folder](t)(b.Folder(b.id))
		defer f.Close()
		mustBackup(t, f, testTree(4))
		b.claim(ana(2), b.id, Automatic)
		b.answer(answer)
		backupBy(t, f, testTree(1), b.newest().ID)
		if got := pinned(t, f); len(got) != pins {
			t.Errorf("%s: %v", answer, got)
		}
		// And what is lost later is what is lost.
		backupBy(t, f, testTree(8), b.newest().ID)
		backupBy(t, f, testTree(3), b.newest().ID)
		if got := pinned(t, f); len(got) != pins+1 {
			t.Errorf("%s, then less: %v", answer, got)
		}
	}
}

func (b *claimBed) newest() Claim {
	a := mustAccount(b.t, b.Store, b.id)
	return a.Claims[len(a.Claims)-1]
}

func (b *claimBed) answer(how string) {
	b.t.Helper()
	k, _ := mustAccount(b.t, b.Store, b.id).FindKey(testKey(2))
	if err := b.AnswerPin(b.t.Context(), b.id, k, wire.PinAnswer{Answer: how}); err != nil {
		b.t.Fatal(err)
	}
}

// A cut between the pin and the snapshot that it is for: nothing is lost, and the
// next backup goes on. A confirmation and a new record take no pin away.
func TestPinCut(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	f := testFolder(t, s)
	full := mustBackup(t, f, testTree(8)).Snapshot.ID
	s.step = func(name string) {
		if name == "pinned" {
			panic("cut")
		}
	}
	func() {
		defer func() { recover() }()
		backup(f, testTree(2))
	}()
	s = testStore(t, dir)
	g := must[*Folder](t)(s.Folder(f.ID))
	defer g.Close()
	if got := pinned(t, g); !slices.Equal(got, []string{full}) {
		t.Errorf("%v", got)
	}
	if taken := mustBackup(t, g, testTree(8)); !taken.Confirmed || taken.Snapshot.ID != full {
		t.Errorf("%+v", taken)
	}
	mustBackup(t, g, testTree(2))
	if got := pinned(t, g); !slices.Equal(got, []string{full}) {
		t.Errorf("%v", got)
	}
}
