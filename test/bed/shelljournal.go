package bed

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// LogsTimes is the environment in which the shell logs how long what a child has
// asked for took to be drawn.
var LogsTimes = []string{"SUGAR_LOGGER_LEVEL=info"}

var drawn = regexp.MustCompile(`backup: (the days|the first page) after (\d+) ms`)

// LookIntoSnapshot clicks on the button in the Journal's toolbar and then, on the
// list that it opens, on the newest day; it answers how long it took from the one
// click until the days were drawn, and from the other until the first page of entries
// was. The window is closed again. scripts is the folder test/sugar/drive; the shell's
// environment has to have LogsTimes.
func (s *Shell) LookIntoSnapshot(ctx context.Context, scripts string) (days, page time.Duration, err error) {
	before := len(drawn.FindAllString(s.Log(), -1))
	cmd := s.Command(ctx, "/usr/bin/python3", filepath.Join(scripts, "journal_steps.py"), `
		open
		press Restore from school server
		day entr
		see What should come back
		press Close
		closed`)
	cmd.Env = append(cmd.Env, fmt.Sprint("SHELL_PID=", s.PID()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, out)
	}
	lines := drawn.FindAllStringSubmatch(s.Log(), -1)[before:]
	if len(lines) != 2 {
		return 0, 0, fmt.Errorf("the shell has logged %q", lines)
	}
	took := func(line []string) time.Duration {
		ms, _ := strconv.Atoi(line[2])
		return time.Duration(ms) * time.Millisecond
	}
	return took(lines[0]), took(lines[1]), nil
}
