package xsclient

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func openState(dir string) (*stateKeeper, error) {
	k := newState(dir)
	return k, k.load()
}

func TestStateLasts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	k, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := k.update(func(s *state) { s.Entries++ }); err != nil {
				t.Error(err)
			}
			k.get()
		})
	}
	wait.Wait()
	again, err := openState(dir)
	if err != nil || again.get().Entries != 20 || again.get() != k.get() {
		t.Errorf("%+v, %v", again.get(), err)
	}
	before, err := os.Stat(k.path)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := k.update(func(s *state) { s.Entries = 20 }); changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
	if after, err := os.Stat(k.path); err != nil || !os.SameFile(before, after) {
		t.Error("written though nothing differs")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

// A damaged state is kept aside, said in words, and begun anew.
func TestDamagedState(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "half": `{"version":1,"acc`, "zeros": strings.Repeat("\x00", 300), "two": `{"version":1}{}`,
		"of tomorrow": `{"version":2}`, "an account that climbs": `{"version":1,"account":"../x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := New(Config{StateDir: dir, Root: dir})
			if err != nil {
				t.Fatal(err)
			}
			aside := filepath.Join(dir, "state.json.damaged")
			if s := c.Status(); s.State != StateUnregistered || !strings.Contains(s.StateReason, aside) {
				t.Errorf("%+v", s)
			}
			if b, err := os.ReadFile(aside); err != nil || string(b) != content {
				t.Errorf("kept aside: %q, %v", b, err)
			}
			if err := c.update(func(s *state) { s.Account = "SHC1" }); err != nil {
				t.Fatal(err)
			}
			if again, err := openState(dir); err != nil || again.get().Account != "SHC1" {
				t.Errorf("%v", err)
			}
		})
	}
}

// What could not be kept has not happened.
func TestStateThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k := &stateKeeper{path: filepath.Join(dir, "file", "state.json")}
	if _, err := k.update(func(s *state) { s.Account = "x" }); err == nil {
		t.Fatal("no error")
	}
	if k.get().Account != "" {
		t.Error("changed all the same")
	}
}
