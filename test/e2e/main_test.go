package e2e

import (
	"flag"
	"os"
	"testing"
)

// TestMain has more tests at once than the machine has processors: most of them
// wait for most of their time, for a line, a server or a clock.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "4")
	}
	os.Exit(m.Run())
}
