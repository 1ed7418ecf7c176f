package sugar

import (
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A laptop that was set up anew asks whether it is its child's, and then has
// everything again.
func TestIntroYes(t *testing.T) {
	s := bed.XSFor(t, bed.ServerOptions{Args: []string{"--reflash", "automatic"}})
	p := pupilAt(t, s, bed.Options{}, 5)
	p.reflash(t, s)
	shell := startShell(t, p.XO, bed.ShellOptions{})
	drive(t, shell, "intro_yes", "Amara")
	if err := shell.AwaitJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.isBack(t)
}

type pupil struct {
	*bed.XO
	journal bed.Journal
}

// pupilAt has a child back up a Journal of n entries.
func pupilAt(t *testing.T, s *bed.XS, o bed.Options, n int) pupil {
	t.Helper()
	x := bed.XOFor(t, o)
	ok(t, x.PointAt(s))
	ok(t, x.Register(t.Context()))
	must(x.FillJournal(t.Context(), n, 1))(t)
	journal := must(bed.ReadDisk(x.Datastore))(t)
	ok(t, must(x.Job(t.Context(), "Backup"))(t).OK())
	return pupil{x, journal}
}

func (p pupil) reflash(t *testing.T, s *bed.XS) {
	t.Helper()
	ok(t, p.Reflash(t.Context()))
	ok(t, p.PointAt(s))
}

func (p pupil) isBack(t *testing.T) {}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
