package store

import (
	"crypto/rand"
	"fmt"
	"testing"
)

// benchTree is the Journal of the figures: 1,000 entries, about 20 MB.
func benchTree() journalTree {
	t := journalTree{}
	t.journal()
	for i := range 1000 {
		data := make([]byte, 20<<10)
		rand.Read(data)
		t.entry(i, fmt.Sprintf("entry %d %02000d", i, i), data)
	}
	return t
}

// What a backup costs besides the transfer.
func BenchmarkTake(b *testing.B) {
	for name, change := range map[string]func(t journalTree, i int){
		"first": nil,
		"10 changed": func(t journalTree, i int) {
			for n := range 10 {
				t.entry(n, fmt.Sprintf("changed %d", i), fmt.Appendf(nil, "new %d %d", i, n))
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			f := testFolder(b, testStore(b, b.TempDir()))
			tree := benchTree()
			if change != nil {
				mustBackup(b, f, tree)
			}
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				if change != nil {
					change(tree, i)
				} else {
					f = testFolder(b, testStore(b, b.TempDir()))
				}
				l, err := f.Lock()
				if err != nil {
					b.Fatal(err)
				}
				if err := tree.rsync(l.CurrentPath()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := l.Prepare(tree.digest()); err != nil {
					b.Fatal(err)
				}
				taken, err := l.Take(b.Context(), Offer{Digest: tree.digest()}, func(int, int) {})
				if err != nil || taken.Confirmed {
					b.Fatal(taken, err)
				}
				b.StopTimer()
				l.Unlock()
				b.StartTimer()
			}
		})
	}
}
