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
	uids, _ := fill(t, x, 5)
	entry, err := x.ReadEntry(t.Context(), uids[1])
	must(t, err)
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
print(titles(''))
loop = GLib.MainLoop()
bus.add_signal_receiver(lambda *a: loop.quit(), 'JobRemoved', 'org.laptop.Backup', 'org.laptop.Backup', '/org/laptop/Backup')
backup.Restore('')
loop.run()
`)
	out, err := x.Command(t.Context(), "/usr/bin/python3", "-c", script.String(), uids[1]).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 4 {
		t.Fatalf("it said\n%s", out)
	}
	title := strings.Join(strings.Fields(string(entry.Props["title"])), " ")
	for i, want := range []string{"done ", "It is safe already.", title, "restore done "} {
		if !strings.Contains(strings.Join(strings.Fields(lines[i]), " "), want) {
			t.Errorf("line %d is %q, without %q", i+1, lines[i], want)
		}
	}
}
