package sugar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Without a school server the wizard is as it was, and is there soon.
func TestIntroNoServer(t *testing.T) {
	t.Parallel()
	x := bed.XOFor(t, bed.Options{Bare: true})
	ok(t, x.Configure(`server = "http://127.0.0.1:9"`))
	isStock(t, x, bed.ShellOptions{})
}

// So it is without a backup service.
func TestIntroNoDaemon(t *testing.T) {
	long(t)
	t.Parallel()
	x := bed.XOFor(t, bed.Options{Bare: true})
	ok(t, os.Remove(filepath.Join(x.Dir, "services/org.laptop.Backup.service")))
	ok(t, x.Conn.BusObject().Call("org.freedesktop.DBus.ReloadConfig", 0).Err)
	isStock(t, x, bed.ShellOptions{})
}

// So it is with one of another version, that answers something else.
func TestIntroOtherDaemon(t *testing.T) {
	long(t)
	t.Parallel()
	x, _ := fake{methods: map[string]any{
		"FindBackups": func() (string, int32, *dbus.Error) { return "backups", 2, nil },
	}}.on(t)
	isStock(t, x, bed.ShellOptions{})
}

// So it is where Sugar has changed, though there is something to ask.
func TestIntroOtherSugar(t *testing.T) {
	long(t)
	t.Parallel()
	x, _ := fake{methods: map[string]any{"FindBackups": offering(beto)}}.on(t)
	isStock(t, x, bed.ShellOptions{Env: []string{"PYTHONPATH=" + must(filepath.Abs("drive/othersugar"))(t)}})
}

// isStock checks that the wizard is Sugar's own, from its beginning to its end.
func isStock(t *testing.T, x *bed.XO, o bed.ShellOptions) {
	t.Helper()
	shell := startShell(t, x, o)
	steps(t, shell, `
		see Click to change color
		no I had a laptop before`+stockWizard)
	ok(t, shell.AwaitJournal(t.Context()))
	x.Options.Nick, x.Options.Color, x.Options.Group = "Zora", "", ""
	hasProfile(t, x)
}

// What is used of Sugar's wizard is looked at before it is used.
func TestIntroFeatures(t *testing.T) {
	t.Parallel()
	x := bed.XOFor(t, bed.Options{Bare: true})
	cmd := x.Command(t.Context(), "/usr/bin/python3", must(filepath.Abs("drive/intro_features.py"))(t), must(filepath.Abs("../../sugar"))(t))
	cmd.Env = append(cmd.Env, "SUGAR_GROUP_LABELS=/usr/share/sugar/data/group-labels.defaults")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Where it is installed, Python loads it into Sugar's shell, as that is started by
// /usr/bin/sugar, and into nothing else.
func TestIntroInstalled(t *testing.T) {
	t.Parallel()
	x := bed.XOFor(t, bed.Options{Bare: true})
	python := func(words ...string) string {
		return strings.TrimSpace(string(must(x.Command(t.Context(), "/usr/bin/python3", words...).Output())(t)))
	}
	site, sources := python("-c", "import site; print(site.getusersitepackages())"), must(filepath.Abs("../../sugar"))(t)
	ok(t, os.MkdirAll(site, 0o700))
	for _, name := range []string{"xobackup", "xobackup.pth"} {
		ok(t, os.Symlink(filepath.Join(sources, name), filepath.Join(site, name)))
	}
	ok(t, os.Mkdir(filepath.Join(x.Home, "jarabe"), 0o700))
	for _, name := range []string{"__init__", "main", "other"} {
		ok(t, os.WriteFile(filepath.Join(x.Home, "jarabe", name+".py"), []byte("import sys; __name__ == '__main__' and print('xobackup.hook' in sys.modules)"), 0o600))
	}
	if got := python("-m", "jarabe.main") + python("-m", "jarabe.other"); got != "TrueFalse" {
		t.Errorf("loaded into the shell, and into another program: %s", got)
	}
}
