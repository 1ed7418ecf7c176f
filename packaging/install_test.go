// Package packaging tests what goes into every package, as scripts/install.sh
// installs it.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// install installs parts below a folder, for the prefix /usr/local.
func install(t *testing.T, to string, parts ...string) {
	t.Helper()
	cmd := exec.Command("../scripts/install.sh", parts...)
	cmd.Env = append(os.Environ(), "DESTDIR="+to, "PREFIX=/usr/local", "ETC=/etc",
		"PYTHONDIR=/usr/lib/python3/dist-packages", "BIN="+programs(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install.sh: %v: %s", err, out)
	}
}

// programs is the folder that they were built in.
func programs(t *testing.T) string {
	t.Helper()
	return filepath.Dir(bed.Programs(t).Daemon)
}

// A part brings what is its own and nothing else.
func TestParts(t *testing.T) {
	owner := map[string]string{}
	for _, part := range []string{"daemon", "server", "sugar"} {
		dir := t.TempDir()
		install(t, dir, part)
		for _, file := range files(t, dir) {
			if other := owner[file]; other != "" {
				t.Errorf("%s is %s's and %s's", file, other, part)
			}
			owner[file] = part
		}
	}
	for file, part := range map[string]string{
		"/usr/local/bin/xo-backupd":                           "daemon",
		"/usr/local/bin/xs-backupd":                           "server",
		"/usr/lib/python3/dist-packages/xobackup/__init__.py": "sugar",
	} {
		if owner[file] != part {
			t.Errorf("%s is not %s's", file, part)
		}
	}
	if exec.Command("../scripts/install.sh", "desktop").Run() == nil {
		t.Error("a part that does not exist was installed")
	}
}

// Files that name a program name it where it was installed, and a configuration
// that was changed stays.
func TestInstallAgain(t *testing.T) {
	dir := t.TempDir()
	install(t, dir, "daemon", "server")
	for _, file := range []string{
		"usr/local/share/dbus-1/services/org.laptop.Backup.service",
		"usr/local/lib/systemd/user/xo-backupd.service",
		"usr/local/lib/systemd/system/xs-backupd.service",
	} {
		text := read(t, filepath.Join(dir, file))
		if !strings.Contains(text, "=/usr/local/bin/x") || strings.Contains(text, "/usr/bin/") {
			t.Errorf("%s does not name what was installed:\n%s", file, text)
		}
	}
	config := filepath.Join(dir, "etc/xo-backupd/config.toml")
	if err := os.WriteFile(config, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	install(t, dir, "daemon")
	if text := read(t, config); text != "changed" {
		t.Errorf("the configuration became %q", text)
	}
}

func TestTranslation(t *testing.T) {
	languages, err := filepath.Glob("../sugar/po/*.po")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	install(t, dir, "sugar")
	for _, po := range languages {
		language := strings.TrimSuffix(filepath.Base(po), ".po")
		load := `import gettext, sys; print(gettext.translation("xo-backupd", sys.argv[1], [sys.argv[2]]).info())`
		said := run(t, "python3", "-c", load, filepath.Join(dir, "usr/lib/python3/dist-packages/xobackup/locale"), language)
		if !strings.Contains(said, "charset=UTF-8") {
			t.Errorf("%s: %s", language, said)
		}
	}
}

var (
	flag = regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)
	verb = regexp.MustCompile(`(?m)^  ([a-z-]+)  +\S`)
)

// bash completes all that the programs' help names.
func TestCompletion(t *testing.T) {
	t.Setenv("PATH", programs(t)+":"+os.Getenv("PATH"))
	dir := t.TempDir()
	install(t, dir, "daemon", "server")
	check := func(names []string, words ...string) {
		t.Helper()
		if got := complete(t, dir, append(words, "")...); len(names) > 0 && !slices.Equal(got, names) {
			t.Errorf("after %q it completes %q, not %q", words, got, names)
		}
		flags := matches(flag, help(t, words...))
		if got := complete(t, dir, append(words, "--")...); !slices.Equal(got, flags) {
			t.Errorf("after %q it completes %q, not %q", words, got, flags)
		}
	}
	for _, program := range []string{"xo-backup", "xs-backupd"} {
		_, verbs, _ := strings.Cut(help(t, program), "Available Commands:")
		verbs, _, _ = strings.Cut(verbs, "Flags:")
		names := matches(verb, verbs)
		if len(names) < 8 {
			t.Fatalf("verbs of %s: %q", program, names)
		}
		check(names, program)
		for _, name := range names {
			if name != "help" {
				check(nil, program, name)
			}
		}
	}
	check(nil, "xo-backupd")
	for _, c := range [][2]string{
		{"xo-backup re", "recover register restore"},
		{"xo-backup export UID ", "a file"},
		{"xo-backup n", "now"},
		{"xs-backupd nowhere", ""},
	} {
		if got := strings.Join(complete(t, dir, strings.Split(c[0], " ")...), " "); got != c[1] {
			t.Errorf("after %q it completes %q, not %q", c[0], got, c[1])
		}
	}
}

// bash does here what it does when somebody presses the tabulator key.
const press = `
compopt() { [ "$*" = "-o default" ] && echo "a file"; }
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
[[ $(complete -p "$1") =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" "$1" "${!#}" "${@:$#-1:1}"
printf '%s\n' "${COMPREPLY[@]}"
`

// complete answers, sorted, what the last of the words could become.
func complete(t *testing.T, dir string, words ...string) []string {
	t.Helper()
	file := filepath.Join(dir, "usr/local/share/bash-completion/completions", words[0])
	said := run(t, "bash", append([]string{"--noprofile", "--norc", "-c", press, "bash", file}, words...)...)
	answers := strings.Split(strings.TrimSpace(said), "\n")
	slices.Sort(answers)
	return answers
}

func help(t *testing.T, words ...string) string {
	t.Helper()
	return run(t, words[0], append(words[1:], "--help")...)
}

// matches answers what is in a pattern's parentheses, sorted.
func matches(pattern *regexp.Regexp, text string) (found []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return found
}

// What others read is as they want it.
func TestFormats(t *testing.T) {
	run(t, "appstreamcli", "validate", "--no-net", "metainfo/org.laptop.Backup.metainfo.xml")
	for _, page := range glob(t, "man/*") {
		cmd := exec.Command("man", "--warnings", "--local-file", "--encoding=UTF-8", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
		var complaint strings.Builder
		cmd.Stderr = &complaint
		if err := cmd.Run(); err != nil || complaint.Len() > 0 {
			t.Errorf("%s: %v: %s", page, err, complaint.String())
		}
	}
	for _, script := range slices.Concat(glob(t, "../scripts/*.sh"), glob(t, "completion/*"), glob(t, "deb/*/p*")) {
		shell := "bash"
		if strings.HasPrefix(read(t, script), "#!/bin/sh") {
			shell = "sh"
		}
		run(t, shell, "-n", script)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	return found
}

func files(t *testing.T, dir string) (found []string) {
	t.Helper()
	for line := range strings.Lines(run(t, "find", dir, "-type", "f", "-printf", "/%P\n")) {
		found = append(found, strings.TrimSpace(line))
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// run runs a program that has to work, and answers its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}
