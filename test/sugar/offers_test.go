package sugar

import (
	"regexp"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Children's colours.
const (
	red   = "#FF2B34,#00A0FF"
	green = "#008009,#FFFA00"
)

// school is a server that lets known laptops in again by a policy.
func school(t *testing.T, reflash string) *bed.XS {
	t.Helper()
	return bed.XSFor(t, bed.ServerOptions{Args: []string{"--reflash", reflash}})
}

// learns has the child of a laptop make some entries and save them at school; then
// the laptop is set up anew for somebody. It answers what the Journal was.
func learns(t *testing.T, x *bed.XO, s *bed.XS, entries int, next, color string) bed.Journal {
	t.Helper()
	check(t, x.PointAt(s))
	check(t, x.Register(t.Context()))
	_, err := x.FillJournal(t.Context(), entries, 1)
	check(t, err)
	journal, err := x.ReadJournal(t.Context())
	check(t, err)
	r, err := x.Job(t.Context(), "Backup")
	check(t, err)
	check(t, r.OK())
	check(t, x.Reflash(t.Context()))
	x.Options.Nick, x.Options.Color = next, color
	check(t, x.Wizard(t.Context()))
	check(t, x.PointAt(s))
	return journal
}

func back(t *testing.T, x *bed.XO, before bed.Journal) {
	t.Helper()
	after, err := x.ReadJournal(t.Context())
	check(t, err)
	check(t, before.Diff(after, "checksum"))
}

func TestFrameOffers(t *testing.T) {
	long(t)
	t.Parallel()
	xs, x := school(t, "automatic"), bed.XOFor(t, bed.Options{})
	journal := learns(t, x, xs, 12, "Amara", red)
	s := shellFor(t, x, bed.ShellOptions{Screen: "800x600", Scaling: "100"})
	do(t, s, "frame School backup", "see Is this you", "see Amara, 12 entries, saved today", "shoot frame-offer",
		"click Yes, bring my Journal back", "see ^Back up now")
	back(t, x, journal)
	calm(t, s)
}

// Two children have had this laptop. The school lets in whom a teacher lets in.
func TestFrameWhichOne(t *testing.T) {
	long(t)
	t.Parallel()
	xs, x := school(t, "approval"), bed.XOFor(t, bed.Options{})
	journal := learns(t, x, xs, 7, "José", green)
	check(t, x.Backup().Call("org.laptop.Backup.Dismiss", 0, "not-me").Err)
	learns(t, x, xs, 3, "Amara", red)
	s := shellFor(t, x, bed.ShellOptions{})
	do(t, s, "frame School backup", "see Which one is you", "see José, 3 entries", "shoot frame-which",
		"click Amara, 7 entries", "see Show this to your teacher", "shoot frame-sign")
	_, err := xs.Run(t.Context(), "approve", "--all", "--for", "1h")
	check(t, err)
	do(t, s, "see ^Back up now")
	back(t, x, journal)
	calm(t, s)
}

// A laptop that nobody knows, in place of a child's own.
func TestFrameCode(t *testing.T) {
	long(t)
	t.Parallel()
	xs, x := school(t, "approval"), bed.XOFor(t, bed.Options{})
	journal := learns(t, x, xs, 7, "José", green)
	other := bed.XOFor(t, bed.Options{Serial: "SHC00500002", UUID: "5b2e8a3c-9d41-4f6e-8a70-1c0de0500002"})
	check(t, other.PointAt(xs))
	s := shellFor(t, other, bed.ShellOptions{Screen: "800x600", Scaling: "100"})
	do(t, s, "frame School backup", "click I have a code", "see The code that your teacher", "type 1234 567",
		"click ^Bring my Journal back$", "see cannot be right", "shoot frame-code", "key ctrl+a")
	code, err := xs.Run(t.Context(), "code", "SHC00500001")
	check(t, err)
	do(t, s, "type "+regexp.MustCompile(`\d{4} \d{4}`).FindString(code), "click ^Bring my Journal back$", "see ^Back up now")
	back(t, other, journal)
	calm(t, s)
}
