package datastore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// quick is the field's timing, for tests.
var quick = timing{missing: 100 * time.Millisecond, dirty: 300 * time.Millisecond, most: 2 * time.Second}

func liveStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, func() bool { return true })
	must(t, err)
	s.timing = quick
	return s
}

func setClean(t testing.TB, dir string, clean bool) {
	t.Helper()
	name := filepath.Join(dir, "ds_clean")
	if clean {
		must(t, os.WriteFile(name, nil, 0o644))
	} else if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func setProperty(t testing.TB, entry, name, value string) {
	t.Helper()
	temporary := filepath.Join(entry, "metadata", "."+name)
	must(t, os.WriteFile(temporary, []byte(value), 0o644))
	must(t, os.Rename(temporary, filepath.Join(entry, "metadata", name)))
}

func setData(t testing.TB, entry, data string) {
	t.Helper()
	must(t, os.WriteFile(entry+".new", []byte(data), 0o644))
	must(t, os.Rename(entry+".new", filepath.Join(entry, "data")))
}

// TestBetweenMetadataAndData: the service changes the entry in the worst moment.
func TestBetweenMetadataAndData(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir, entry string){
		"a whole change": func(t *testing.T, dir, entry string) {
			setClean(t, dir, false)
			setProperty(t, entry, "title", "new")
			setData(t, entry, "new!")
			setClean(t, dir, true)
		},
		"metadata of the same size alone": func(t *testing.T, dir, entry string) {
			setClean(t, dir, false)
			setProperty(t, entry, "title", "NEW")
			setClean(t, dir, true)
		},
		"a change that is not over": func(t *testing.T, dir, entry string) {
			setClean(t, dir, false)
			setProperty(t, entry, "title", "new")
			time.AfterFunc(200*time.Millisecond, func() {
				setData(t, entry, "new!")
				setClean(t, dir, true)
			})
		},
		"the optimizer": func(t *testing.T, dir, entry string) {
			setProperty(t, entry, "checksum", "8d777f385d3dfec8815d20f7496026dc")
			must(t, os.WriteFile(dir+"/same", []byte("old!"), 0o644))
			must(t, os.Remove(entry+"/data"))
			time.AfterFunc(20*time.Millisecond, func() { must(t, os.Link(dir+"/same", entry+"/data")) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			entry := writePlain(t, dir, testUID(1), "old", "old!")
			setClean(t, dir, true)
			s := liveStore(t, dir)
			l, err := s.newLooker()
			must(t, err)
			defer l.close()
			changed := false
			l.before = func(UID) {
				if !changed {
					changed = true
					change(t, dir, entry)
				}
			}
			tree, err := l.lookAll(t.Context(), s, LookOptions{})
			must(t, err)
			if len(tree.Summary().Damaged) > 0 {
				t.Fatalf("%+v", tree.Summary())
			}
			e, _, err := VerifyEntry(tree, testUID(1))
			must(t, err)
			metadata, _ := onDisk(t, entry)
			if !sameMetadata(e.Metadata, metadata) {
				t.Errorf("%s beside data of %d bytes", e.Metadata, e.Data.Size)
			}
		})
	}
}

func TestCleanFlagIsMissing(t *testing.T) {
	dir := t.TempDir()
	writePlain(t, dir, testUID(1), "title", "data")

	// It comes back while the look waits.
	back := time.AfterFunc(50*time.Millisecond, func() { setClean(t, dir, true) })
	defer back.Stop()
	if s := lookAt(t, liveStore(t, dir), LookOptions{}).Summary(); s.Entries != 1 || len(s.Damaged) != 0 {
		t.Errorf("%+v", s)
	}

	// A change has failed: it never comes back, and nothing changes.
	setClean(t, dir, false)
	start := time.Now()
	if s := lookAt(t, liveStore(t, dir), LookOptions{}).Summary(); s.Entries != 1 || len(s.Damaged) != 0 {
		t.Errorf("%+v", s)
	}
	if d := time.Since(start); d < quick.dirty || d > quick.most {
		t.Errorf("it took %v", d)
	}

	// No service runs: nothing to wait for. It is asked once, not for each entry.
	for i := range 50 {
		writePlain(t, dir, testUID(i), "title", "data")
	}
	var asked atomic.Int32
	s, err := Open(dir, func() bool { asked.Add(1); return false })
	must(t, err)
	start = time.Now()
	if s := lookAt(t, s, LookOptions{}).Summary(); s.Entries != 50 {
		t.Errorf("%+v", s)
	}
	if n := asked.Load(); n > 3 || time.Since(start) > time.Second {
		t.Errorf("asked %d times, %v", n, time.Since(start))
	}
}

// TestCopyInBackground: data is being copied, and the end of another entry's
// change has made ds_clean anew.
func TestCopyInBackground(t *testing.T) {
	dir := t.TempDir()
	const whole = "all of the data"
	entry := writeEntry(t, dir, testUID(1), plain(testUID(1), "title", len(whole)), nil)
	setClean(t, dir, true)
	f, err := os.Create(filepath.Join(entry, "data"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(whole[:5])
	must(t, err)

	s := liveStore(t, dir)
	sum := lookAt(t, s, LookOptions{}).Summary()
	if len(sum.Damaged) != 1 || !sum.Damaged[0].Changing || sum.Damaged[0].Reason != "its data is being written" {
		t.Fatalf("half of a copy: %+v", sum)
	}
	var d *DamagedError
	if _, err := s.Entry(t.Context(), testUID(1)); !errors.As(err, &d) || !d.Changing {
		t.Errorf("half of a copy: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() {
		f.WriteString(whole[5:])
		f.Close()
	})
	tree := lookAt(t, s, LookOptions{})
	if e, _, err := VerifyEntry(tree, testUID(1)); err != nil || e.Data.Size != int64(len(whole)) {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestOddButSo: what looks like a change under way and is simply so on disk.
func TestOddButSo(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	setClean(t, dir, true)
	other := plain(testUID(1), "old filesize", 1000)
	writeEntry(t, dir, testUID(1), other, []byte("data"))
	missing := plain(testUID(2), "data is gone", 1000)
	writeEntry(t, dir, testUID(2), missing, nil)
	checksum := plain(testUID(3), "data is gone", 0)
	checksum["checksum"] = []byte("8d777f385d3dfec8815d20f7496026dc")
	delete(checksum, "filesize")
	writeEntry(t, dir, testUID(3), checksum, nil)
	strange := plain(testUID(4), "no number", 0)
	strange["filesize"] = []byte("big")
	writeEntry(t, dir, testUID(4), strange, []byte("data"))
	open := writePlain(t, dir, testUID(5), "an activity writes to it", "data")
	f, err := os.OpenFile(open+"/data", os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	age(t, dir)

	s := liveStore(t, dir)
	if sum := lookAt(t, s, LookOptions{Cache: cache}).Summary(); sum.Entries != 5 || len(sum.Damaged) != 0 {
		t.Errorf("%+v", sum)
	}
	f.Close()
	lookAt(t, s, LookOptions{Cache: cache})
	start := time.Now()
	if _, reads := lookCounting(t, s, cache); reads != 0 || time.Since(start) > quick.missing {
		t.Errorf("known to be so, and yet it took %v and %d readings", time.Since(start), reads)
	}
}

// TestNobodyToWaitFor: with no service running, data that is missing is missing.
func TestNobodyToWaitFor(t *testing.T) {
	dir := t.TempDir()
	setClean(t, dir, true)
	writeEntry(t, dir, testUID(1), plain(testUID(1), "data is gone", 1000), nil)
	s, err := Open(dir, nil)
	must(t, err)
	s.timing = timing{missing: time.Hour, dirty: time.Hour, most: 50 * time.Millisecond}
	if e, err := s.Entry(t.Context(), testUID(1)); err != nil || e.Data != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestNeverStill: an entry that changes all the time is left out, and named;
// the others are not held up by it.
func TestNeverStill(t *testing.T) {
	dir := t.TempDir()
	setClean(t, dir, true)
	for i := range 5 {
		writePlain(t, dir, testUID(i), "title", "data")
	}
	s := liveStore(t, dir)
	l, err := s.newLooker()
	must(t, err)
	defer l.close()
	n := 0
	l.before = func(uid UID) {
		if uid == testUID(2) {
			n++
			setProperty(t, filepath.Join(dir, uid.folder(), string(uid)), "title", fmt.Sprint(n))
		}
	}
	tree, err := l.lookAll(t.Context(), s, LookOptions{})
	must(t, err)
	sum := tree.Summary()
	if sum.Entries != 4 || len(sum.Damaged) != 1 || sum.Damaged[0].UID != testUID(2) || !sum.Damaged[0].Changing {
		t.Errorf("%+v", sum)
	}
	if j, _ := ReadJournal(tree); !slices.Equal(j.Kept, []UID{testUID(2)}) {
		t.Errorf("kept %v", j.Kept)
	}
}

// TestNoneIsTorn plays a service that changes entries without a pause, as fast
// as it can, while looks go on. Metadata and data carry the same number.
func TestNoneIsTorn(t *testing.T) { noneIsTorn(t, t.TempDir(), 1000) }

func noneIsTorn(t *testing.T, dir string, changes int) {
	const entries = 5
	version := func(v int) (string, string) {
		s := strconv.Itoa(1000000 + v)
		return "title " + s, s + strings.Repeat("x", 20000) + s
	}
	for i := range entries {
		title, data := version(0)
		writePlain(t, dir, testUID(i), title, data)
	}
	setClean(t, dir, true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for v := 1; v <= changes; v++ {
			uid := testUID(v % entries)
			entry := filepath.Join(dir, uid.folder(), string(uid))
			title, data := version(v)
			setClean(t, dir, false)
			setProperty(t, entry, "title", title)
			setData(t, entry, data)
			setClean(t, dir, true)
			time.Sleep(time.Millisecond) // the service waits for calls, too
		}
	}()
	s := liveStore(t, dir)
	cache := filepath.Join(t.TempDir(), "cache")
	looked, seen := 0, map[string]bool{}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		tree := lookAt(t, s, LookOptions{Cache: cache})
		for uid := range tree.Entries() {
			e, _, err := ReadEntry(tree, uid)
			if err != nil {
				continue // it has changed since, and says so
			}
			number, _ := strings.CutPrefix(string(e.Metadata["title"]), "title ")
			v, err := strconv.Atoi(number)
			must(t, err)
			_, data := version(v - 1000000)
			if e.Data.SHA256 != sumOf(data) {
				t.Fatalf("look %d: metadata of version %s beside other data", looked, number)
			}
			seen[string(uid)+number] = true
		}
		looked++
	}
	t.Logf("%d looks at %d changes saw %d versions, none torn", looked, changes, len(seen))
	if len(seen) < 2*entries {
		t.Error("that is too few to prove anything")
	}
	tree := lookAt(t, s, LookOptions{Cache: cache})
	for v := changes - entries + 1; v <= changes; v++ {
		title, data := version(v)
		e, _, err := VerifyEntry(tree, testUID(v%entries))
		if err != nil || string(e.Metadata["title"]) != title || e.Data.SHA256 != sumOf(data) {
			t.Errorf("in the end: version %d: %v", v, err)
		}
	}
}
