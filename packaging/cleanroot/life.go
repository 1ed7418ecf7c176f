package cleanroot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Life is how a package manager treats the three packages, and what it leaves
// behind of their configuration.
type Life struct {
	Root    *Root
	Install func(packages ...string) // or upgrades
	Remove  func()
	Left    []string // after Remove
	Purge   func()   // nil where nothing is left to purge
}

// The versions that are built for a test.
const Old, New = "0.0.9", "0.1.0"

// What people and programs made, which no package manager may touch.
const (
	laptopConfig = "/etc/xo-backupd/config.toml"
	serverConfig = "/etc/xs-backupd/config.toml"
	snapshots    = "/var/lib/xs-backupd/SHC02500FAB/snapshots"
)

// Lead leads the packages through their life: the old version is installed and
// used, upgraded to the new one while it runs, used, and removed.
func (l Life) Lead(t *testing.T, old, new []string) {
	r := l.Root
	before := r.Files(t)

	l.Install(old...)
	r.checkModes(t)
	r.checkVersions(t, Old)
	data := r.use(t)
	kept := r.contents(t, data)
	bus := r.startBus(t)
	running := bus.daemon(t, Old)

	l.Install(new...)
	r.checkModes(t)
	r.checkVersions(t, New)
	if now := r.contents(t, data); now != kept {
		t.Errorf("an upgrade made\n%s\nof\n%s", now, kept)
	}
	// Who works with the old daemon goes on doing so; when it has left, the new one comes.
	if still := bus.daemon(t, Old); still != running {
		t.Errorf("an upgrade made daemon %d of daemon %d", still, running)
	}
	bus.leave(t, running)
	bus.daemon(t, New)
	r.demo(t)
	r.checkPython(t)
	bus.stop(t)
	r.checkAsked(t, "daemon-reload")

	l.Remove()
	r.checkAsked(t, "disable --now xs-backupd.service", "daemon-reload")
	r.checkLeft(t, before, append(slices.Clone(l.Left), data[2:]...))
	if l.Purge != nil {
		l.Purge()
		r.checkLeft(t, before, data[2:])
	}
}

// use changes the configurations and has the server keep a Journal, and answers
// what there is then, the configurations first.
func (r *Root) use(t *testing.T) (data []string) {
	t.Helper()
	passwd, err := os.ReadFile(r.Path("etc/passwd"))
	must(t, err)
	user := regexp.MustCompile(`(?m)^xs-backupd:x:(\d+):(\d+):[^:]*:/var/lib/xs-backupd:/\S*/nologin$`).FindSubmatch(passwd)
	if user == nil {
		t.Fatalf("there is no user for the server:\n%s", passwd)
	}
	uid, _ := strconv.Atoi(string(user[1]))
	gid, _ := strconv.Atoi(string(user[2]))

	entry := snapshots + "/latest/entry"
	must(t, os.MkdirAll(r.Path(filepath.Dir(entry)), 0o700))
	for file, text := range map[string]string{
		laptopConfig: "server = \"http://school.example\"\n",
		serverConfig: "max_sessions = 3\n",
		entry:        "a drawing\n",
	} {
		must(t, os.WriteFile(r.Path(file), []byte(text), 0o600))
	}
	data = []string{laptopConfig, serverConfig}
	for dir := entry; dir != "/var/lib"; dir = filepath.Dir(dir) {
		must(t, os.Chown(r.Path(dir), uid, gid))
		data = append(data, dir)
	}
	return data
}

// contents describes files: whose they are, who may do what, and what is in them.
func (r *Root) contents(t *testing.T, files []string) (described string) {
	t.Helper()
	for _, file := range files {
		info, err := os.Stat(r.Path(file))
		must(t, err)
		text, _ := os.ReadFile(r.Path(file)) // of a folder: none
		owner := info.Sys().(*syscall.Stat_t)
		described += fmt.Sprintf("%s %v %d %d %s\n", file, info.Mode(), owner.Uid, owner.Gid, text)
	}
	return described
}

func (r *Root) checkVersions(t *testing.T, version string) {
	t.Helper()
	for _, program := range []string{"xo-backup", "xo-backupd", "xs-backupd"} {
		if said := Run(t, r.Command("/usr/bin/"+program, "--version")); !strings.HasSuffix(said, " "+version+"\n") {
			t.Errorf("%s --version says %q, not %s", program, said, version)
		}
	}
}

// checkPython imports what was installed, as Sugar's shell would.
func (r *Root) checkPython(t *testing.T) {
	t.Helper()
	imports := []string{"-B", "-c", "import site, sys; site.addsitedir(sys.argv[1]); import xobackup.words; print(xobackup.words.__file__)"}
	cmd := exec.Command("python3", append(imports, r.Path(Python))...)
	want := r.Path(Python + "/xobackup/words.py")
	if r.Full {
		cmd, want = r.Command("/usr/bin/python3", append(imports, Python)...), Python+"/xobackup/words.py"
	}
	if got := strings.TrimSpace(Run(t, cmd)); got != want {
		t.Errorf("Python imports %s, not %s", got, want)
	}
}

// demo runs make demo with the installed programs: in the root where Sugar is
// there too, else beside this machine's.
func (r *Root) demo(t *testing.T) {
	t.Helper()
	demo := r.Path("tmp/demo")
	build := exec.Command("go", "build", "-o", demo, "../../test/demo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	Run(t, build)
	cmd := exec.Command(demo, "--entries", "20", "--bin", r.Path("usr/bin"))
	if r.Full {
		cmd = r.Command("/bin/sh", "-c", "mount -t proc proc /proc && exec /tmp/demo --entries 20 --bin /usr/bin")
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	if said := Run(t, cmd); !strings.Contains(said, "brought back, byte for byte") {
		t.Errorf("the demo did not come to its end:\n%s", said)
	}
}

// checkAsked looks at what systemd was asked to do since the last time: nothing
// that ends what runs, unless that is removed.
func (r *Root) checkAsked(t *testing.T, want ...string) {
	t.Helper()
	if r.Full {
		return // its systemctl is the real one, and finds no systemd
	}
	log := r.Path("var/log/systemctl")
	asked, err := os.ReadFile(log)
	must(t, err)
	must(t, os.Remove(log))
	for line := range strings.Lines(string(asked)) {
		if !slices.Contains(want, strings.TrimSpace(line)) {
			t.Errorf("systemd was asked: %s", line)
		}
	}
	for _, line := range want {
		if !strings.Contains(string(asked), line+"\n") {
			t.Errorf("systemd was not asked: %s", line)
		}
	}
}

var (
	// The list of users is the machine's, and useradd keeps a copy of what was.
	users = regexp.MustCompile(`^/etc/(\.pwd\.lock|(passwd|group|g?shadow|sub[ug]id)-?)$`)
	// A folder without our name is the distribution's, and so its packages'.
	ours = regexp.MustCompile(`x[os]-?backup`)
)

func (r *Root) checkLeft(t *testing.T, before, want []string) {
	t.Helper()
	now := r.Files(t)
	for _, file := range now {
		shared := r.isFolder(file) && !ours.MatchString(file) || users.MatchString(file)
		if !slices.Contains(before, file) && !slices.Contains(want, file) && !shared {
			t.Errorf("%s is left behind", file)
		}
	}
	for _, file := range slices.Concat(before, want) {
		if !slices.Contains(now, file) {
			t.Errorf("%s is gone", file)
		}
	}
}

func (r *Root) isFolder(file string) bool {
	info, err := os.Lstat(r.Path(file))
	return err == nil && info.IsDir()
}
