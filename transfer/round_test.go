package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testSources = map[string]Source{
	"fail": func(context.Context, json.RawMessage, func(any)) (fs.FS, error) {
		return nil, errors.New("no Journal here")
	},
}

func testAllow(name string, dir bool, size int64, perm fs.FileMode) error {
	if strings.HasPrefix(name, "forbidden") {
		return errors.New("is forbidden")
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
		if !d.IsDir() {
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
	for range 2 {
		sent, received, err1, err2 := move(t, Dir(from, nil), Job{Receive: to, Delete: true})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		t.Logf("sent %+v received %+v", sent, received)
		same(t, from, to)
	}
}
