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
	"time"

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

// A change of the same size within the same second as the one before it, with a
// backup between the two, is not missed: neither by the look at the Journal nor
// by rsync, which both go by sizes and times.
func TestSameSizeSameSecond(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	uid := create(t, x, "0000")["0000"]
	data := filepath.Join(x.Datastore, uid[:2], uid, "data")
	done(t, x, "Backup")
	for try := range 50 { // until a backup fits between two changes of one second
		var second [2]int64
		for i, title := range []string{fmt.Sprintf("%04d", 2*try+1), fmt.Sprintf("%04d", 2*try+2)} {
			must(t, x.Update(t.Context(), uid, work(title)))
			st, err := os.Stat(data)
			must(t, err)
			second[i] = st.ModTime().Unix()
			done(t, x, "Backup")
			holdsAtSchool(t, s, 2*try+i+2, uid, title+": data of "+title)
		}
		if second[0] == second[1] {
			return
		}
	}
	t.Skip("this machine makes no two changes and a backup within a second")
}

// The same where even the file's time is the very same, as on a file system that
// counts in seconds, or where an activity sets it.
func TestSameSizeSameTime(t *testing.T) {
	rows(t, func(t *testing.T, x *bed.XO, s *bed.XS, before func()) {
		uid := create(t, x, "0000")["0000"]
		data := filepath.Join(x.Datastore, uid[:2], uid, "data")
		noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		before()
		for i, text := range []string{"data of 0000", "data of 1111", "data of 2222"} {
			must(t, os.WriteFile(data, []byte(text), 0o644))
			must(t, os.Chtimes(data, noon, noon))
			done(t, x, "Backup")
			holdsAtSchool(t, s, i+1, uid, "0000: "+text)
		}
	})
}

// holdsAtSchool checks how many snapshots there are, and what the latest has of an
// entry.
func holdsAtSchool(t *testing.T, s *bed.XS, n int, uid, want string) {
	t.Helper()
	dirs := snapshotDirs(t, s)
	got := inSnapshot(t, os.DirFS(filepath.Join(account(t, s), "latest")), uid)
	if len(dirs) != n || got != want {
		t.Fatalf("the latest of %d snapshots has %q, not the latest of %d %q", len(dirs), got, n, want)
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
