package datastore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	want := map[UID]string{}
	next := 0
	damaged := func(reason string, spoil func(uid UID, entry string)) {
		next++
		uid := testUID(next)
		entry := writePlain(t, dir, uid, "title", "data")
		spoil(uid, entry)
		want[uid] = reason
	}
	rm := func(path string) { t.Helper(); must(t, os.RemoveAll(path)) }

	damaged("it has no metadata", func(_ UID, e string) { rm(e + "/metadata") })
	damaged("it has no metadata", func(_ UID, e string) { rm(e); must(t, os.Mkdir(e, 0o755)) })
	damaged("it has no metadata", func(_ UID, e string) { rm(e + "/metadata"); must(t, os.Mkdir(e+"/metadata", 0o755)) })
	damaged("it has no metadata", func(_ UID, e string) {
		rm(e + "/metadata")
		must(t, os.Mkdir(e+"/metadata", 0o755))
		must(t, os.WriteFile(e+"/metadata/.title", nil, 0o644))
	})
	damaged("metadata cannot be read", func(_ UID, e string) { rm(e); must(t, os.WriteFile(e, []byte("x"), 0o644)) })
	damaged("metadata is no folder", func(_ UID, e string) { rm(e + "/metadata"); must(t, os.WriteFile(e+"/metadata", nil, 0o644)) })
	damaged("metadata is no folder", func(_ UID, e string) { rm(e + "/metadata"); must(t, os.Symlink("/etc", e+"/metadata")) })
	damaged("data is no plain file", func(_ UID, e string) { rm(e + "/data"); must(t, os.Symlink("/etc/passwd", e+"/data")) })
	damaged("data is no plain file", func(_ UID, e string) { rm(e + "/data"); must(t, os.Mkdir(e+"/data", 0o755)) })
	damaged("data is no plain file", func(_ UID, e string) { rm(e + "/data"); must(t, unix.Mkfifo(e+"/data", 0o644)) })
	damaged(`"title" cannot be read`, func(_ UID, e string) {
		rm(e + "/metadata/title")
		must(t, os.Symlink("/etc/passwd", e+"/metadata/title"))
	})
	damaged(`"pipe" is no plain file`, func(_ UID, e string) { must(t, unix.Mkfifo(e+"/metadata/pipe", 0o644)) })
	damaged(`"folder" is no plain file`, func(_ UID, e string) { must(t, os.Mkdir(e+"/metadata/folder", 0o755)) })
	damaged(`"a\xff" cannot be the name`, func(_ UID, e string) { must(t, os.WriteFile(e+"/metadata/a\xff", nil, 0o644)) })
	damaged("its uid is", func(_ UID, e string) { must(t, os.WriteFile(e+"/metadata/uid", []byte(testUID(999)), 0o644)) })
	damaged("larger than 8 MiB", func(_ UID, e string) {
		must(t, os.WriteFile(e+"/metadata/big", nil, 0o644))
		must(t, os.Truncate(e+"/metadata/big", 1<<40))
	})
	damaged("larger than 8 MiB", func(_ UID, e string) {
		for i := range 3 {
			must(t, os.WriteFile(fmt.Sprintf("%s/metadata/big%d", e, i), make([]byte, 3<<20), 0o644))
		}
	})
	damaged("larger than 8 MiB", func(_ UID, e string) { // only as base64
		must(t, os.WriteFile(e+"/metadata/big", bytes.Repeat([]byte{0xff}, 7<<20), 0o644))
	})
	damaged("its data cannot be of", func(_ UID, e string) { must(t, os.Truncate(e+"/data", 1<<43)) })
	damaged(`in the folder "zz"`, func(uid UID, e string) {
		must(t, os.MkdirAll(dir+"/zz", 0o755))
		must(t, os.Rename(e, dir+"/zz/"+string(uid)))
	})
	damaged("its folder cannot be read", func(uid UID, e string) {
		must(t, os.Rename(e, filepath.Join(dir, "elsewhere"+string(uid))))
		must(t, os.Symlink(filepath.Join(dir, "elsewhere"+string(uid)), e))
	})
	if err := unix.Mknod(filepath.Join(dir, "probe"), unix.S_IFCHR|0o644, 0x0105); err == nil {
		damaged("data is no plain file", func(_ UID, e string) { // /dev/zero: it has no end
			rm(e + "/data")
			must(t, unix.Mknod(e+"/data", unix.S_IFCHR|0o644, 0x0105))
		})
	} else {
		t.Log("no devices can be made here")
	}
	if os.Getuid() != 0 {
		damaged("permission denied", func(_ UID, e string) { must(t, os.Chmod(e+"/data", 0)) })
		damaged("permission denied", func(_ UID, e string) { must(t, os.Chmod(e+"/metadata/title", 0)) })
	}
	// Names that are no uids, where Sugar's datastore sees entries.
	strange := "not a uid, but of thirty-six letters"
	must(t, os.MkdirAll(filepath.Join(dir, "no", strange), 0o755))
	// A folder that leads elsewhere.
	must(t, os.Symlink("/etc", filepath.Join(dir, "ln")))
	// Things that are none of our business.
	must(t, os.WriteFile(filepath.Join(dir, "xx"), nil, 0o644))
	must(t, os.MkdirAll(filepath.Join(dir, "index", strings.Repeat("i", 36)), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "aa", "short"), 0o755))

	good := testUID(5000)
	writePlain(t, dir, good, "good", "data")
	both := testUID(5001) // there, and once more where it does not belong
	writePlain(t, dir, both, "good", "data")
	must(t, os.CopyFS(filepath.Join(dir, "zz", string(both)), os.DirFS(filepath.Join(dir, both.folder(), string(both)))))

	start := time.Now()
	tree := lookAt(t, openStore(t, dir), LookOptions{})
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	got := map[UID]string{}
	for _, d := range tree.Summary().Damaged {
		got[d.UID] = d.Reason
	}
	for uid, reason := range want {
		if !strings.Contains(got[uid], reason) {
			t.Errorf("%s: %q, want %q", uid, got[uid], reason)
		}
		delete(got, uid)
		_, err := openStore(t, dir).Entry(t.Context(), uid)
		var d *DamagedError
		if !errors.As(err, &d) && !(errors.Is(err, fs.ErrNotExist) && strings.Contains(reason, "zz")) {
			t.Errorf("%s, %s: Entry: %v", uid, reason, err)
		}
	}
	if !strings.Contains(got[UID(strange)], "is not a uid") || got["ln"] == "" || len(got) != 2 {
		t.Errorf("damaged as well: %v", got)
	}
	if s := tree.Summary(); s.Entries != 2 || s.Files != 5 {
		t.Errorf("%d entries, %d files", s.Entries, s.Files)
	}
	j, err := ReadJournal(tree)
	must(t, err)
	if !slices.Equal(j.Kept, slices.Sorted(maps.Keys(want))) {
		t.Errorf("kept %v", j.Kept)
	}
}

