// Package rpm tests that the packages build offline and hold what they should.
package rpm

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What each package puts on a machine: folders that it owns end in a slash.
var (
	laptop = []string{
		"/etc/X11/xinit/xinitrc.d/60-xo-backupd.sh",
		"/etc/xo-backupd/",
		"/etc/xo-backupd/config.toml",
		"/usr/bin/xo-backup",
		"/usr/bin/xo-backupd",
		"/usr/lib/systemd/user/timers.target.wants/xo-backupd-schedule.timer",
		"/usr/lib/systemd/user/xo-backupd-schedule.service",
		"/usr/lib/systemd/user/xo-backupd-schedule.timer",
		"/usr/lib/systemd/user/xo-backupd.service",
		"/usr/share/dbus-1/interfaces/org.laptop.Backup.Job.xml",
		"/usr/share/dbus-1/interfaces/org.laptop.Backup.xml",
		"/usr/share/dbus-1/services/org.laptop.Backup.service",
		"/usr/share/man/man1/xo-backup.1",
		"/usr/share/man/man5/xo-backupd.toml.5",
		"/usr/share/man/man8/xo-backupd.8",
	}
	server = []string{
		"/etc/xs-backupd/",
		"/etc/xs-backupd/config.toml",
		"/usr/bin/xs-backupd",
		"/usr/lib/systemd/system/xs-backupd.service",
		"/usr/lib/sysusers.d/xs-backupd.conf",
		"/usr/share/man/man5/xs-backupd.toml.5",
		"/usr/share/man/man8/xs-backupd.8",
	}
	docs = []string{"/usr/share/doc/", "/usr/share/licenses/"} // where each distribution puts them, as it likes
)

func TestPackages(t *testing.T) {
	out := t.TempDir()
	run(t, "", "../../scripts/rpm.sh", out)
	packages, err := filepath.Glob(filepath.Join(out, "*.rpm"))
	if err != nil || len(packages) != 3 {
		t.Fatalf("built %v: %v", packages, err)
	}
	root := t.TempDir()
	for name, want := range map[string][]string{"xo-backupd": laptop, "xs-backupd": server} {
		i := slices.IndexFunc(packages, func(file string) bool {
			base := filepath.Base(file)
			return strings.HasPrefix(base, name+"-0.1.0-1") && !strings.HasSuffix(base, ".src.rpm")
		})
		if i < 0 {
			t.Fatalf("no package %s-0.1.0-1 in %v", name, packages)
		}
		var got []string
		for line := range strings.Lines(run(t, "", "rpm", "-qp", "--qf", "[%{FILENAMES}\t%{FILEMODES:perms}\n]", packages[i])) {
			file, mode, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if strings.HasPrefix(mode, "d") {
				file += "/"
			}
			file = strings.TrimSuffix(file, ".gz") // Fedora compresses manual pages, Debian's rpm does not
			if !slices.ContainsFunc(docs, func(dir string) bool { return strings.HasPrefix(file, dir) }) {
				got = append(got, file)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s holds\n%s\nnot\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		// --noscripts: there is no shell in the root that they would run in.
		run(t, "", "rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--nodeps", "--noscripts", "--ignorearch", "-i", packages[i])
	}
	for _, file := range append(laptop, server...) {
		info, err := os.Stat(filepath.Join(root, file))
		if os.IsNotExist(err) {
			info, err = os.Stat(filepath.Join(root, file+".gz"))
		}
		if err != nil {
			t.Error(err)
			continue
		}
		want := fs.FileMode(0o644)
		if info.IsDir() || strings.HasPrefix(file, "/usr/bin/") || strings.HasSuffix(file, ".sh") {
			want = 0o755
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, not %v", file, info.Mode().Perm(), want)
		}
	}
	for _, program := range []string{"xo-backupd", "xo-backup", "xs-backupd"} {
		if said := run(t, "", filepath.Join(root, "usr/bin", program), "--version"); !strings.Contains(said, "0.1.0") {
			t.Errorf("%s --version says %q", program, said)
		}
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VERSION=0.1.0", "GOPROXY=off")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.Bytes(), complaint.Bytes())
	}
	return out.String()
}
