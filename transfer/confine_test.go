package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// probed is what a child finds that it can do.
type probed struct {
	Confined                     []string
	Fsync                        bool // answered without being done
	Socket, Exec, Link           string
	ReadOther, ReadGiven         string
	WriteGivenRead, WriteGiven   string
	WriteOther                   string
	NoNewPrivs, Score, FilesOpen int
}

// probe tries what a transfer must not do. Spec: other, given to read, given to
// write.
func probe(_ context.Context, spec json.RawMessage, report func(any)) (fs.FS, error) {
	var dirs [3]string
	if err := json.Unmarshal(spec, &dirs); err != nil {
		return nil, err
	}
	other, read, write := dirs[0], dirs[1], dirs[2]
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	list := func(dir string) string { _, err := os.ReadDir(dir); return text(err) }
	create := func(dir string) string { return text(os.WriteFile(filepath.Join(dir, "new"), nil, 0o600)) }
	var p probed
	p.Fsync = unix.Fsync(-1) == nil && unix.Fdatasync(-1) == nil
	_, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	p.Socket = text(err)
	p.Exec = text(unix.Exec("/bin/true", []string{"true"}, nil))
	p.Link = text(unix.Symlinkat("/etc/passwd", unix.AT_FDCWD, filepath.Join(write, "link")))
	p.ReadOther, p.ReadGiven = list(other), list(read)
	p.WriteOther, p.WriteGivenRead, p.WriteGiven = create(other), create(read), create(write)
	p.NoNewPrivs, _ = unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err == nil {
		p.FilesOpen = int(r.Cur)
	}
	report(p)
	return fstest.MapFS{}, nil
}

func TestConfined(t *testing.T) {
	other, read, write := t.TempDir(), t.TempDir(), t.TempDir()
	spec, _ := json.Marshal([]string{other, read, write})
	var p probed
	child, err := Start(t.Context(), Job{Send: "probe", Spec: spec, Read: []string{read}, Write: []string{write}},
		func(raw json.RawMessage) {
			if err := json.Unmarshal(raw, &p); err != nil {
				t.Error(err)
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	if err := child.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	held := confinedHere(t)
	if p.ReadGiven != "" || p.WriteGiven != "" {
		t.Errorf("not even what was given: %+v", p)
	}
	if slices.Contains(held, "landlock") {
		if p.ReadOther == "" || p.WriteOther == "" || p.WriteGivenRead == "" {
			t.Errorf("landlock lets it: %+v", p)
		}
	} else {
		t.Log("no Landlock here")
	}
	if slices.Contains(held, "seccomp") {
		if !p.Fsync || p.Socket == "" || p.Exec == "" || p.Link == "" || p.NoNewPrivs != 1 {
			t.Errorf("seccomp lets it: %+v", p)
		}
	} else {
		t.Log("no seccomp here")
	}
	if p.FilesOpen != 64 {
		t.Errorf("may open %d files", p.FilesOpen)
	}
}

// confinedHere is what a child says that it is confined by.
func confinedHere(t *testing.T) []string {
	t.Helper()
	sent, _, err1, err2 := move(t, Dir(t.TempDir(), nil), Job{Receive: t.TempDir()})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return sent.Confined
}
