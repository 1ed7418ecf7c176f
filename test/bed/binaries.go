package bed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Binaries are the three programs.
type Binaries struct{ Daemon, Command, Server string }

// BinariesIn are those of a folder; it is an error if one is missing.
func BinariesIn(dir string) (Binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, err
	}
	b := Binaries{
		Daemon:  filepath.Join(dir, "xo-backupd"),
		Command: filepath.Join(dir, "xo-backup"),
		Server:  filepath.Join(dir, "xs-backupd"),
	}
	for _, file := range []string{b.Daemon, b.Command, b.Server} {
		if _, err := os.Stat(file); err != nil {
			return Binaries{}, err
		}
	}
	return b, nil
}

// BuildBinaries builds the programs into dir, with further environment, say
// GOARCH=386 and GO386=softfloat.
func BuildBinaries(ctx context.Context, dir string, env ...string) (Binaries, error) {
	root, err := moduleRoot()
	if err != nil {
		return Binaries{}, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=test",
		"-o", dir+string(filepath.Separator), "./cmd/xo-backupd", "./cmd/xo-backup", "./cmd/xs-backupd")
	cmd.Dir = root
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return BinariesIn(dir)
}

// moduleRoot is the nearest folder upwards that holds a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod here or above")
		}
		dir = up
	}
}

// built builds once for all tests of a test binary, into dist/test. The lock is
// for the test binaries that go test runs at the same time: go build leaves
// alone what is up to date, so only the first of them writes.
var built = sync.OnceValues(func() (Binaries, error) {
	if dir := os.Getenv("XO_BACKUP_BIN"); dir != "" {
		return BinariesIn(dir)
	}
	root, err := moduleRoot()
	if err != nil {
		return Binaries{}, err
	}
	dir := filepath.Join(root, "dist", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Binaries{}, err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return Binaries{}, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return Binaries{}, err
	}
	return BuildBinaries(context.Background(), dir)
})
