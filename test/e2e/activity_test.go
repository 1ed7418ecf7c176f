package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

var pythonBlock = regexp.MustCompile("(?s)```python\n(.*?)```")

// TestActivityLines runs the Python of docs/sugar.md as an activity would.
func TestActivityLines(t *testing.T) {
	t.Parallel()
	x, _ := pair(t, bed.Options{})
	fill(t, x, 5)
	uid, err := x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": []byte("A tale of two turtles")}})
	must(t, err)
	must(t, x.Settle(t.Context()))
	doc, err := os.ReadFile("../../docs/sugar.md")
	must(t, err)
	var script strings.Builder
	for _, m := range pythonBlock.FindAllStringSubmatch(string(doc), -1) {
		script.WriteString(m[1])
	}
	script.WriteString(`
import sys
from gi.repository import GLib
print(*save_at_school(sys.argv[1]))
print(*save_at_school(sys.argv[1]))
print(*titles('tale'))
loop = GLib.MainLoop()
bus.add_signal_receiver(lambda job, operation, *a: operation == 'restore' and loop.quit(), 'JobRemoved', 'org.laptop.Backup', 'org.laptop.Backup', '/org/laptop/Backup')
backup.Restore('')
loop.run()
`)
	out, err := x.Command(t.Context(), "/usr/bin/python3", "-c", script.String(), uid).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	wanted := []string{"done ", "It is safe already.", "A tale of two turtles", "backup done ", "restore done "}
	if len(lines) != len(wanted) {
		t.Fatalf("it said\n%s", out)
	}
	for i, want := range wanted {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, without %q", i+1, lines[i], want)
		}
	}
}
