package datastore

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// BenchmarkLook: 1,000 entries of 21 files, 20 MB. The first look has no cache
// file and hashes everything; the second finds nothing changed.
func BenchmarkLook(b *testing.B) {
	dir, cache := b.TempDir(), filepath.Join(b.TempDir(), "cache")
	big(b, dir, 1000)
	age(b, dir)
	s := openStore(b, dir)
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			os.Remove(cache)
			lookAt(b, s, LookOptions{Cache: cache})
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		b.ReportAllocs()
		lookAt(b, s, LookOptions{Cache: cache})
		for b.Loop() {
			lookAt(b, s, LookOptions{Cache: cache})
		}
	})
	b.Run("read-all", func(b *testing.B) {
		b.ReportAllocs()
		tree := lookAt(b, s, LookOptions{Cache: cache})
		for b.Loop() {
			_ = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					_, err = fs.ReadFile(tree, path)
				}
				return err
			})
		}
	})
}

// TestTreeIsSmall: a tree of 5,000 entries stays within a few megabytes.
func TestTreeIsSmall(t *testing.T) {
	records := make([]*record, 5000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range records {
		records[i] = &record{uid: testUID(i), state: state{data: stamp{size: 1}}}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := after.HeapAlloc - before.HeapAlloc; got > 3<<20 {
		t.Errorf("5,000 entries take %d bytes", got)
	}
	runtime.KeepAlive(records)
}
