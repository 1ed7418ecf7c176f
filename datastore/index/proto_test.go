package index

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
)

func TestProto(t *testing.T) {
	root := "/tmp/j5000/.sugar/default/datastore"
	os.RemoveAll("/tmp/blevedb")
	j := NewJournal("/tmp/blevedb", func() (*datastore.Store, error) { return datastore.Open(root, nil) }, func(context.Context) []datastore.UID { return nil })
	start := time.Now()
	n, err := j.Rebuild(t.Context(), func(int) {})
	fmt.Println(n, err, time.Since(start))
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	t.Log("sys MB", ms.Sys>>20, "alloc total MB", ms.TotalAlloc>>20)
	for _, m := range []map[string]any{{}, {"limit": 20}, {"limit": 20, "mime_type": []string{"text/plain", "image/png"}}, {"limit": 20, "keep": "1"}} {
		q, err := ParseQuery(m)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			start = time.Now()
			page, total, err := j.Find(t.Context(), q)
			fmt.Println(len(page), total, err, time.Since(start))
		}
	}
	fmt.Println(j.Activities(t.Context()))
	start = time.Now()
	fmt.Println(j.Close(), time.Since(start))
	start = time.Now()
	q, _ := ParseQuery(map[string]any{"limit": 20})
	page, total, err := j.Find(t.Context(), q)
	fmt.Println(len(page), total, err, time.Since(start))
}
