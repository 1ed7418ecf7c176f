package profile

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string // "": an error
	}{
		{map[string]string{"HOME": "/home/olpc"}, "/home/olpc/.sugar/default"},
		{map[string]string{"HOME": "/home/olpc", "SUGAR_PROFILE": "two"}, "/home/olpc/.sugar/two"},
		{map[string]string{"HOME": "/home/olpc", "SUGAR_HOME": "/s"}, "/s/default"},
		{map[string]string{"SUGAR_HOME": "/s", "SUGAR_PROFILE": "two"}, "/s/two"},
		{nil, ""},
	} {
		p, err := Find(func(name string) string { return c.env[name] })
		if p.Dir != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: %q, %v", c.env, p.Dir, err)
		}
	}
}

// ownSettings gives the test gsettings of its own.
func ownSettings(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	t.Setenv("GSETTINGS_BACKEND", "keyfile")
}

var nicks = []string{
	"", "Amara", "José", "O'Brien", `say "hi"`, `both ' and "`, `back\slash`, "two\nlines\tand a tab",
	"-n", "@as []", "'quoted'", "1", "true", "日本語", "emoji 🐢", "zero\u200bwidth", "bell\a", "private \ue000",
}

// What gsettings stores comes back as it was, and is what Sugar's own
// library reads.
func TestSettings(t *testing.T) {
	ownSettings(t)
	ctx := t.Context()
	p := newProfile(t)
	for _, nick := range nicks {
		if err := setString(ctx, userSchema, "nick", nick); err != nil {
			t.Fatalf("%q: %v", nick, err)
		}
		got, err := p.Owner(ctx)
		if err != nil || got.Nick != nick {
			t.Errorf("Owner: %q, %v; want %q", got.Nick, err, nick)
		}
		out, err := exec.Command("/usr/bin/python3", "-c", `
from gi.repository import Gio
import sys
sys.stdout.write(Gio.Settings.new('org.sugarlabs.user').get_string('nick'))`).Output()
		if err != nil || string(out) != nick {
			t.Errorf("Gio: %q, %v; want %q", out, err, nick)
		}
	}
	for name, value := range map[string]string{"color": "#AC32FF,#9A5200", "group-label": "2nd Grade"} {
		if err := setString(ctx, userSchema, name, value); err != nil {
			t.Fatal(err)
		}
	}
	if o, err := p.Owner(ctx); o.Color != "#AC32FF,#9A5200" || o.Group != "2nd Grade" || err != nil {
		t.Errorf("Owner: %+v, %v", o, err)
	}
	if url, err := p.BackupURL(ctx); url != "" || err != nil {
		t.Errorf("before a registration: %q, %v", url, err)
	}
	if err := p.SetBackupURL(ctx, "SHC1@schoolserver:backup"); err != nil {
		t.Fatal(err)
	}
	if url, err := p.BackupURL(ctx); url != "SHC1@schoolserver:backup" || err != nil {
		t.Errorf("BackupURL: %q, %v", url, err)
	}
	if err := p.SetJabberServer(ctx, "schoolserver"); err != nil {
		t.Fatal(err)
	}
	if s, err := p.JabberServer(ctx); s != "schoolserver" || err != nil {
		t.Errorf("JabberServer: %q, %v", s, err)
	}
}

