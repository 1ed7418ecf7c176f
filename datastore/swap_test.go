package datastore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mustDay(t testing.TB, s string) time.Time {
	t.Helper()
	day, err := time.Parse(time.DateOnly, s)
	must(t, err)
	return day
}

// profileForSwap has a datastore of version "old" and, below staging/new, one
// of version "new".
func profileForSwap(t testing.TB, profile string) (staged string) {
	t.Helper()
	journalForPublish(t, filepath.Join(profile, "datastore"))
	staged = filepath.Join(profile, "staging/new")
	stageWhole(t, staged)
	return staged
}

func stageWhole(t testing.TB, staged string) {
	t.Helper()
	must(t, os.RemoveAll(staged))
	for i := range 3 {
		m, d := versionOf(testUID(i), "new")
		writeEntry(t, staged, testUID(i), m, d)
	}
}

func isWhole(t testing.TB, dir, version string) bool {
	t.Helper()
	if version == "old" {
		return isVersion(t, entryPath(dir, testUID(1)), testUID(1), "old") == nil && isVersion(t, entryPath(dir, testUID(2)), testUID(2), "old") == nil
	}
	for i := range 3 {
		if isVersion(t, entryPath(dir, testUID(i)), testUID(i), "new") != nil {
			return false
		}
	}
	b, _ := os.ReadFile(dir + "/version")
	_, err := os.Lstat(dir + "/index_updated")
	return string(b) == "6" && err != nil
}

const keepName = "datastore.replaced-2026-11-23"

func swapped(t testing.TB, profile string) {
	t.Helper()
	if !isWhole(t, profile+"/datastore", "new") || !isWhole(t, filepath.Join(profile, keepName), "old") || SwapPending(profile) {
		out, _ := filepath.Glob(profile + "/*/*")
		t.Errorf("not swapped: %v", out)
	}
}

func TestSwap(t *testing.T) {
	for _, withExchange := range []bool{true, false} {
		profile := t.TempDir()
		staged := profileForSwap(t, profile)
		must(t, swap(stopAt(0, withExchange), profile, staged, keepName))
		swapped(t, profile)
		must(t, RecoverSwap(profile))
		swapped(t, profile)

		if err := Swap(profile, staged, keepName); !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
		for _, bad := range []string{"", ".", "..", "a/b", "datastore"} {
			if err := Swap(profile, staged, bad); err == nil {
				t.Errorf("keep %q is taken", bad)
			}
		}

		// Nothing there to replace.
		profile = t.TempDir()
		staged = filepath.Join(profile, "new")
		stageWhole(t, staged)
		must(t, swap(stopAt(0, withExchange), profile, staged, keepName))
		if names, _ := os.ReadDir(profile); len(names) != 1 || !isWhole(t, profile+"/datastore", "new") {
			t.Error(names)
		}
	}
}

// TestSwapStops: wherever it stops, RecoverSwap comes to one of two ends: all is
// as before, what was staged included, or all is done.
func TestSwapStops(t *testing.T) {
	for _, withExchange := range []bool{true, false} {
		for n := 1; ; n++ {
			profile := t.TempDir()
			staged := profileForSwap(t, profile)
			err := swap(stopAt(n, withExchange), profile, staged, keepName)
			if err == nil {
				if n < 5 {
					t.Errorf("%d steps only", n-1)
				}
				break
			}
			if !errors.Is(err, errStop) {
				t.Fatal(err)
			}
			recovered(t, profile, staged, n)

			// Cut off once more, at any step of the recovery.
			for m := 1; ; m++ {
				profile := t.TempDir()
				staged := profileForSwap(t, profile)
				_ = swap(stopAt(n, withExchange), profile, staged, keepName)
				again := recoverSwap(stopAt(m, withExchange), profile)
				recovered(t, profile, staged, n)
				if again == nil {
					break
				}
			}
		}
	}
}

func recovered(t testing.TB, profile, staged string, n int) {
	t.Helper()
	must(t, RecoverSwap(profile))
	must(t, RecoverSwap(profile))
	if SwapPending(profile) {
		t.Errorf("step %d: still pending", n)
	}
	if isWhole(t, profile+"/datastore", "old") && isWhole(t, staged, "new") {
		if _, err := os.Lstat(filepath.Join(profile, keepName)); err == nil {
			t.Errorf("step %d: both there and kept", n)
		}
		must(t, Swap(profile, staged, keepName))
	}
	swapped(t, profile)
}

