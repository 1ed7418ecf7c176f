package xsclient

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bundleIn reads a bundle.
func bundleIn(t *testing.T, path string) (files map[string]string) {
	t.Helper()
	z, err := zip.OpenReader(path)
	must(t, err)
	defer z.Close()
	files = map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		must(t, err)
		b, err := io.ReadAll(r)
		must(t, err)
		files[f.Name] = string(b)
	}
	return files
}

// An entry is the same file whether it comes from the Journal here or from school,
// and takes the place of an older file at once.
func TestExportEntry(t *testing.T) {
	old, uids := rawJournal(t, 3, 1)
	must(t, os.Truncate(filepath.Join(old, uids[1][:2], uids[1], "data"), 9<<20))
	s := newSchool(t, old)
	p := newPupil(t, s, old)
	t.Cleanup(p.Close)
	dir := t.TempDir()
	for _, uid := range uids {
		here, there := filepath.Join(dir, "my drawing.xoj"), filepath.Join(dir, "there\n.xoj")
		must(t, os.WriteFile(there, []byte("an older one"), 0o644))
		for path, snapshot := range map[string]string{here: "", there: s.snap.ID} {
			result, err := p.ExportEntry(t.Context(), snapshot, uid, path, p.progress)
			must(t, err)
			if result.Partial || result.Entries != 1 || result.Snapshot.ID != snapshot || result.Bytes == 0 || strings.Contains(result.Message, "\n") {
				t.Errorf("%+v", result)
			}
		}
		a, b := must1(os.ReadFile(here))(t), must1(os.ReadFile(there))(t)
		if !bytes.Equal(a, b) {
			t.Errorf("%d bytes from here, %d from school", len(a), len(b))
		}
		data := must1(os.ReadFile(filepath.Join(old, uid[:2], uid, "data")))(t)
		if files := bundleIn(t, here); files[uid+"/"+uid] != string(data) {
			t.Errorf("%d files", len(files))
		}
	}
	if left := listing(t, dir); len(left) != 3 {
		t.Errorf("in the folder: %v", left)
	}
	if len(s.restores) > 0 || p.service.held > 0 {
		t.Error("a restore was made of it")
	}
	p.untouched()
	p.holds(old)
}

// What Sugar could not read of an entry is named.
func TestExportOfWhatIsNoText(t *testing.T) {
	old, uids := rawJournal(t, 1, 1)
	must(t, os.WriteFile(filepath.Join(old, uids[0][:2], uids[0], "metadata", "tags"), []byte("caf\xe9"), 0o644))
	p := newPupil(t, newSchool(t, old), old)
	result, err := p.ExportEntry(t.Context(), "", uids[0], filepath.Join(t.TempDir(), "a.xoj"), silent)
	must(t, err)
	if !result.Partial || len(result.Skipped) != 1 || !strings.Contains(result.Message, "(tags)") {
		t.Errorf("%+v", result)
	}
}

