package datastore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	for i := range 10 {
		writePlain(t, dir, testUID(i), "title", fmt.Sprint("data ", i))
	}
	// Three entries that share their data, as the optimizer makes them.
	data := func(i int) string {
		return filepath.Join(dir, testUID(i).folder(), string(testUID(i)), "data")
	}
	for i := 1; i < 3; i++ {
		must(t, os.Remove(data(i)))
		must(t, os.Link(data(0), data(i)))
	}
	age(t, dir)
	s := openStore(t, dir)
	first, reads := lookCounting(t, s, cache)
	if reads != 8 {
		t.Errorf("10 entries with 8 different files: %d read", reads)
	}
	same := func(what string, wantReads int) *Tree {
		t.Helper()
		tree, reads := lookCounting(t, s, cache)
		if reads != wantReads {
			t.Errorf("%s: %d files read, want %d", what, reads, wantReads)
		}
		if tree.Summary().Digest != first.Summary().Digest || !maps.Equal(content(t, tree), content(t, first)) {
			t.Errorf("%s: another tree", what)
		}
		return tree
	}
	same("nothing changed", 0)

	// One property changes: its data needs no second reading.
	meta := filepath.Join(dir, testUID(5).folder(), string(testUID(5)), "metadata")
	must(t, os.WriteFile(filepath.Join(meta, ".title"), []byte("Title"), 0o644))
	must(t, os.Rename(filepath.Join(meta, ".title"), filepath.Join(meta, "title")))
	changed, reads := lookCounting(t, s, cache)
	if changed.Summary().Digest == first.Summary().Digest {
		t.Error("a changed property was missed")
	}
	t.Logf("after one property changed: %d files read", reads)
	age(t, meta)
	must(t, os.WriteFile(filepath.Join(meta, ".title"), []byte("title"), 0o644))
	must(t, os.Rename(filepath.Join(meta, ".title"), filepath.Join(meta, "title")))
	age(t, meta)
	lookCounting(t, s, cache)
	same("nothing changed again", 0)

	good, err := os.ReadFile(cache)
	must(t, err)
	for name, b := range map[string][]byte{
		"empty": {}, "cut": good[:len(good)/2], "one byte less": good[:len(good)-1],
		"a bit": append(bytes.Clone(good[:300]), append([]byte{good[300] ^ 1}, good[301:]...)...),
		"noise": bytes.Repeat([]byte{0xff}, 5000),
		"another version": func() []byte {
			b := bytes.Replace(good[:len(good)-32], []byte("look 1"), []byte("look 0"), 1)
			sum := sha256.Sum256(b)
			return append(b, sum[:]...)
		}(),
		"a count that lies": func() []byte {
			b := bytes.Clone(good[:len(good)-32])
			copy(b[len(b)-4:], "\xff\xff\xff\xff")
			sum := sha256.Sum256(b)
			return append(b, sum[:]...)
		}(),
	} {
		must(t, os.WriteFile(cache, b, 0o644))
		same("cache damaged: "+name, 8)
		same("cache mended: "+name, 0)
	}

	// No room for a cache, or no right to one: slower, and that is all.
	cache = filepath.Join(t.TempDir(), "missing/folder/cache")
	same("no cache can be written", 8)
}

// TestVersions: what a look has read is not read again, and what changed is.
func TestVersions(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	for i := range 4 {
		writePlain(t, dir, testUID(i), "title", fmt.Sprint("data ", i))
	}
	age(t, dir)
	s := openStore(t, dir)
	lookAt(t, s, LookOptions{Cache: cache})
	before, err := os.ReadFile(cache)
	must(t, err)
	changed := filepath.Join(dir, testUID(1).folder(), string(testUID(1)), "data")
	must(t, os.WriteFile(changed, []byte("DATA 1"), 0o644))
	must(t, os.RemoveAll(filepath.Join(dir, testUID(2).folder(), string(testUID(2)), "metadata")))

	l, err := s.newLooker()
	must(t, err)
	defer l.close()
	got, err := l.versionsOf(t.Context(), []UID{testUID(0), testUID(1), testUID(2), testUID(9), testUID(0)}, cache)
	must(t, err)
	want := map[UID]Version{}
	for _, uid := range []UID{testUID(0), testUID(1)} {
		e, err := s.Entry(t.Context(), uid)
		must(t, err)
		want[uid] = e.Version()
	}
	if !maps.Equal(got, want) || l.reads != 1 {
		t.Errorf("%v, want %v; %d files read, want 1", got, want, l.reads)
	}
	if after, err := os.ReadFile(cache); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the cache of the whole Journal was written: %v", err)
	}
}

// TestSameSizeSameInstant: data is changed in place to other bytes of the same
// length, many times within a tick of the clock that makes the stamps. Only
// distrust of young stamps can notice. See TestCoarseStamps, too.
func TestSameSizeSameInstant(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	uid := testUID(1)
	entry := writePlain(t, dir, uid, "title", "version 0000")
	s := openStore(t, dir)
	for i := range 500 {
		want := fmt.Sprintf("version %04d", i)
		f, err := os.OpenFile(filepath.Join(entry, "data"), os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt([]byte(want), 0)
		must(t, errors.Join(err, f.Close()))
		tree := lookAt(t, s, LookOptions{Cache: cache})
		e, _, err := VerifyEntry(tree, uid)
		must(t, err)
		if e.Data.SHA256 != sha256.Sum256([]byte(want)) {
			t.Fatalf("look %d is of older data", i)
		}
	}
}

func TestRacy(t *testing.T) {
	const s = int64(time.Second)
	at := func(m, d int64) state {
		return state{metadata: stamp{mtime: m, ctime: m}, data: stamp{mtime: d - 50*s, ctime: d}}
	}
	for _, c := range []struct {
		state state
		now   int64
		racy  bool
	}{
		{at(100*s, 100*s), 101*s + 999, true},
		{at(100*s, 100*s), 102 * s, false},
		{at(100*s, 101*s), 102 * s, true}, // the data is younger
		{at(101*s, 100*s), 102 * s, true},
		{at(100*s, 100*s), 50 * s, true}, // the clock was set back
	} {
		if got := c.state.racy(c.now); got != c.racy {
			t.Errorf("%+v at %d: %v", c.state, c.now, got)
		}
	}
}

// FuzzCache: whatever the file holds, the worst is that nothing is remembered.
func FuzzCache(f *testing.F) {
	f.Add(append(testUIDRecord(1, 0), testUIDRecord(2, 3)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append([]byte(cacheMagic), b...)
		sum := sha256.Sum256(b)
		path := filepath.Join(t.TempDir(), "cache")
		must(t, os.WriteFile(path, append(b, sum[:]...), 0o600))
		var list []*record
		for _, r := range loadCache(path) {
			list = append(list, r)
		}
		must(t, saveCache(path, list))
		if again := loadCache(path); len(again) != len(list) {
			t.Errorf("%d records become %d", len(list), len(again))
		}
	})
}

func testUIDRecord(i, parts int) []byte {
	r := &record{uid: testUID(i), trusted: true, state: state{data: stamp{size: 5}}, parts: make([]uint32, parts)}
	return r.appendTo(nil)
}