// What a backup brings back of its owner goes where the profile says nothing, and
// only if it is fit for Sugar's screen.
func TestFillOwner(t *testing.T) {
	ana := Owner{"Ana", "#FF2B34,#00A0FF", "4th Grade"}
	for _, c := range []struct {
		name             string
		has, comes, want Owner
	}{
		{"an empty profile", Owner{}, ana, ana},
		{"a name was given", Owner{Nick: "Anita"}, ana, Owner{"Anita", ana.Color, ana.Group}},
		{"all was given", Owner{"B", "#000000,#FFFFFF", "C"}, ana, Owner{"B", "#000000,#FFFFFF", "C"}},
		{"nothing came", Owner{Nick: "B"}, Owner{}, Owner{Nick: "B"}},
		{"nonsense came", Owner{}, Owner{"A\x00na", "red", strings.Repeat("x", 101)}, Owner{}},
		{"not UTF-8", Owner{}, Owner{Nick: "\xff"}, Owner{}},
		{"quotes", Owner{}, Owner{Nick: "O'Brien \\ \"x\"", Group: "-n"}, Owner{Nick: "O'Brien \\ \"x\"", Group: "-n"}},
	} {
		ownSettings(t)
		p := newProfile(t)
		if err := p.FillOwner(t.Context(), c.has); err != nil {
			t.Fatal(err)
		}
		if err := p.FillOwner(t.Context(), c.comes); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Owner(t.Context()); got != c.want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}

func TestNoSettings(t *testing.T) {
	p := newProfile(t)
	check := func(t *testing.T) {
		t.Helper()
		if o, err := p.Owner(t.Context()); o != (Owner{}) || err != nil {
			t.Errorf("Owner: %+v, %v", o, err)
		}
		if url, err := p.BackupURL(t.Context()); url != "" || err != nil {
			t.Errorf("BackupURL: %q, %v", url, err)
		}
		if err := p.SetBackupURL(t.Context(), "a@b:backup"); err != nil {
			t.Errorf("SetBackupURL: %v", err)
		}
	}
	t.Run("no gsettings", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		check(t)
	})
	t.Run("no schemas of Sugar's", func(t *testing.T) {
		ownSettings(t)
		t.Setenv("GSETTINGS_SCHEMA_DIR", t.TempDir())
		t.Setenv("XDG_DATA_DIRS", t.TempDir())
		t.Setenv("XDG_DATA_HOME", t.TempDir())
		check(t)
	})
	t.Run("given up", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "gsettings"), []byte("#!/bin/sh\nexec /bin/sleep 60\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := p.BackupURL(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a gsettings that hangs: %v", err)
		}
	})
}

func FuzzVariant(f *testing.F) {
	for _, s := range nicks {
		f.Add(formatVariant(s))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := parseVariant(text)
		if !ok {
			return
		}
		if again, ok := parseVariant(formatVariant(s)); !ok || again != s {
			t.Errorf("%q → %q → %q, %v", text, s, again, ok)
		}
	})
}

func write(t *testing.T, root, path, value string) {
	t.Helper()
	path = filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMachine(t *testing.T) {
	for _, c := range []struct {
		name         string
		root, stored map[string]string
		want         Machine
	}{
		{"an XO-1", map[string]string{"ofw/mfg-data/SN": "SHC8120023B\x00", "ofw/mfg-data/U#": "1C7F\x00\n"},
			map[string]string{"sn": "OTHER"}, Machine{"SHC8120023B", "1C7F"}},
		{"an XO-1.75", map[string]string{"proc/device-tree/mfg-data/SN": "SHC1\x00", "proc/device-tree/mfg-data/U#": "U\x00"},
			nil, Machine{"SHC1", "U"}},
		{"firmware without a serial", map[string]string{"proc/device-tree/model": "Pi"},
			map[string]string{"sn": "ABC12345678", "uuid": "u"}, Machine{"ABC12345678", "u"}},
		{"a PC that Sugar has registered", nil, map[string]string{"sn": "ABC12345678", "uuid": "u"}, Machine{"ABC12345678", "u"}},
		{"a PC that nobody has registered", nil, nil, Machine{}},
		{"nonsense", nil, map[string]string{"sn": "a b", "uuid": strings.Repeat("x", 4096)}, Machine{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, p := t.TempDir(), newProfile(t)
			for path, value := range c.root {
				write(t, root, path, value)
			}
			for name, value := range c.stored {
				write(t, p.Dir, "identifiers/"+name, value)
			}
			if m := p.Machine(root); m != c.want {
				t.Errorf("%+v, want %+v", m, c.want)
			}
		})
	}
}

func TestInventedMachineStays(t *testing.T) {
	p, root := newProfile(t), t.TempDir()
	m := p.Machine(root).Invent(time.Unix(1700000042, 0))
	if len(m.Serial) != 11 || !strings.HasSuffix(m.Serial, "00000042") || len(m.UUID) != 36 {
		t.Errorf("%+v", m)
	}
	if err := p.StoreMachine(m); err != nil {
		t.Fatal(err)
	}
	if again := p.Machine(root); again != m || again.Invent(time.Now()) != m {
		t.Errorf("%+v, then %+v", m, again)
	}
	if m := (Machine{NoSerial, NoUUID}).Invent(time.Now()); m.Serial == NoSerial || m.UUID == NoUUID {
		t.Errorf("what says nothing was kept: %+v", m)
	}
}

func TestWriteFileLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A folder where the file belongs: the rename fails, after all the rest.
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "d"), []byte("new"), 0o600); err == nil {
		t.Error("a file over a folder")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("%q, %v", b, err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("left behind: %v", names)
	}
}