// Where a file cannot be, none is; what is there stays, and is not followed.
func TestExportTargets(t *testing.T) {
	old, uids := rawJournal(t, 1, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, old)
	t.Cleanup(p.Close)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "precious"), []byte("precious"), 0o600))
	must(t, os.Symlink("precious", filepath.Join(dir, "link")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	must(t, exec.Command("mkfifo", filepath.Join(dir, "pipe")).Run())
	before := listing(t, dir)
	for _, path := range []string{
		"", "a.xoj", "./a.xoj", "../a.xoj", "~/a.xoj", "/", dir + "/", dir, dir + "/.", dir + "/..", dir + "/folder", dir + "/folder/..",
		dir + "/none/a.xoj", dir + "/precious/a.xoj", dir + "/link", dir + "/dangling", dir + "/pipe", dir + "/a\x00b",
		"/dev/null", "/proc/a.xoj", dir + "/" + strings.Repeat("long", 100),
	} {
		for _, snapshot := range []string{"", s.snap.ID} {
			_, err := p.ExportEntry(t.Context(), snapshot, uids[0], path, silent)
			var e *Error
			if !errors.As(err, &e) || e.Code != InvalidArgument && e.Code != Failed && e.Code != DiskFull {
				t.Errorf("%.60q: %v", path, err)
			}
		}
		unchanged(t, "the folder", before, listing(t, dir))
	}
}

func TestExportErrors(t *testing.T) {
	old, uids := rawJournal(t, 2, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, old)
	t.Cleanup(p.Close)
	target := filepath.Join(t.TempDir(), "a.xoj")
	export := func(snapshot, uid string) error {
		_, err := p.ExportEntry(t.Context(), snapshot, uid, target, p.progress)
		return err
	}
	nobody := strings.Repeat("0", 36)
	wantCode(t, export("", nobody), NoEntry)
	wantCode(t, export(s.snap.ID, nobody), NoEntry)
	wantCode(t, export("", "../x"), InvalidArgument)
	wantCode(t, export("2020-01-01T00-00-00Z", uids[0]), NoSnapshot)
	wantCode(t, export("x", uids[0]), NoSnapshot)
	must(t, os.WriteFile(p.place(uids[0])+"/metadata/uid", []byte("x"), 0o644))
	wantCode(t, export("", uids[0]), Damaged)
	s.peer.set(func() { s.tree = damagedTree(t, s.tree, uids[1]) })
	wantCode(t, export(s.snap.ID, uids[1]), Damaged)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, snapshot := range []string{"", s.snap.ID} {
		if _, err := p.ExportEntry(ctx, snapshot, uids[1], target, p.progress); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	must(t, os.RemoveAll(p.journal))
	wantCode(t, export("", uids[0]), NoEntry)
	if left := listing(t, filepath.Dir(target)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// A stick that is full, and a laptop of which 50 MiB stay free: said so, nothing is
// left there, and what was there stays.
func TestExportToAFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	large(t, dir, 9<<20)
	s := newSchool(t, dir)
	p := newPupil(t, s, dir)
	t.Cleanup(p.Close)
	stick := filepath.Join(t.TempDir(), "stick")
	must(t, os.Mkdir(stick, 0o755))
	smallDisk(t, stick, "size=9500k") // the file fits, what stands around it does not
	target := filepath.Join(stick, "a.xoj")
	must(t, os.WriteFile(target, []byte("an older one"), 0o644))
	must(t, os.WriteFile(filepath.Join(stick, "ballast"), make([]byte, 9500<<10-9<<20-4<<10), 0o644))
	before := listing(t, stick)
	for range 2 {
		for _, snapshot := range []string{"", s.snap.ID} {
			_, err := p.ExportEntry(t.Context(), snapshot, largeUID, target, silent)
			if e := wantCode(t, err, DiskFull); !strings.Contains(e.Message, stick) {
				t.Error(e)
			}
			unchanged(t, "the stick", before, listing(t, stick))
		}
		must(t, os.WriteFile(filepath.Join(stick, "ballast"), make([]byte, 9500<<10-9<<20), 0o644)) // and not even that
		before = listing(t, stick)
	}
	must(t, os.Remove(filepath.Join(stick, "ballast")))
	_, err := p.ExportEntry(t.Context(), "", largeUID, target, silent)
	must(t, err)

	small := filepath.Join(t.TempDir(), "small")
	must(t, os.Mkdir(small, 0o755))
	smallDisk(t, small, "size=58m")
	p.cfg.Profile.Dir, p.journal = filepath.Join(small, "profile"), filepath.Join(small, "profile/datastore")
	must(t, os.MkdirAll(p.cfg.Profile.Dir, 0o755))
	_, err = p.ExportEntry(t.Context(), s.snap.ID, largeUID, filepath.Join(small, "a.xoj"), silent)
	wantCode(t, err, DiskFull)
}

// An entry that changes all the time is written as it was at one moment, or not
// at all.
func TestExportOfWhatChanges(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	large(t, dir, 1<<20)
	p := newPupil(t, newSchool(t, dir), dir)
	entry := p.place(largeUID)
	change := func(n int) error { // the whole entry, in one step
		next := filepath.Join(filepath.Dir(entry), "next")
		return errors.Join(os.MkdirAll(next+"/metadata", 0o755),
			os.WriteFile(next+"/metadata/title", fmt.Append(nil, n), 0o644),
			os.WriteFile(next+"/data", bytes.Repeat(fmt.Appendf(nil, "%08d", n), 1<<17), 0o644),
			os.Rename(entry, entry+".old"), os.Rename(next, entry), os.RemoveAll(entry+".old"))
	}
	must(t, change(0))
	stop, stopped := make(chan bool), make(chan error)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := change(n); err != nil {
				stopped <- err
				return
			}
		}
	}()
	target, written := filepath.Join(t.TempDir(), "a.xoj"), 0
	for range 30 {
		_, err := p.ExportEntry(t.Context(), "", largeUID, target, silent)
		if err != nil {
			continue
		}
		written++
		files := bundleIn(t, target)
		data := files[largeUID+"/"+largeUID]
		if number := strings.TrimLeft(data[:7], "0") + data[7:8]; !strings.Contains(files[largeUID+"/_metadata.json"], `"title": "`+number+`"`) ||
			data != strings.Repeat(data[:8], 1<<17) {
			t.Errorf("torn: %q beside %q", files[largeUID+"/_metadata.json"], data[:8])
		}
	}
	close(stop)
	must(t, <-stopped)
	t.Logf("%d of 30 were written", written)
	if _, err := p.ExportEntry(t.Context(), "", largeUID, target, silent); err != nil {
		t.Error(err)
	}
}
