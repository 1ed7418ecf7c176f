package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testSources are filled in beside the tests that use them.
var testSources = map[string]Source{
	"fail": func(context.Context, json.RawMessage, func(any)) (fs.FS, error) {
		return nil, errors.New("no Journal here")
	},
}

func testAllow(name string, dir bool, size int64, perm fs.FileMode) error {
	if strings.HasPrefix(name, "forbidden") {
		return fmt.Errorf("%q: is forbidden", name)
	}
	return nil
}

// grow makes a tree of n files of size bytes in folders.
func grow(t testing.TB, n, size int) string {
	t.Helper()
	dir := t.TempDir()
	b := make([]byte, size)
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("%02x", i%256))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		copy(b, fmt.Sprintf("file %d", i))
		name := filepath.Join(sub, fmt.Sprintf("%02x-%033d.data", i%256, i))
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chtimes(p, time.Unix(1, 0), time.Unix(1, 0))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// snapshot describes all that rsync is to carry over.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		all[name] = fmt.Sprint(info.Mode(), " ", info.ModTime().Unix())
		if d.Type().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			all[name] += " " + string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t testing.TB, from, to string) {
	t.Helper()
	want, got := snapshot(t, from), snapshot(t, to)
	for name := range want {
		if want[name] != got[name] {
			t.Errorf("%s: got %.60q, want %.60q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there and should not", name)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	from, to := grow(t, 300, 1000), t.TempDir()
	for try := range 2 {
		sent, received, err1, err2 := move(t, Dir(from, nil), Job{Receive: to, Delete: true})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		same(t, from, to)
		if moved := 300 * (1 - try); sent.Moved != moved || received.Moved != moved {
			t.Errorf("try %d: sent %d files, received %d, want %d", try, sent.Moved, received.Moved, moved)
		}
		if sent.Sent != received.Received || sent.Received != received.Sent || received.Size != 300_000 || received.Listed != 300+256+1 {
			t.Errorf("try %d: sent %+v, received %+v", try, sent, received)
		}
	}
}

// TestChanges: files of all sizes around the protocol's own, changed in all
// ways, arrive as they are and travel as little as rsync promises.
func TestChanges(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	sizes := []int{0, 1, 699, 700, 701, 1400, 32<<10 - 1, 32 << 10, 32<<10 + 1, 256 << 10, 256<<10 + 1, 1<<20 + 3, 8 << 20}
	for round, change := range []func([]byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { return append(b, "more"...) },
		func(b []byte) []byte { return append([]byte("more"), b...) },
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { return append(b, b...) },
		func(b []byte) []byte { return slices.Concat(b[:len(b)/3], []byte("midst"), b[len(b)/3:]) },
		func(b []byte) []byte { return append(b[len(b)/2:], b[:len(b)/2]...) },
		func(b []byte) []byte { return nil },
		func(b []byte) []byte { return noise(5000) },
	} {
		size := 0
		for i, n := range sizes {
			name := filepath.Join(from, fmt.Sprint(i))
			b, err := os.ReadFile(name)
			if round == 0 {
				b, err = noise(n), nil
			}
			if err == nil {
				b = change(b)
				size += len(b)
				err = os.WriteFile(name, b, 0o644)
			}
			if err == nil {
				err = os.Chtimes(name, time.Unix(int64(round), 0), time.Unix(int64(round), 0))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		sent, _, err1, err2 := move(t, Dir(from, nil), Job{Receive: to, Delete: true})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatalf("change %d: %v", round, err)
		}
		same(t, from, to)
		if round > 0 && round < 8 && sent.Sent > int64(size)/4+200_000 {
			t.Errorf("change %d: sent %d bytes for files of %d", round, sent.Sent, size)
		}
	}
}

// TestSizes: any small file turns into any other. gokrazy panics where the new
// one is empty and the old one is not.
func TestSizes(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	sizes := []int{0, 1, 2, 699, 700, 701, 1399, 1400, 1401, 3000}
	for _, a := range sizes {
		for _, b := range sizes {
			for dir, n := range map[string]int{from: a, to: b} {
				body := bytes.Repeat([]byte("0123456789a"), 300)[:n]
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(a, "-", b)), body, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			when := time.Unix(5, 0)
			if err := os.Chtimes(filepath.Join(from, fmt.Sprint(a, "-", b)), when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _, err1, err2 := move(t, Dir(from, nil), Job{Receive: to})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	same(t, from, to)
}

func TestTidy(t *testing.T) {
	from, outside := grow(t, 600, 20), t.TempDir() // two or three in each folder
	write := func(name string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "precious"))
	for _, all := range []bool{true, false} {
		to := t.TempDir()
		// Several in one folder: gokrazy's own --delete forgets all but the first.
		for _, name := range []string{"00/a", "00/b", "00/zz", "gone/x/y", "gone/z", "zzz", "top"} {
			write(filepath.Join(to, name))
		}
		write(filepath.Join(to, ".half.data123456")) // of a child that was killed
		write(filepath.Join(to, "03"))               // a file where a folder is to be
		file := firstFile(t, filepath.Join(from, "06"))
		write(filepath.Join(to, "06", filepath.Base(file), "x")) // a folder where a file is to be
		for _, name := range []string{"07", "linked"} {          // links that lead out
			if err := os.Symlink(outside, filepath.Join(to, name)); err != nil {
				t.Fatal(err)
			}
		}
		_, received, err1, err2 := move(t, Dir(from, nil), Job{Receive: to, Delete: all})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if all {
			same(t, from, to)
		} else {
			got := snapshot(t, to)
			for name, want := range snapshot(t, from) {
				if got[name] != want {
					t.Errorf("%s: got %.60q, want %.60q", name, got[name], want)
				}
			}
			for _, name := range []string{"00/a", "00/b", "gone/x/y", "zzz", "linked"} {
				if _, ok := got[name]; !ok {
					t.Errorf("%s has been deleted", name)
				}
			}
			if _, ok := got[".half.data123456"]; ok {
				t.Error("a half file is left")
			}
		}
		if got := snapshot(t, outside); len(got) != 2 {
			t.Errorf("outside: %v", got)
		}
		t.Logf("deleted %d", received.Deleted)
	}
}

// TestIncomplete: what a sender could not read is no reason to delete.
func TestIncomplete(t *testing.T) {
	to := grow(t, 10, 10)
	before := len(snapshot(t, to))
	list := top()
	list.WriteByte(0)
	list.i32(1, -1, -1, 1, 1, 1) // the flag, the phases, the statistics
	p := start(t, Job{Receive: to, Delete: true})
	stats, err := p.Run(t.Context(), bytes.NewReader(list.framed(64)), io.Discard)
	if err != nil || !stats.Incomplete || stats.Deleted != 0 || len(snapshot(t, to)) != before {
		t.Errorf("%v, %+v", err, stats)
	}
}

func TestDir(t *testing.T) {
	from := grow(t, 20, 10)
	for name, target := range map[string]string{"link": "/etc/passwd", "00/link": "..", "around": "."} {
		if err := os.Symlink(target, filepath.Join(from, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(from, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	one := func(n int) string { return fmt.Sprintf("%02x/%02x-%033d.data", n, n, n) }
	for name, c := range map[string]struct {
		only []string
		want []string // besides "."
	}{
		"nothing":      {[]string{}, nil},
		"none such":    {[]string{"nothing", "0", "zz/"}, []string{"00", one(0), "01", one(1), "02", one(2), "03", one(3), "04", one(4), "05", one(5), "06", one(6), "07", one(7), "08", one(8), "09", one(9), "0a", one(10), "0b", one(11), "0c", one(12), "0d", one(13), "0e", one(14), "0f", one(15)}},
		"one folder":   {[]string{"03/"}, []string{"03", one(3)}},
		"one and part": {[]string{"04/04-", "03", "03/x", "link", "fifo"}, []string{"03", one(3), "04", one(4)}},
	} {
		to := t.TempDir()
		_, _, err1, err2 := move(t, Dir(from, c.only), Job{Receive: to})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(name, err)
		}
		got := slices.Sorted(maps.Keys(snapshot(t, to)))[1:]
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	_, _, err1, err2 := move(t, Dir(filepath.Join(from, "none"), nil), Job{Receive: t.TempDir()})
	wantError(t, err1, Failed, "no such file")
	wantError(t, err2, Cut, "connection ended")
}

// TestOpenTwice: the two readers that gokrazy has of each file see the same
// file, whatever happens to its name in between.
func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	fsys, err := openDir(t.Context(), Dir(dir, nil).Spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := fsys.Open("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name, name+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := fsys.Open("x")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []fs.File{a, b} {
		if got, err := io.ReadAll(f); err != nil || string(got) != "old" {
			t.Errorf("%q, %v", got, err)
		}
	}
	for _, f := range []fs.File{a, b, a} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if got, err := fs.ReadFile(fsys, "x"); err != nil || string(got) != "new" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}