// TestSwapSugarWasFaster: between two renames the power fails, and Sugar starts
// before us: it finds no datastore and begins one, into which the child works.
func TestSwapSugarWasFaster(t *testing.T) {
	for _, withExchange := range []bool{true, false} { // at the recovery
		profile := t.TempDir()
		staged := profileForSwap(t, profile)
		d := stopAt(0, false)
		d.step = func(name string) error {
			if name == "aside" {
				return errStop
			}
			return nil
		}
		if err := swap(d, profile, staged, keepName); !errors.Is(err, errStop) {
			t.Fatal(err)
		}
		fresh := writePlain(t, profile+"/datastore", testUID(77), "made meanwhile", "data")
		must(t, os.WriteFile(profile+"/datastore/version", []byte("6"), 0o644))
		must(t, recoverSwap(stopAt(0, withExchange), profile))
		swapped(t, profile)
		kept := strings.Replace(fresh, "/datastore/", "/"+keepName+"-2/", 1)
		if m, _ := onDisk(t, kept); string(m["title"]) != "made meanwhile" {
			t.Errorf("what the child made is gone")
		}
	}
}

func TestSwapPowerCut(t *testing.T) {
	i := newImage(t, 32)
	for n := 1; ; n++ {
		profile := filepath.Join(i.path, fmt.Sprint("profile", n))
		staged := profileForSwap(t, profile)
		must(t, syncAll(filepath.Join(profile, "datastore")))
		// Entries staged after the sync are only in memory yet.
		stageWhole(t, staged)
		err := swap(stopAt(n, n%2 == 0), profile, staged, keepName)
		i.cut()
		if err == nil {
			swapped(t, profile)
			if n%2 == 0 {
				break
			}
			continue
		}
		recovered(t, profile, staged, n)
	}
}

func TestPruneReplaced(t *testing.T) {
	profile := t.TempDir()
	now := mustDay(t, "2026-11-23").Add(12 * time.Hour)
	make := func(names ...string) {
		for _, name := range names {
			writePlain(t, filepath.Join(profile, name), testUID(1), "x", "y")
		}
	}
	names := func() []string {
		var got []string
		list, err := os.ReadDir(profile)
		must(t, err)
		for _, d := range list {
			got = append(got, strings.TrimPrefix(d.Name(), "datastore"))
		}
		return got
	}
	make("datastore", "datastore.replaced-2026-11-15", "datastore.replaced-2026-11-20", "datastore.replaced-2026-11-20-2",
		"datastore.replaced-1970-01-01", "datastore.replaced-2031-01-01", "datastore.replaced-mine", "other")
	if got := ReplacedName(profile, mustDay(t, "2026-11-20")); got != "datastore.replaced-2026-11-20-3" {
		t.Error(got)
	}
	removed, err := PruneReplaced(profile, now, 0)
	must(t, err)
	if !slices.Equal(removed, []string{"datastore.replaced-2026-11-15"}) {
		t.Error(removed)
	}
	if got := names(); !slices.Equal(got, []string{"", ".replaced-2026-11-20", ".replaced-2026-11-20-2", ".replaced-2026-11-23", ".replaced-2031-01-01", ".replaced-mine", "other"}) {
		t.Error(got)
	}
	// A clock at 1970 says nothing about ages.
	if removed, err := PruneReplaced(profile, time.Unix(1000, 0), 0); err != nil || len(removed) > 0 {
		t.Error(removed, err)
	}
	if removed, err := PruneReplaced(profile, now, 1<<62); err != nil || len(removed) > 0 {
		t.Errorf("removed %v for room that there is not (%v)", removed, err)
	}
}

// TestPruneForRoom: no more goes than has to, and nothing if it is for nothing.
func TestPruneForRoom(t *testing.T) {
	profile := t.TempDir()
	if err := unix.Mount("tmpfs", profile, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(profile, unix.MNT_DETACH) })
	now := mustDay(t, "2026-11-23")
	for _, day := range []string{"20", "21", "22"} {
		entry := writePlain(t, filepath.Join(profile, "datastore.replaced-2026-11-"+day), testUID(1), "x", strings.Repeat("y", 1<<20))
		must(t, os.Link(entry+"/data", entry+"/same")) // which makes no more of it
	}
	for _, c := range []struct {
		more int64
		want []string
	}{
		{4 << 20, nil},
		{0, nil},
		{3 << 19, []string{"datastore.replaced-2026-11-20", "datastore.replaced-2026-11-21"}},
	} {
		removed, err := PruneReplaced(profile, now, free(profile)+c.more)
		if err != nil || !slices.Equal(removed, c.want) {
			t.Errorf("%d more: %v, %v", c.more, removed, err)
		}
	}
}
