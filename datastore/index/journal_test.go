package index_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index"
	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// follow hands on what Sugar's datastore says, as the daemon does.
func (b *both) follow() {
	b.t.Helper()
	conn, err := dbus.Connect(b.x.Address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if uid, ok := service.Changed(m); ok {
			b.journal.Changed(uid)
		} else if service.Restarted(m) {
			b.journal.Stale()
		}
	}))
	must(b.t, err)
	b.t.Cleanup(func() { conn.Close() })
	must(b.t, service.New(conn).Follow(b.t.Context()))
	b.told = func() { // what was sent before has been heard then
		must(b.t, conn.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err)
	}
}

// all compares every order, so that a difference in anything shows.
func (b *both) all(when string) {
	b.t.Helper()
	for _, order := range []string{"+timestamp", "-timestamp", "+title", "+filesize", "-creation_time"} {
		b.same(map[string]any{"order_by": []string{order}})
	}
	for _, text := range []string{"turtle*", "changed", "made", "canción", "keep:1"} {
		b.same(map[string]any{"query": text})
	}
	if b.t.Failed() {
		b.t.Fatal(when)
	}
}

func sampleOf(title string, timestamp int) bed.Sample {
	return bed.Sample{Props: map[string][]byte{
		"title": []byte(title), "timestamp": fmt.Append(nil, timestamp), "creation_time": []byte("1600000000"), "keep": []byte("1"), "activity": []byte("org.laptop.Made"),
	}}
}

// TestFollows: what Sugar's datastore makes, changes and deletes is found at once,
// in its order, whether its signals are heard or not, and over the end of the
// index.
func TestFollows(t *testing.T) {
	for _, heard := range []bool{true, false} {
		t.Run(fmt.Sprintf("heard %v", heard), func(t *testing.T) {
			b, uids := newBoth(t, 60)
			b.told = func() {}
			if heard {
				b.follow()
			}
			b.all("at first")
			r := rand.New(rand.NewPCG(5, 6))
			for n := range 60 {
				when := fmt.Sprintf("step %d", n)
				switch r.IntN(5) {
				case 0:
					uid, err := b.x.Create(t.Context(), sampleOf("made "+words[r.IntN(len(words))], 1_700_000_000+r.IntN(9)))
					must(t, err)
					uids = append(uids, uid)
				case 1:
					i := r.IntN(len(uids))
					must(t, b.x.Delete(t.Context(), uids[i]))
					uids = append(uids[:i], uids[i+1:]...)
				case 2:
					must(t, b.journal.Close())
					when += ", closed"
				default:
					for range 1 + r.IntN(3) {
						must(t, b.x.Update(t.Context(), uids[r.IntN(len(uids))], sampleOf("changed "+words[r.IntN(len(words))], 1_700_000_000+r.IntN(9))))
					}
				}
				b.told()
				b.all(when)
			}
			if heard { // with an index of another order
				must(t, b.x.StopService(t.Context(), bed.DataStoreName))
				must(t, os.Remove(filepath.Join(b.x.Datastore, "index_updated")))
				_, err := b.x.Find(t.Context())
				must(t, err)
				b.await()
				b.told()
				b.journal.Stale() // when it has begun the order is not the last one yet
				b.all("Sugar's index built anew")
			}
			got, err := b.journal.Activities(t.Context())
			must(t, err)
			var want []string
			must(t, b.x.DataStore().Call(bed.DataStoreName+".get_uniquevaluesfor", 0, "activity", map[string]dbus.Variant{}).Store(&want))
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("activities %v, want %v", got, want)
			}
		})
	}
}

// raw is the index of a Journal on disk that no Sugar runs on.
func raw(t testing.TB, n int) (journal *index.Journal, dir, indexDir string) {
	t.Helper()
	dir, indexDir = t.TempDir(), filepath.Join(t.TempDir(), "index")
	layOut(t, dir, n, rand.New(rand.NewPCG(7, 8)))
	return open(t, dir, indexDir), dir, indexDir
}

func open(t testing.TB, dir, indexDir string) *index.Journal {
	j := index.NewJournal(indexDir, func() (*datastore.Store, error) { return datastore.Open(dir, nil) },
		func(context.Context) []datastore.UID { return nil })
	t.Cleanup(func() { j.Close() })
	return j
}

func find(t testing.TB, j *index.Journal, query map[string]any) (uids []datastore.UID, total int) {
	t.Helper()
	q, err := index.ParseQuery(query)
	must(t, err)
	hits, total, err := j.Find(t.Context(), q)
	must(t, err)
	for _, h := range hits {
		uids = append(uids, h.UID)
	}
	return uids, total
}

