package datastore

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func sumOf(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// image is an ext4 file system of its own, whose power can be cut.
type image struct {
	t          testing.TB
	file, path string
}

func newImage(t testing.TB, megabytes int64, options ...string) *image {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may mount")
	}
	dir := t.TempDir()
	i := &image{t: t, file: filepath.Join(dir, "image"), path: filepath.Join(dir, "mount")}
	must(t, os.Mkdir(i.path, 0o755))
	must(t, os.WriteFile(i.file, nil, 0o644))
	must(t, os.Truncate(i.file, megabytes<<20))
	i.run("mkfs.ext4", append([]string{"-q", "-F"}, append(options, i.file)...)...)
	if out, err := exec.Command("mount", "-o", "loop", i.file, i.path).CombinedOutput(); err != nil {
		t.Skipf("mounting is refused here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", i.path).Run() })
	return i
}

func (i *image) run(name string, args ...string) {
	i.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		i.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// cut cuts the power: what is not synced is gone. Then the machine starts again.
func (i *image) cut() {
	i.t.Helper()
	i.run("xfs_io", "-x", "-c", "shutdown", i.path)
	i.run("umount", i.path)
	i.run("mount", "-o", "loop", i.file, i.path)
}

// TestCoarseStamps: a file system with stamps of a whole second, that gives a
// new file the inode of one just removed.
func TestCoarseStamps(t *testing.T) {
	i := newImage(t, 64, "-I", "128")
	noneIsTorn(t, i.path, 1000)

	dir, cache := filepath.Join(i.path, "again"), filepath.Join(t.TempDir(), "cache")
	uid := testUID(1)
	entry := writePlain(t, dir, uid, "title 0000", "version 0000")
	s := openStore(t, dir)
	for n := range 300 {
		title, data := fmt.Sprintf("title %04d", n), fmt.Sprintf("version %04d", n)
		setProperty(t, entry, "title", title)
		must(t, os.Remove(entry+"/data"))
		must(t, os.WriteFile(entry+"/data", []byte(data), 0o644))
		e, _, err := VerifyEntry(lookAt(t, s, LookOptions{Cache: cache}), uid)
		must(t, err)
		if string(e.Metadata["title"]) != title || e.Data.SHA256 != sumOf(data) {
			t.Fatalf("look %d is of older bytes: %s", n, e.Metadata["title"])
		}
	}
}
