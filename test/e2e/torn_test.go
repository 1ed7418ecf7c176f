package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Entries change through DataStore.update, hundreds of times, while backups
// run: no snapshot holds metadata of one version with data of another.
func TestChangesDuringBackups(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	const entries, updates = 30, 400
	version := func(i int) bed.Sample {
		// The sizes are often the same, and the data is longer than a pipe.
		data := bytes.Repeat(fmt.Appendf(nil, "%08d", i), 20_000+i%3)
		return bed.Sample{Props: map[string][]byte{"title": fmt.Appendf(nil, "%08d", i), "mime_type": []byte("text/plain")}, Data: data}
	}
	var uids []string
	for i := range entries {
		uid, err := x.Create(t.Context(), version(i))
		must(t, err)
		uids = append(uids, uid)
	}

	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		defer stop()
		for i := range updates {
			if err := x.Update(t.Context(), uids[i*7%entries], version(1000+i)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	backups := 0
	for ctx.Err() == nil {
		r := job(t, x, "Backup")
		if r.Result != "done" && r.Result != "partial" {
			t.Errorf("backup %d: %s %s %s", backups, r.Result, r.ErrorName, r.Message)
		}
		backups++
	}
	writer.Wait()
	must(t, x.Settle(t.Context()))
	done(t, x, "Backup")

	dirs := snapshotDirs(t, s)
	t.Logf("%d backups, %d snapshots", backups, len(dirs))
	if len(dirs) < 3 {
		t.Errorf("only %d snapshots: the backups did not run beside the updates", len(dirs))
	}
	for _, dir := range dirs {
		untorn(t, dir)
	}
	last := dirs[len(dirs)-1]
	for uid, e := range onDisk(t, x) {
		kept, _, err := datastore.ReadEntry(os.DirFS(last), datastore.UID(uid))
		if err != nil || !bytes.Equal(kept.Metadata["title"], e.Props["title"]) {
			t.Errorf("the last backup is not of the last version of %s: %v", uid, err)
		}
	}
}

// untorn checks that each entry's data is that of its title.
func untorn(t *testing.T, dir string) {
	t.Helper()
	root := os.DirFS(dir)
	uids, err := datastore.UIDs(root)
	must(t, err)
	for _, uid := range uids {
		e, _, err := datastore.ReadEntry(root, uid)
		must(t, err)
		r, err := datastore.OpenData(root, e)
		must(t, err)
		data, err := io.ReadAll(r)
		r.Close()
		must(t, err)
		title := string(e.Metadata["title"])
		if len(data) == 0 || strings.ReplaceAll(string(data), title, "") != "" {
			t.Errorf("%s: %s: title %s stands beside data %.20q…", filepath.Base(dir), uid, title, data)
		}
	}
}
