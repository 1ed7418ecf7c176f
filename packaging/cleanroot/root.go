// Package cleanroot installs packages where nothing was before, and follows them
// through their life: installed, used, upgraded, removed. It is what the tests of
// the rpm and the Debian packages share.
package cleanroot

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Root is a folder that is the root of a machine's file system.
type Root struct {
	Dir string
	// Full says that it holds all that our programs work with; else just so much
	// that the packages' scripts and a session bus run.
	Full bool
}

// From this machine: the shell and what our packages' scripts call.
var programs = []string{"/bin/sh", "/usr/bin/getent", "/usr/sbin/useradd", "/usr/bin/dbus-daemon"}

// systemctl writes down what it is asked to do.
const systemctl = "#!/bin/sh\necho \"$*\" >>/var/log/systemctl\n"

// Small makes a small root, which goes with the test.
func Small(t *testing.T) *Root {
	t.Helper()
	r := Empty(t)
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "dev", "run", "tmp", "root", "var/log", "var/lib"} {
		must(t, os.MkdirAll(r.Path(dir), 0o755))
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		must(t, os.Symlink("usr/"+dir, r.Path(dir)))
	}
	for _, program := range programs {
		copyFile(t, program, r.Path(program))
		for _, library := range libraries.FindAllString(Run(t, exec.Command("ldd", program)), -1) {
			copyFile(t, library, r.Path(library))
		}
	}
	for file, text := range map[string]string{
		"usr/bin/systemctl": systemctl,
		"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\n",
		"etc/group":         "root:x:0:\n",
		"etc/shadow":        "root:*:20000:0:99999:7:::\n",
		"etc/gshadow":       "root:*::\n",
		"dev/null":          "", // a device it need not be
	} {
		must(t, os.WriteFile(r.Path(file), []byte(text), 0o755))
	}
	return r
}

// Empty makes a root with nothing in it. Its name is short: the address of a
// session bus has to fit.
func Empty(t *testing.T) *Root {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can change its root")
	}
	dir, err := os.MkdirTemp("", "xo-root-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	return &Root{Dir: dir}
}

var libraries = regexp.MustCompile(`/lib\S*/\S+`)

// Path is where a file of the root is on this machine.
func (r *Root) Path(file string) string { return filepath.Join(r.Dir, file) }

// Command is one that is run in the root.
func (r *Root) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Path, cmd.Err = name, nil // not what this machine would find
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.Dir}
	return cmd
}

// What comes and goes without us, or is the package managers' own.
var fleeting = []string{"dev", "proc", "sys", "run", "tmp", "root", "var/cache", "var/log", "var/lib/dpkg", "var/lib/rpm", "var/lib/apt"}

// Files are the files and folders of the root.
func (r *Root) Files(t *testing.T) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(r.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(r.Dir, path)
		if slices.Contains(fleeting, file) {
			return fs.SkipDir
		}
		files = append(files, "/"+file)
		return err
	}))
	return files
}

// Run runs a command that has to work, and answers what it wrote to its output.
func Run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out.Bytes(), complaint.Bytes())
	}
	return out.String()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	must(t, os.WriteFile(to, b, 0o755))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
