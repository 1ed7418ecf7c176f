package index_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index"
)

// TestBadQueries: what cannot be meant is an error that names the key.
func TestBadQueries(t *testing.T) {
	for key, values := range map[string][]any{
		"limit":         {-1, int64(math.MaxInt64), "many", 1e300, []string{"1"}, nil},
		"offset":        {-5, "", uint64(math.MaxUint64)},
		"timestamp":     {"yesterday", []any{1}, []any{1, 2, 3}, []any{"a", "b"}, map[string]any{"start": "x"}, []string{"1", "x"}},
		"filesize":      {"1.5", []byte("x")[:0:0]},
		"creation_time": {map[string]string{"start": "1"}},
		"order_by":      {5, []int{1}},
		"activity":      {3.5, map[string]any{}, []any{[]any{}}},
		"query":         {[]string{"a"}, map[string]any{}},
	} {
		for _, value := range values {
			if b, ok := value.([]byte); ok && len(b) == 0 {
				continue // an empty list: nothing is in it
			}
			_, err := index.ParseQuery(map[string]any{key: value})
			if err == nil || !strings.HasPrefix(err.Error(), key+": ") || len(err.Error()) > 200 {
				t.Errorf("%s: %v: %v", key, value, err)
			}
		}
	}
	for key, value := range map[string]any{"limit": "7", "offset": uint64(3), "timestamp": "1700000000", "filesize": []any{"1", int32(5)}, "unknown": map[string]int{}, "order_by": "+title", "keep": true} {
		if _, err := index.ParseQuery(map[string]any{key: value}); err != nil {
			t.Errorf("%s: %v: %v", key, value, err)
		}
	}
}

// TestLargeQueries: what is out of all proportion is answered all the same.
func TestLargeQueries(t *testing.T) {
	j, _, _ := raw(t, 50)
	for name, text := range map[string]string{
		"a million characters":   strings.Repeat("turtle ", 150_000),
		"one word":               strings.Repeat("t", 1<<20),
		"a thousand wildcards":   strings.Repeat("t* ", 1000) + "*",
		"each letter, for ever":  strings.Repeat("a* b* c* d* e* f* ", 2000),
		"brackets":               strings.Repeat("(", 1<<20) + "turtle",
		"brackets and operators": strings.Repeat("(turtle XOR ", 1<<16) + "art",
		"a long phrase":          `"` + strings.Repeat("my drawing ", 50_000) + `"`,
		"operators":              strings.Repeat("turtle AND ", 50_000) + "art",
		"bytes":                  strings.Repeat("\xff\xfe\x00", 1<<18),
	} {
		if _, total := find(t, j, map[string]any{"query": text}); total > 50 {
			t.Errorf("%s: %d", name, total)
		}
	}
	if uids, total := find(t, j, map[string]any{"limit": math.MaxInt32, "offset": math.MaxInt32}); len(uids) != 0 || total != 50 {
		t.Errorf("%d of %d", len(uids), total)
	}
	if uids, total := find(t, j, map[string]any{"limit": 0}); len(uids) != 0 || total != 50 {
		t.Errorf("%d of %d", len(uids), total)
	}
}

// FuzzFind: no text breaks a search.
func FuzzFind(f *testing.F) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, text := range texts {
		f.Add(text)
	}
	for range 50 {
		f.Add(someText(r, 0))
	}
	j, _, _ := raw(f, 40)
	f.Fuzz(func(t *testing.T, text string) {
		q, err := index.ParseQuery(map[string]any{"query": text})
		if err != nil {
			t.Fatal(err)
		}
		if _, total, err := j.Find(t.Context(), q); err != nil || total > 40 {
			t.Errorf("%d, %v", total, err)
		}
	})
}

// TestHostileList: entries full of words, as a hostile school server may list them,
// take as much memory as the laptop has.
func TestHostileList(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	most := uint64(0)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	entries := func(yield func(*index.Entry, error) bool) {
		for n := range 30 {
			var b strings.Builder
			for b.Len() < 900<<10 {
				fmt.Fprintf(&b, "%x ", r.Uint32())
			}
			e := &index.Entry{UID: datastore.UID(fmt.Sprintf("%036d", n)), Properties: map[string]string{"title": "hostile", "description": b.String()}}
			if !yield(e, nil) {
				return
			}
			var now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
		}
	}
	dir := t.TempDir() + "/index"
	must(t, index.Build(t.Context(), dir, "", entries))
	x, err := index.Open(dir)
	must(t, err)
	defer x.Close()
	q, err := index.ParseQuery(map[string]any{"query": "hostile", "limit": 3})
	must(t, err)
	if page, total, err := x.Find(t.Context(), q); err != nil || total != 30 || len(page) != 3 {
		t.Errorf("%d of %d, %v", len(page), total, err)
	}
	if most > 100<<20 {
		t.Errorf("%d MiB of memory", most>>20)
	}
	t.Logf("%d MiB of memory", most>>20)
}
