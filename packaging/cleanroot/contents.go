package cleanroot

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the packages put on a machine, beside documents that each distribution
// puts where it likes.
var (
	Laptop = []string{
		"/etc/X11/xinit/xinitrc.d/60-xo-backupd.sh",
		"/etc/xo-backupd/config.toml",
		"/usr/bin/xo-backup",
		"/usr/bin/xo-backupd",
		"/usr/lib/systemd/user/timers.target.wants/xo-backupd-schedule.timer",
		"/usr/lib/systemd/user/xo-backupd-schedule.service",
		"/usr/lib/systemd/user/xo-backupd-schedule.timer",
		"/usr/lib/systemd/user/xo-backupd.service",
		"/usr/share/bash-completion/completions/xo-backup",
		"/usr/share/bash-completion/completions/xo-backupd",
		"/usr/share/dbus-1/interfaces/org.laptop.Backup.Job.xml",
		"/usr/share/dbus-1/interfaces/org.laptop.Backup.xml",
		"/usr/share/dbus-1/services/org.laptop.Backup.service",
		"/usr/share/man/man1/xo-backup.1",
		"/usr/share/man/man5/xo-backupd.toml.5",
		"/usr/share/man/man8/xo-backupd.8",
		"/usr/share/metainfo/org.laptop.Backup.metainfo.xml",
	}
	Server = []string{
		"/etc/xs-backupd/config.toml",
		"/usr/bin/xs-backupd",
		"/usr/lib/systemd/system/xs-backupd.service",
		"/usr/lib/sysusers.d/xs-backupd.conf",
		"/usr/share/bash-completion/completions/xs-backupd",
		"/usr/share/man/man5/xs-backupd.toml.5",
		"/usr/share/man/man8/xs-backupd.8",
	}
)

// Etc are the files in /etc and the folders that they are in.
func Etc() (files []string) {
	for _, file := range slices.Concat(Laptop, Server) {
		for strings.HasPrefix(file, "/etc/") {
			files = append(files, file)
			file = filepath.Dir(file)
		}
	}
	return files
}

// Python is where Debian's Python looks for packages, and so does the rpm that is
// built on Debian.
const Python = "/usr/lib/python3/dist-packages"

// Sugar is what plugs us into Sugar: all sources that there are, and each
// translation.
func Sugar(t *testing.T) (files []string) {
	t.Helper()
	const sources = "../../sugar"
	must(t, filepath.WalkDir(sources, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		file, err := filepath.Rel(sources, path)
		dir, _, _ := strings.Cut(file, "/")
		switch ext := filepath.Ext(file); {
		case ext == ".pth":
			files = append(files, filepath.Join(Python, file))
		case ext == ".po":
			files = append(files, filepath.Join(Python, "xobackup/locale", strings.TrimSuffix(filepath.Base(file), ext), "LC_MESSAGES/xo-backupd.mo"))
		case ext != ".py" && ext != ".svg":
		case dir == "xobackup":
			files = append(files, filepath.Join(Python, file))
		case dir == "extensions":
			files = append(files, filepath.Join("/usr/share/sugar", file))
		}
		return err
	}))
	for _, known := range []string{"__init__.py", "daemon.py", "words.py"} {
		if file := filepath.Join(Python, "xobackup", known); !slices.Contains(files, file) {
			t.Fatalf("there is no source for %s", file)
		}
	}
	slices.Sort(files)
	return files
}

// CheckContents compares what the three packages hold, by their names, with what
// they should.
func CheckContents(t *testing.T, files func(name string) []string) {
	t.Helper()
	for name, want := range map[string][]string{"xo-backupd": Laptop, "xs-backupd": Server, "xo-backupd-sugar": Sugar(t)} {
		var got []string
		for _, file := range files(name) {
			if !strings.HasPrefix(file, "/usr/share/doc/") && !strings.HasPrefix(file, "/usr/share/licenses/") {
				got = append(got, strings.TrimSuffix(file, ".gz")) // who compresses manual pages differs
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s holds\n%s\nnot\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// checkModes looks at what is installed: everybody can read it, nobody but root
// can write it, and nothing but programs and scripts can be run.
func (r *Root) checkModes(t *testing.T) {
	t.Helper()
	for _, file := range slices.Concat(Laptop, Server, Sugar(t)) {
		info, err := os.Stat(r.Path(file))
		if os.IsNotExist(err) {
			info, err = os.Stat(r.Path(file + ".gz"))
		}
		if err != nil {
			t.Error(err)
			continue
		}
		want := fs.FileMode(0o644)
		if strings.HasPrefix(file, "/usr/bin/") || strings.HasSuffix(file, ".sh") {
			want = 0o755
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, not %v", file, info.Mode().Perm(), want)
		}
	}
}
