package sugar

import (
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// school is a server that lets known laptops in again by a policy.
func school(t *testing.T, reflash string) *bed.XS {
	t.Helper()
	return bed.XSFor(t, bed.ServerOptions{Args: []string{"--reflash", reflash}})
}

// learns has the child of a laptop make some entries and save them at school; then
// the laptop is set up anew for somebody. It answers what the Journal was.
func learns(t *testing.T, x *bed.XO, s *bed.XS, entries int, next string) bed.Journal {
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
	x.Options.Nick = next
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
	xs, x := school(t, "automatic"), bed.XOFor(t, bed.Options{})
	journal := learns(t, x, xs, 12, "Amara")
	s := shellFor(t, x, bed.ShellOptions{Screen: "800x600", Scaling: "100"})
	do(t, s, "key F6", "click School backup", "see Is this you", "see Amara, 12 entries, saved today", "shoot frame-offer",
		"click Yes, bring my Journal back", "see ^Back up now")
	back(t, x, journal)
	calm(t, s)
}
