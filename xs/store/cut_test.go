package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func mkfifo(name string) error { return unix.Mkfifo(name, 0o644) }

// steps of making a snapshot, in order.
var steps = []string{"pinned", "begun", "half linked", "linked", "manifest written", "record written", "synced",
	"renamed", "folder synced", "latest moved"}

const cutEnv = "XS_STORE_TEST_CUT"

func TestMain(m *testing.M) {
	if at := os.Getenv(cutEnv); at != "" {
		cutChild(at)
	}
	os.Exit(m.Run())
}

// cutChild makes the second snapshot in the current folder's store and is
// killed, or has the power cut, at one step.
func cutChild(at string) {
	how, step, _ := strings.Cut(at, ":")
	s, err := Open("root", discardLog())
	if err != nil {
		panic(err)
	}
	s.step = func(name string) {
		if name != step {
			return
		}
		if how == "power" {
			if out, err := exec.Command("xfs_io", "-x", "-c", "shutdown", ".").CombinedOutput(); err != nil {
				panic(string(out))
			}
			return // what follows fails
		}
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	f, err := s.Folder("SHC00000001")
	if err != nil {
		panic(err)
	}
	_, err = backup(f, secondTree())
	if err != nil {
		os.Exit(3)
	}
	os.Exit(0)
}

func secondTree() journalTree {
	tree := testTree(12)
	tree.entry(1, "changed", []byte("new data"))
	tree.entry(20, "new", []byte("new"))
	tree.remove(2)
	return tree
}

// cutAt has a store with one snapshot in dir/root and lets a child be cut.
func cutAt(t *testing.T, dir, at string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Dir, cmd.Env = dir, append(os.Environ(), cutEnv+"="+at)
	out, err := cmd.CombinedOutput()
	t.Logf("%s: %v %s", at, err, out)
	return cmd
}

// trueAfter asserts that what is there is the first or the second tree, whole,
// and that the account goes on from there.
func trueAfter(t *testing.T, root, step string) {
	t.Helper()
	s := testStore(t, root)
	f, err := s.Folder("SHC00000001")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := f.Snapshots()
	if err != nil || len(list) == 0 {
		t.Fatalf("%v %v", list, err)
	}
	holds(t, f, list[len(list)-1].ID, testTree(12))
	if len(list) == 2 {
		holds(t, f, list[0].ID, secondTree())
	}
	taken, snapshots := mustBackup(t, f, secondTree()), 2
	if taken.Confirmed != (len(list) == 2) {
		t.Errorf("confirmed: %v, with %d snapshots", taken.Confirmed, len(list))
	}
	if len(taken.Kept) > 0 {
		// A file of current had its size and time on the disk, and not its content.
		// That is told, and the next backup fetches it.
		taken = mustBackup(t, f, secondTree())
		snapshots++
	}
	holds(t, f, Latest, secondTree())
	names, err := readNames(f.root, "snapshots")
	if err != nil || len(names) != 3*snapshots { // each a folder with manifest and record
		t.Errorf("left behind after %s: %q %v", step, names, err)
	}
	if to, err := os.Readlink(f.path("latest")); err != nil || to != "snapshots/"+taken.Snapshot.ID {
		t.Errorf("latest leads to %s, %v", to, err)
	}
}

func TestKilled(t *testing.T) {
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mustBackup(t, testFolder(t, testStore(t, dir+"/root")), testTree(12))
			if cmd := cutAt(t, dir, "kill:"+step); cmd.ProcessState.Exited() {
				t.Fatalf("step %d was not reached", i)
			}
			trueAfter(t, dir+"/root", step)
		})
	}
}

// mount mounts for the time of the test.
func mount(t *testing.T, at string, args ...string) {
	t.Helper()
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", append(args, at)...).CombinedOutput(); err != nil {
		t.Skipf("mounting is refused here: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", at).Run() })
}

func TestPowerCut(t *testing.T) {
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			image, at := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
			if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
				t.Fatalf("mkfs.ext4: %v %s", err, out)
			}
			mount(t, at, "-o", "loop", image)
			s, err := Create(at+"/root", testLog(t))
			if err != nil {
				t.Fatal(err)
			}
			f := testFolder(t, s)
			mustBackup(t, f, testTree(12))
			f.Close()
			s.Close()
			// Without the cut's own help: nothing synced but by the code itself.
			cutAt(t, at, "power:"+step)
			if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
				t.Fatalf("umount: %v %s", err, out)
			}
			mount(t, at, "-o", "loop", image)
			trueAfter(t, at+"/root", step)
			exec.Command("umount", "-l", at).Run()
		})
	}
}

// A full disk, or one without inodes, costs the new snapshot and nothing else.
func TestNoRoom(t *testing.T) {
	for name, options := range map[string]string{"bytes": "size=9m", "inodes": "size=64m,nr_inodes=60"} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), "disk")
			mount(t, at, "-t", "tmpfs", "-o", options, "tmpfs")
			s, err := Create(at+"/root", testLog(t))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			f := testFolder(t, s)
			defer f.Close()
			tree := testTree(8)
			mustBackup(t, f, tree)
			var taken Taken
			for i := range 100 {
				bigger := testTree(8)
				bigger.entry(1, strings.Repeat("x", 1<<20+i), nil)
				if taken, err = backup(f, bigger); err != nil {
					break
				}
				tree = bigger
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("the disk is full, and yet: %v", err)
			}
			_ = taken
			holds(t, f, Latest, tree)
		})
	}
}
