package xsclient

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// What is safe at school is told without reading again what a backup has read.
func TestSaved(t *testing.T) {
	journal, uids := rawJournal(t, 3, 1)
	c := atSchool(t, bed.XSFor(t, bed.ServerOptions{}), journal)
	here := c.cfg.Profile.Datastore()
	time.Sleep(2100 * time.Millisecond) // what is younger is read again in any case
	backUp(t, c)

	opened := opens(t, filepath.Join(here, uids[0][:2], uids[0], "data"))
	nobody := string(uidN(1))
	got, err := c.Saved(t.Context(), append([]string{nobody}, uids...))
	must(t, err)
	slices.Sort(got)
	if !slices.Equal(got, uids) {
		t.Errorf("%v, want %v", got, uids)
	}
	if opened() {
		t.Error("data that has not changed was read again")
	}

	must(t, bed.ChangeRaw(here, uids[:1], 2))
	if !opened() {
		t.Error("the test does not notice who opens a file")
	}
	got, err = c.Saved(t.Context(), uids)
	must(t, err)
	slices.Sort(got)
	if !slices.Equal(got, uids[1:]) {
		t.Errorf("after a change: %v, want %v", got, uids[1:])
	}
	_, err = c.Saved(t.Context(), []string{"../../x"})
	wantCode(t, err, InvalidArgument)
}

// opens answers whether a file was opened, or replaced, since it was last asked.
func opens(t testing.TB, path string) func() bool {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	must(t, err)
	f := os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { f.Close() })
	_, err = unix.InotifyAddWatch(fd, path, unix.IN_OPEN|unix.IN_DELETE_SELF|unix.IN_ATTRIB)
	must(t, err)
	return func() bool {
		n, err := unix.Read(fd, make([]byte, 4096))
		return err == nil && n > 0
	}
}
