package sugar

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is said in the sources is in the template, and all of that in every language.
func TestTranslations(t *testing.T) {
	const po = "../../sugar/po"
	fresh := t.TempDir()
	check(t, os.CopyFS(fresh, os.DirFS(po)))
	cmd := exec.Command("../../scripts/po.sh")
	cmd.Env = append(os.Environ(), "XO_BACKUP_PO="+fresh)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("po.sh: %v\n%s", err, out)
	}
	files, err := filepath.Glob(po + "/*.po*")
	check(t, err)
	for _, file := range files {
		is, should := must(os.ReadFile(file))(t), must(os.ReadFile(filepath.Join(fresh, filepath.Base(file))))(t)
		if !bytes.Equal(is, should) {
			t.Errorf("%s is not in step with the sources: run scripts/po.sh, and translate what is new", file)
		}
		if filepath.Ext(file) == ".pot" {
			continue
		}
		said, err := exec.Command("msgfmt", "--check", "--statistics", "--output-file=/dev/null", file).CombinedOutput()
		check(t, err)
		if strings.Contains(string(said), "untranslated") || strings.Contains(string(said), "fuzzy") {
			t.Errorf("%s: %s", file, said)
		}
	}
}
