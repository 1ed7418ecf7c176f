package index_test

import (
	"os"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// BenchmarkFind searches the Journal in XO_JOURNAL, or one of 2,000 entries, as
// somebody types.
func BenchmarkFind(b *testing.B) {
	dir := os.Getenv("XO_JOURNAL")
	j := open(b, dir, b.TempDir()+"/index")
	store, err := datastore.Open(dir, nil)
	must(b, err)
	for _, text := range []string{"draw*", "my dra*", "lorem tal*", "escuela*", "m*", "d*"} {
		query := map[string]any{"query": text, "limit": 20}
		uids, _ := find(b, j, query)
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				find(b, j, query)
			}
		})
		b.Run(text+" retrieve", func(b *testing.B) {
			for b.Loop() {
				for _, uid := range uids {
					if _, _, err := store.Retrieve(uid, []string{"activity", "activity_id", "buddies", "bundle_id", "creation_time", "filesize", "icon-color", "keep", "mime_type",
						"mountpoint", "mtime", "progress", "timestamp", "title", "uid"}); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