// TestDamagedIndex: whatever happens to its files, an index either is what it was or
// does not open, and the Journal's is built anew.
func TestDamagedIndex(t *testing.T) {
	j, dir, at := raw(t, 80)
	want, _ := find(t, j, nil)
	turtles, _ := find(t, j, map[string]any{"query": "turtle"})
	must(t, j.Close())
	if len(want) != 80 || len(turtles) == 0 || len(turtles) == 80 {
		t.Fatalf("%d, %d turtles", len(want), len(turtles))
	}
	files, err := os.ReadDir(at)
	must(t, err)
	r := rand.New(rand.NewPCG(9, 10))
	damage := map[string]func(path string) error{
		"a bit": func(path string) error {
			b, err := os.ReadFile(path)
			if err == nil {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
				err = os.WriteFile(path, b, 0o600)
			}
			return err
		},
		"cut short": func(path string) error {
			info, err := os.Stat(path)
			if err == nil {
				err = os.Truncate(path, r.Int64N(info.Size()))
			}
			return err
		},
		"empty":  func(path string) error { return os.Truncate(path, 0) },
		"gone":   os.Remove,
		"folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"beside": func(path string) error { return os.WriteFile(path+".more", []byte("x"), 0o600) },
	}
	for _, f := range files {
		for name, spoil := range damage {
			must(t, spoil(filepath.Join(at, f.Name())))
			if x, err := index.Open(at); !errors.Is(err, index.ErrUnusable) {
				t.Errorf("%s, %s: %v", f.Name(), name, err)
				if err == nil {
					x.Close()
				}
			}
			j := open(t, dir, at)
			got, _ := find(t, j, nil)
			some, _ := find(t, j, map[string]any{"query": "turtle"})
			if fmt.Sprint(got, some) != fmt.Sprint(want, turtles) {
				t.Errorf("%s, %s: %d entries, %d turtles", f.Name(), name, len(got), len(some))
			}
			must(t, j.Close())
			if _, err := os.Stat(at + ".new"); err == nil {
				t.Errorf("%s, %s: something is left over", f.Name(), name)
			}
		}
	}

	// One that was not closed, as after a power cut.
	j = open(t, dir, at)
	find(t, j, nil)
	uid := want[3]
	must(t, os.WriteFile(filepath.Join(dir, string(uid[:2]), string(uid), "metadata", ".title"), []byte("tortoise"), 0o644))
	must(t, os.Rename(filepath.Join(dir, string(uid[:2]), string(uid), "metadata", ".title"), filepath.Join(dir, string(uid[:2]), string(uid), "metadata", "title")))
	if got, _ := find(t, j, map[string]any{"query": "tortoise"}); len(got) != 1 {
		t.Fatalf("%d tortoises", len(got))
	}
	copied := filepath.Join(t.TempDir(), "index")
	must(t, os.CopyFS(copied, os.DirFS(at)))
	x, err := index.Open(copied)
	must(t, err)
	must(t, x.Close())
	for range 2 {
		again := open(t, dir, copied)
		if got, _ := find(t, again, map[string]any{"query": "tortoise"}); len(got) != 1 {
			t.Errorf("after a power cut: %d tortoises", len(got))
		}
		must(t, again.Close())
	}
}

// TestManyChanges: what has changed is written once it is much, and nothing of it is
// asked for again then.
func TestManyChanges(t *testing.T) {
	j, dir, at := raw(t, 200)
	uids, _ := find(t, j, nil)
	must(t, os.WriteFile(dir+"/ds_clean", nil, 0o644))
	before, err := os.ReadFile(at + "/sums")
	must(t, err)
	for n, changes := range []int{3, 150} {
		for _, uid := range uids[:changes] {
			title := filepath.Join(dir, string(uid[:2]), string(uid), "metadata", "title")
			must(t, os.RemoveAll(title)) // not every entry has one
			must(t, os.WriteFile(title, fmt.Appendf(nil, "walrus%d", n), 0o644))
		}
		must(t, os.RemoveAll(filepath.Join(dir, string(uids[199-n][:2]), string(uids[199-n]))))
		j.Stale()
		for range 3 {
			found, _ := find(t, j, map[string]any{"query": fmt.Sprintf("walrus%d", n)})
			_, total := find(t, j, nil)
			if len(found) != changes || total != 199-n {
				t.Fatalf("%d changes: %d found, %d in all", changes, len(found), total)
			}
			must(t, j.Close())
			j = open(t, dir, at)
		}
		after, err := os.ReadFile(at + "/sums")
		must(t, err)
		if written := string(after) != string(before); written != (changes > 100) {
			t.Errorf("%d changes: written: %v", changes, written)
		}
	}
}