// TestUnreadableFolder: what was known of it is kept.
func TestUnreadableFolder(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	writePlain(t, dir, testUID(1), "x", "y")
	writePlain(t, dir, testUID(2), "x", "y")
	s := openStore(t, dir)
	lookAt(t, s, LookOptions{Cache: cache})
	folder := filepath.Join(dir, testUID(1).folder())
	must(t, os.Rename(folder, filepath.Join(dir, "away")))
	must(t, os.Symlink("loop", folder)) // root reads anything else
	check := func(o LookOptions, kept []UID) {
		t.Helper()
		tree := lookAt(t, s, o)
		j, err := ReadJournal(tree)
		must(t, err)
		if !slices.Equal(j.Kept, kept) || tree.Summary().Entries != 1 || len(tree.Summary().Damaged) != 1+len(kept) {
			t.Errorf("%+v: kept %v, %+v", o, j.Kept, tree.Summary())
		}
	}
	for range 3 {
		check(LookOptions{Cache: cache}, []UID{testUID(1)})
	}
	// Without a cache only others know.
	check(LookOptions{}, nil)
	also := UID(testUID(1).folder() + string(testUID(9))[2:])
	known := LookOptions{Known: []UID{testUID(2), also, testUID(1), testUID(7)}}
	check(known, []UID{testUID(1), also})
	must(t, os.Remove(folder))
	must(t, os.Rename(filepath.Join(dir, "away"), folder))
	known.Cache = cache
	if sum := lookAt(t, s, known).Summary(); sum.Entries != 2 || len(sum.Damaged) != 0 {
		t.Errorf("mended: %+v", sum)
	}
}
