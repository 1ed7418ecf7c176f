package e2e

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// TestWizardLines runs the lines of docs/first-boot.md, in their order, as a wizard
// would that has nothing but dbus-send.
func TestWizardLines(t *testing.T) {
	t.Parallel()
	s := bed.XSFor(t, bed.ServerOptions{Env: []string{"XS_BACKUPD_REFLASH=approval"}})
	before := bed.XOFor(t, bed.Options{})
	register(t, before, s)
	_, journal := fill(t, before, 8)
	done(t, before, "Backup")
	must(t, before.Close())

	blocks := wizardBlocks(t)
	for _, c := range []struct {
		what   string
		blocks map[int]func(x *bed.XO) []string // done before the block; answers more of the environment
	}{
		{"approval", map[int]func(*bed.XO) []string{0: nil, 1: nil, 2: func(*bed.XO) []string {
			_, err := s.Run(t.Context(), "approve", "SHC00500001")
			must(t, err)
			return nil
		}}},
		{"code", map[int]func(*bed.XO) []string{3: func(*bed.XO) []string {
			code, err := s.Run(t.Context(), "code", "SHC00500001")
			must(t, err)
			return []string{"CODE=" + strings.TrimSpace(code)}
		}}},
		{"not now", map[int]func(*bed.XO) []string{4: nil}},
	} {
		x := bed.XOFor(t, bed.Options{})
		must(t, x.PointAt(s))
		for i, block := range blocks {
			before, ok := c.blocks[i]
			if !ok {
				continue
			}
			var env []string
			if before != nil {
				env = before(x)
			}
			for _, line := range block {
				line.run(t, x, env)
			}
		}
		if c.what == "approval" {
			holds(t, x, journal)
		}
		must(t, x.Close())
	}
	if len(blocks) != 5 {
		t.Errorf("docs/first-boot.md has %d blocks of lines, and this test runs 5", len(blocks))
	}
}

// docLine is a command in a document, and what its answer has in it.
type docLine struct {
	command string
	answers []string
}

func (l docLine) run(t *testing.T, x *bed.XO, env []string) {
	t.Helper()
	cmd := x.Command(context.WithoutCancel(t.Context()), "sh", "-c", l.command)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatal(err)
	}
	for _, want := range l.answers {
		if !strings.Contains(strings.Join(strings.Fields(string(out)), " "), want) {
			t.Errorf("%s\nanswered\n%s\nwhich has no %s", l.command, out, want)
		}
	}
}

var shBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// wizardBlocks reads the blocks of lines of docs/first-boot.md.
func wizardBlocks(t *testing.T) (blocks [][]docLine) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/first-boot.md")
	must(t, err)
	for _, m := range shBlock.FindAllStringSubmatch(string(doc), -1) {
		var block []docLine
		for part := range strings.SplitSeq(strings.ReplaceAll(m[1], "\\\n", " "), "\n") {
			answer, isAnswer := strings.CutPrefix(part, "#> ")
			switch {
			case isAnswer:
				last := &block[len(block)-1]
				last.answers = append(last.answers, answer)
			case strings.TrimSpace(part) != "":
				block = append(block, docLine{command: part})
			}
		}
		blocks = append(blocks, block)
	}
	return blocks
}