// TestOddEntries: what Sugar could not read is indexed as far as it goes.
func TestOddEntries(t *testing.T) {
	j, dir, _ := raw(t, 3)
	odd := map[string]map[string]string{
		"00000000-0000-4000-8000-000000000001": {"title": "without a time"},
		"00000000-0000-4000-8000-000000000002": {"title": "text for a time", "timestamp": "yesterday", "filesize": "large", "creation_time": ""},
		"00000000-0000-4000-8000-000000000003": {"title": "not UTF-8 \xff\xfe", "timestamp": "1", "\xffname": "value"},
		"00000000-0000-4000-8000-000000000004": {"title": "beyond 32 bits", "timestamp": "99999999999"},
		"00000000-0000-4000-8000-000000000005": {},
	}
	for uid, properties := range odd {
		metadata := filepath.Join(dir, uid[:2], uid, "metadata")
		must(t, os.MkdirAll(metadata, 0o755))
		for name, value := range properties {
			must(t, os.WriteFile(filepath.Join(metadata, name), []byte(value), 0o644))
		}
	}
	for text, want := range map[string]int{"without": 1, "yesterday": 0, "text": 1, "large": 1, "utf": 0, "beyond": 1} {
		if text == "text" {
			continue // of the others, too
		}
		if got, _ := find(t, j, map[string]any{"query": text}); len(got) != want {
			t.Errorf("%s: %v, want %d", text, got, want)
		}
	}
	uids, total := find(t, j, nil)
	if total < 6 || uids[0][:8] == "00000000" {
		t.Errorf("%d: %v", total, uids)
	}
}

// TestUnheardChanges: what nobody told is found, also beside what somebody did.
func TestUnheardChanges(t *testing.T) {
	b, uids := newBoth(t, 20)
	b.told = func() {}
	change := func(uid, title string, tell bool) {
		must(t, b.x.Update(t.Context(), uid, sampleOf(title, 1_700_000_000)))
		if tell {
			b.journal.Changed(datastore.UID(uid))
		}
	}
	b.all("at first")
	change(uids[0], "changed and told", true)
	must(t, b.journal.Close())
	change(uids[1], "changed while it is closed", false)
	change(uids[2], "changed, told when it is about to open", true)
	b.all("opened again")

	// As a restore that puts entries straight into the folder, which says so itself.
	change(uids[3], "changed without a word", false)
	must(t, b.x.Delete(t.Context(), uids[4]))
	b.journal.Stale()
	change(uids[5], "changed and told", true)
	b.all("stale")
}

// TestImpatientSearch: a search that cannot wait for the index to be built does not
// end that; the next one finds it built.
func TestImpatientSearch(t *testing.T) {
	j, _, _ := raw(t, 400)
	q, err := index.ParseQuery(nil)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := j.Find(ctx, q); !errors.Is(err, index.ErrBuilding) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if uids, total := find(t, j, nil); len(uids) != 400 || total != 400 {
		t.Errorf("%d of %d", len(uids), total)
	}
	must(t, j.Close())
}

// TestNothingToIndex: an empty Journal is searched like any other.
func TestNothingToIndex(t *testing.T) {
	dir, at := t.TempDir(), filepath.Join(t.TempDir(), "index")
	must(t, os.WriteFile(filepath.Join(dir, "version"), []byte("6"), 0o644))
	for range 2 {
		j := open(t, dir, at)
		if uids, total := find(t, j, map[string]any{"query": "turtle"}); len(uids)+total != 0 {
			t.Errorf("%v of %d", uids, total)
		}
		must(t, j.Close())
	}
	layOut(t, dir, 5, rand.New(rand.NewPCG(1, 1)))
	if _, total := find(t, open(t, dir, at), nil); total != 5 {
		t.Errorf("%d", total)
	}
}

// TestFullDisk: a full disk keeps nobody from finding what has changed; an index that
// has to be built says that there is no room, and the one before stays.
func TestFullDisk(t *testing.T) {
	small := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", small).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let us mount a small disk: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", small).Run() })
	dir := t.TempDir()
	uids := layOut(t, dir, 200, rand.New(rand.NewPCG(1, 1)))
	j := open(t, dir, filepath.Join(small, "index"))
	if _, total := find(t, j, nil); total != 200 {
		t.Fatalf("%d", total)
	}
	filler := filepath.Join(small, "filler")
	_ = os.WriteFile(filler, make([]byte, 2<<20), 0o600) // as much as there is
	title := filepath.Join(dir, uids[0][:2], uids[0], "metadata", "title")
	must(t, os.Remove(title))
	must(t, os.WriteFile(title, []byte("xylophone"), 0o644))
	q, err := index.ParseQuery(map[string]any{"query": "xylophone"})
	must(t, err)
	for range 2 {
		if hits, _, err := j.Find(t.Context(), q); err != nil || len(hits) != 1 {
			t.Errorf("%d, %v", len(hits), err)
		}
		must(t, j.Close())
	}
	if _, err := j.Rebuild(t.Context(), func(int) {}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("built on a full disk: %v", err)
	}
	if hits, _, err := j.Find(t.Context(), q); err != nil || len(hits) != 1 {
		t.Errorf("after that: %d, %v", len(hits), err)
	}
	must(t, os.Remove(filler))
	if got, _ := find(t, j, map[string]any{"query": "xylophone"}); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
