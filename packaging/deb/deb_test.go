// Package deb tests that the Debian packages hold what they should and can be
// lived with.
package deb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/packaging/cleanroot"
)

var names = []string{"xo-backupd", "xs-backupd", "xo-backupd-sugar"}

// build answers the three packages in the order of their names.
func build(t *testing.T, version string) (packages []string) {
	t.Helper()
	built := cleanroot.Build(t, "deb.sh", version, "DPKG_DEB_COMPRESSOR_TYPE=none", "SOURCE_DATE_EPOCH=1700000000")
	for _, name := range names {
		packages = append(packages, cleanroot.Pick(t, built, name+"_"+version+"_"))
	}
	return packages
}

func TestPackages(t *testing.T) {
	old, new := build(t, cleanroot.Old), build(t, cleanroot.New)
	t.Run("contents", func(t *testing.T) {
		cleanroot.CheckContents(t, func(name string) []string { return contents(t, cleanroot.Pick(t, new, name+"_")) })
	})
	t.Run("reproducible", func(t *testing.T) { reproducible(t, new, build(t, cleanroot.New)) })
	t.Run("dependencies", func(t *testing.T) { dependencies(t, new) })
	t.Run("life", func(t *testing.T) { life(t, old, new) })
}

// contents are the files of a package, without its folders.
func contents(t *testing.T, file string) (files []string) {
	t.Helper()
	for line := range strings.Lines(run(t, "dpkg-deb", "--contents", file)) {
		fields := strings.Fields(line) // mode, owner, size, day, time, name
		if name := fields[5]; !strings.HasSuffix(name, "/") {
			files = append(files, strings.TrimPrefix(name, "."))
		}
		if fields[1] != "root/root" {
			t.Errorf("not root's: %s", line)
		}
	}
	return files
}

func reproducible(t *testing.T, first, second []string) {
	for i := range first {
		a, err := os.ReadFile(first[i])
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(second[i]); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is another when it is built again: %v", filepath.Base(first[i]), err)
		}
	}
}

// What the packages depend on is all on this machine, where Sugar is.
func dependencies(t *testing.T, packages []string) {
	said := run(t, "apt-get", append([]string{"--simulate", "--option=Dir::State::Lists=/nonexistent", "install"}, packages...)...)
	for _, name := range names {
		if !strings.Contains(said, "Conf "+name+" ("+cleanroot.New+" ") {
			t.Errorf("apt would not install %s:\n%s", name, said)
		}
	}
}

func life(t *testing.T, old, new []string) {
	root := cleanroot.Small(t)
	for _, dir := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(root.Path("var/lib/dpkg/"+dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(args ...string) { // nothing that we depend on is in this root
		run(t, "dpkg", append([]string{"--root=" + root.Dir, "--force-depends"}, args...)...)
	}
	cleanroot.Life{
		Root:    root,
		Install: func(packages ...string) { dpkg(append([]string{"--install"}, packages...)...) },
		Remove:  func() { dpkg(append([]string{"--remove"}, names...)...) },
		Purge:   func() { dpkg(append([]string{"--purge"}, names...)...) },
		Left:    cleanroot.Etc(),
	}.Lead(t, old, new)
}

// The same on a Debian of its own, with Sugar and all else that we depend on, by
// apt: that takes minutes and the net, and is asked for (make test-all).
func TestLifeInDebian(t *testing.T) {
	if os.Getenv("XO_CLEAN_ROOT") == "" {
		t.Skip("XO_CLEAN_ROOT is not set")
	}
	root := cleanroot.Empty(t)
	root.Full = true
	old, new := build(t, cleanroot.Old), build(t, cleanroot.New)
	run(t, "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "bookworm", root.Dir)
	cleanroot.Run(t, exec.Command("cp", "/etc/resolv.conf", root.Path("etc/resolv.conf")))
	apt := func(args ...string) {
		cleanroot.Run(t, root.Command("/usr/bin/apt-get", append([]string{"--yes", "--quiet", "--no-install-recommends"}, args...)...))
	}
	apt("update")
	apt(append([]string{"satisfy"}, depends(t, new)...)...)
	apt("install", "python3-carquinyol", "openssh-client") // what else the demo works with
	cleanroot.Life{
		Root: root,
		Install: func(packages ...string) {
			install := []string{"install"}
			for _, file := range packages {
				inside := "/tmp/" + filepath.Base(file)
				cleanroot.Run(t, exec.Command("cp", file, root.Path(inside)))
				install = append(install, inside)
			}
			apt(install...)
		},
		Remove: func() { apt(append([]string{"remove"}, names...)...) },
		Purge:  func() { apt("purge", "xo-backupd", "xs-backupd") }, // of the third apt knows nothing any more
		Left:   cleanroot.Etc(),
	}.Lead(t, old, new)
}

var ours = regexp.MustCompile(`xo-backupd[^,]*, `)

// depends are what packages depend on, beside each other.
func depends(t *testing.T, packages []string) (all []string) {
	t.Helper()
	for _, file := range packages {
		all = append(all, ours.ReplaceAllString(strings.TrimSpace(run(t, "dpkg-deb", "--field", file, "Depends")), ""))
	}
	return all
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	return cleanroot.Run(t, exec.Command(name, args...))
}
