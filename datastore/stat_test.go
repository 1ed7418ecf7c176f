package datastore

import (
	"testing"

	"golang.org/x/sys/unix"
)

func ctimeOf(t testing.TB, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return stampOf(&st).ctime
}
