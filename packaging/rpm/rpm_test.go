// Package rpm tests that the rpm packages build offline, hold what they should
// and can be lived with.
package rpm

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/packaging/cleanroot"
)

var names = []string{"xo-backupd", "xs-backupd", "xo-backupd-sugar"}

// build answers the three packages in the order of their names.
func build(t *testing.T, version string) (packages []string) {
	t.Helper()
	built := cleanroot.Build(t, "rpm.sh", version, "RPM_MACROS="+macros(t))
	binary := slices.DeleteFunc(slices.Clone(built), func(file string) bool { return strings.HasSuffix(file, ".src.rpm") })
	if len(built) != 4 || len(binary) != 3 {
		t.Fatalf("built %v", built)
	}
	for _, name := range names {
		packages = append(packages, cleanroot.Pick(t, binary, name+"-"+version+"-1"))
	}
	return packages
}

// macros is a file that has rpmbuild not compress, which takes it most of its time.
func macros(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "macros")
	if err := os.WriteFile(file, []byte("%_source_payload w0.gzdio\n%_binary_payload w0.gzdio\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPackages(t *testing.T) {
	old, new := build(t, cleanroot.Old), build(t, cleanroot.New)
	t.Run("contents", func(t *testing.T) {
		cleanroot.CheckContents(t, func(name string) []string { return contents(t, cleanroot.Pick(t, new, name+"-"+cleanroot.New)) })
		if sugar := cleanroot.Pick(t, new, "xo-backupd-sugar-"); !strings.HasSuffix(sugar, ".noarch.rpm") {
			t.Errorf("%s is not for every machine", sugar)
		}
	})
	t.Run("life", func(t *testing.T) { life(t, old, new) })
}

// contents are the files of a package, without its folders.
func contents(t *testing.T, file string) (files []string) {
	t.Helper()
	for line := range strings.Lines(run(t, "rpm", "-qp", "--qf", "[%{FILENAMES}\t%{FILEMODES:perms}\n]", file)) {
		name, mode, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if !strings.HasPrefix(mode, "d") {
			files = append(files, name)
		}
	}
	return files
}

func life(t *testing.T, old, new []string) {
	root := cleanroot.Small(t)
	rpm := func(args ...string) { // nothing that we depend on is in this root
		run(t, "rpm", append([]string{"--root", root.Dir, "--dbpath", "/var/lib/rpm", "--nodeps"}, args...)...)
	}
	cleanroot.Life{
		Root:    root,
		Install: func(packages ...string) { rpm(append([]string{"--ignorearch", "--upgrade"}, packages...)...) },
		Remove:  func() { rpm(append([]string{"--erase"}, names...)...) },
		Left: []string{
			"/etc/xo-backupd", "/etc/xo-backupd/config.toml.rpmsave",
			"/etc/xs-backupd", "/etc/xs-backupd/config.toml.rpmsave",
		},
	}.Lead(t, old, new)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	return cleanroot.Run(t, exec.Command(name, args...))
}
