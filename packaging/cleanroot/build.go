package cleanroot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Build builds packages by one of our scripts, and answers their files.
func Build(t *testing.T, script, version string, env ...string) []string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command(filepath.Join("../../scripts", script), out)
	cmd.Env = append(append(os.Environ(), "VERSION="+version, "GOPROXY=off"), env...)
	Run(t, cmd)
	packages, err := filepath.Glob(filepath.Join(out, "*."+strings.TrimSuffix(script, ".sh")))
	must(t, err)
	return packages
}

// Pick answers the package whose file's name begins so.
func Pick(t *testing.T, packages []string, prefix string) string {
	t.Helper()
	for _, file := range packages {
		if strings.HasPrefix(filepath.Base(file), prefix) {
			return file
		}
	}
	t.Fatalf("no %s... in %v", prefix, packages)
	return ""
}
