package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// shown is a key in an example: "#key = value".
var shown = regexp.MustCompile(`(?m)^#([a-z_.]+) = `)

// The example configurations are taken as they are, and with every key that
// they show set to what they show.
func TestExampleConfigurations(t *testing.T) {
	programs := bed.Programs(t)
	root := t.TempDir()
	for _, c := range []struct {
		program string
		args    []string
		says    string // when the configuration was accepted
	}{
		{programs.Daemon, nil, "session bus"}, // which there is none of
		{programs.Server, []string{"accounts", "--root", root}, ""},
	} {
		name := filepath.Base(c.program)
		example, err := os.ReadFile(filepath.Join("../packaging", name, "config.toml"))
		if err != nil {
			t.Fatal(err)
		}
		all := shown.ReplaceAll(example, []byte("$1 = "))
		all = bytes.ReplaceAll(all, []byte("AAAA..."), []byte("AAAAC3NzaC1lZDI1NTE5AAAAIJ4aWdyvyiLD4zZsTgEJ3sTPVQVYkVnDMnmQFOnGgYdQ"))
		for kind, text := range map[string][]byte{"as it is": example, "with all keys": all} {
			file := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), c.program, append([]string{"--config", file}, c.args...)...)
			cmd.Env = []string{"HOME=" + root}
			said, err := cmd.CombinedOutput()
			if accepted := err == nil && c.says == "" || c.says != "" && strings.Contains(string(said), c.says); !accepted {
				t.Errorf("%s, %s: %v: %s", name, kind, err, said)
			}
		}
	}
}

// What a program says of itself, its manual pages say too, and its example
// shows every key.
func TestManualPages(t *testing.T) {
	programs := bed.Programs(t)
	help := func(program string, args ...string) string {
		out, err := exec.CommandContext(t.Context(), program, append(args, "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v --help: %v: %s", program, args, err, out)
		}
		return string(out)
	}
	page := func(name string) string {
		text, err := os.ReadFile(filepath.Join("../packaging/man", name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(text), `\-`, "-")
	}
	flag := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`)
	verb := regexp.MustCompile(`(?m)^  ([a-z-]+)  +\S`)
	_, verbs, _ := strings.Cut(help(programs.Command), "Available Commands:")
	verbs, _, _ = strings.Cut(verbs, "Flags:")
	for _, m := range verb.FindAllStringSubmatch(verbs, -1) {
		if m[1] == "help" {
			continue
		}
		if !strings.Contains(page("xo-backup.1"), ".B "+m[1]) {
			t.Errorf("xo-backup(1) does not know the verb %s", m[1])
		}
		for _, f := range flag.FindAllStringSubmatch(help(programs.Command, m[1]), -1) {
			if !strings.Contains(page("xo-backup.1"), "--"+f[1]) {
				t.Errorf("xo-backup(1) does not know %s --%s", m[1], f[1])
			}
		}
	}
	_, verbs, _ = strings.Cut(help(programs.Server), "Available Commands:")
	verbs, _, _ = strings.Cut(verbs, "Flags:")
	for _, m := range verb.FindAllStringSubmatch(verbs, -1) {
		if m[1] != "help" && m[1] != "completion" && !strings.Contains(page("xs-backupd.8"), ".B "+m[1]) {
			t.Errorf("xs-backupd(8) does not know the verb %s", m[1])
		}
	}
	for program, help := range map[string]string{
		"xo-backupd": help(programs.Daemon),
		"xs-backupd": help(programs.Server, "serve"),
	} {
		example, err := os.ReadFile(filepath.Join("../packaging", program, "config.toml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flag.FindAllStringSubmatch(help, -1) {
			switch f[1] {
			case "help", "version", "verbose", "config":
				if f[1] != "help" && !strings.Contains(page(program+".8"), "--"+f[1]) {
					t.Errorf("%s(8) does not know --%s", program, f[1])
				}
				continue
			}
			key := strings.ReplaceAll(f[1], "-", "_")
			if in, ok := strings.CutPrefix(key, "schedule_"); ok {
				key = "schedule." + in
			}
			if !strings.Contains(page(program+".toml.5"), key) {
				t.Errorf("%s.toml(5) does not know %s", program, key)
			}
			if !bytes.Contains(example, []byte("#"+key+" = ")) {
				t.Errorf("%s's example does not show %s", program, key)
			}
		}
	}
}
