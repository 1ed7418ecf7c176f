package sugar

import (
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// small is a screen of 800 by 600, as it is drawn on a PC.
var small = bed.ShellOptions{Screen: "800x600", Scaling: "100"}

// A laptop that was set up anew asks whether it is its child's; only a yes is one,
// and then everything is back.
func TestIntroYes(t *testing.T) {
	t.Parallel()
	s := schoolFor(t, "automatic")
	p := ownerAt(t, s, bed.Options{}, 5)
	p.reflash(t, s)
	shell := startShell(t, p.XO, bed.ShellOptions{})
	steps(t, shell, `
		see Is this you
		see Amara
		see 4th Grade
		see 5 entries, last saved today
		shoot intro-question
		key Return Return Return KP_Enter space Escape Return Return Return
		see Yes, this is me`)
	if admin(t, s, "accounts", "--json") != p.accounts {
		t.Errorf("Return has said yes: %s", admin(t, s, "accounts", "--json"))
	}
	steps(t, shell, `click Yes, this is me`)
	p.isBack(t, shell)
}

// Where a person has to say so, the sign is shown, and it goes on by itself.
func TestIntroApproval(t *testing.T) {
	long(t)
	t.Parallel()
	s := schoolFor(t, "approval")
	p := ownerAt(t, s, bed.Options{}, 5)
	p.reflash(t, s)
	shell := startShell(t, p.XO, small)
	steps(t, shell, `
		see Is this you
		shoot intro-question-small
		click Yes, this is me
		see Show this to your teacher
		key Return Escape Return
		shoot intro-sign-small`)
	steps(t, shell, "see ^"+p.sign(t, s)+"$")
	admin(t, s, "approve", p.account)
	p.isBack(t, shell)
}

// What a person has refused can still be had with a code, in the child's digits.
func TestIntroCode(t *testing.T) {
	long(t)
	t.Parallel()
	s := schoolFor(t, "approval")
	p := ownerAt(t, s, bed.Options{}, 3)
	p.reflash(t, s)
	shell := startShell(t, p.XO, bed.ShellOptions{Env: []string{"LANGUAGE=ar"}})
	steps(t, shell, `
		see Is this you
		shoot intro-question-ar
		click Yes, this is me
		see Show this to your teacher
		shoot intro-sign-ar`)
	admin(t, s, "approve", p.account, "--refuse")
	code := admin(t, s, "code", p.account)
	steps(t, shell, `
		see Your teacher has said no
		shoot intro-refused-ar
		click I have a code
		see Type your code
		key Return
		type `+mistyped(code)+`
		key Return
		see not a whole code
		shoot intro-code-ar
		key ctrl+a
		keyboard ara digits
		type `+arabic(code)+`
		shoot intro-digits-ar
		click OK`)
	p.isBack(t, shell)
}

// A laptop in place of another is not recognised: its child has a code, or a sign.
func TestIntroReplaced(t *testing.T) {
	long(t)
	t.Parallel()
	s := schoolFor(t, "approval")
	p := ownerAt(t, s, bed.Options{}, 4)
	p.XO = bed.XOFor(t, bed.Options{Bare: true, Serial: "SHC00500002", UUID: "5b2e8a3c-9d41-4f6e-8a70-1c0de0500002"})
	ok(t, p.PointAt(s))
	shell := startShell(t, p.XO, small)
	steps(t, shell, `
		see Click to change color
		shoot intro-link-small
		click I had a laptop before
		see Type your code
		type 11111111
		key Return
		see not a whole code
		key ctrl+a
		type 11223344
		shoot intro-code-small
		click Back
		see Click to change color
		click I had a laptop before
		click I have no code
		see Show this to your teacher`)
	admin(t, s, "approve", p.account, "--sign", p.sign(t, s))
	p.isBack(t, shell)
}

// Who starts afresh goes through the wizard as it is, and may still change its mind.
func TestIntroAfresh(t *testing.T) {
	long(t)
	t.Parallel()
	s := schoolFor(t, "automatic")
	p := ownerAt(t, s, bed.Options{}, 2)
	p.reflash(t, s)
	shell := startShell(t, p.XO, bed.ShellOptions{})
	steps(t, shell, `
		click No, start afresh
		click I had a laptop before
		see Is this you
		click No, start afresh
		`+stockWizard)
	ok(t, shell.AwaitJournal(t.Context()))
	if got := admin(t, s, "accounts", "--json"); got != p.accounts {
		t.Errorf("at school it is not as it was: %s", got)
	}
	if found := must(p.Find(t.Context()))(t); len(found) != 0 {
		t.Errorf("the Journal has %d entries", len(found))
	}
}

// Several children had this laptop. One of them chooses itself, and nobody is chosen
// by a slip.
func TestIntroSeveral(t *testing.T) {
	long(t)
	t.Parallel()
	s := schoolFor(t, "automatic")
	amara := ownerAt(t, s, bed.Options{}, 2)
	amara.reflash(t, s)
	x := amara.XO
	ok(t, x.Backup().Call(bed.BackupName+".Dismiss", 0, "not-me").Err)
	x.Options.Nick, x.Options.Color, x.Options.Group = "Beto", "#00A0FF,#8BFF7A", "5th Grade"
	ok(t, x.Wizard(t.Context()))
	beto := ownerOf(t, s, x, 3)
	beto.reflash(t, s)
	shell := startShell(t, x, bed.ShellOptions{})
	steps(t, shell, `
		see Which one is you
		shoot intro-choice
		click Amara
		see 2 entries, last saved today
		click Back
		click Beto
		see 3 entries, last saved today
		click Yes, this is me`)
	beto.isBack(t, shell)
}

// stockWizard goes through the wizard as it is, from its page of colours on, where
// Sugar takes the name from the system.
const stockWizard = `
	see Click to change color
	click Back
	see Name:
	key ctrl+a
	type Zora
	key Return
	see Click to change color
	click Next
	see Select grade
	above Preschool
	click Done`

func schoolFor(t *testing.T, reflash string) *bed.XS {
	t.Helper()
	return bed.XSFor(t, bed.ServerOptions{Args: []string{"--reflash", reflash, "--max-load", "1000"}})
}

// owner is a child whose Journal is safe at school.
type owner struct {
	*bed.XO
	account  string
	accounts string // what the school server keeps, as it was then
	journal  bed.Journal
}

// ownerAt has a child register, make n entries and back them up.
func ownerAt(t *testing.T, s *bed.XS, o bed.Options, n int) owner {
	t.Helper()
	x := bed.XOFor(t, o)
	ok(t, x.PointAt(s))
	ok(t, x.Register(t.Context()))
	return ownerOf(t, s, x, n)
}

func ownerOf(t *testing.T, s *bed.XS, x *bed.XO, n int) owner {
	t.Helper()
	must(x.FillJournal(t.Context(), n, 1))(t)
	journal := must(bed.ReadDisk(x.Datastore))(t)
	ok(t, must(x.Job(t.Context(), "Backup"))(t).OK())
	account := must(x.Backup().GetProperty("org.laptop.Backup.Account"))(t).Value().(string)
	return owner{x, account, admin(t, s, "accounts", "--json"), journal}
}

func (p owner) reflash(t *testing.T, s *bed.XS) {
	t.Helper()
	ok(t, p.Reflash(t.Context()))
	ok(t, p.PointAt(s))
}

// sign is what the school server shows beside the only request.
func (p owner) sign(t *testing.T, s *bed.XS) string {
	t.Helper()
	for line := range strings.Lines(admin(t, s, "accounts", "--json")) {
		if _, sign, found := strings.Cut(strings.TrimSpace(line), `"sign": "`); found {
			return strings.TrimRight(sign, `",`)
		}
	}
	t.Fatal("nobody asks to be let in")
	return ""
}

// isBack checks that the shell has started, with everything that the child had, and
// that the key which was let in is there still.
func (p owner) isBack(t *testing.T, shell *bed.Shell) {
	t.Helper()
	ok(t, shell.AwaitJournal(t.Context()))
	ok(t, p.journal.Diff(must(p.ReadJournal(t.Context()))(t), "checksum"))
	hasProfile(t, p.XO)
	ok(t, must(p.Job(t.Context(), "Backup"))(t).OK())
}

// profiled says what Sugar thinks of a profile, and whose it is.
const profiled = `
from gi.repository import Gio
from jarabe import intro
settings = Gio.Settings.new('org.sugarlabs.user')
print(intro.check_profile(), intro.check_group_label(), *(settings.get_string(key) for key in ('nick', 'color', 'group-label')), sep='\n')
`

// hasProfile checks that Sugar takes the profile for one, and whose it is.
func hasProfile(t *testing.T, x *bed.XO) {
	t.Helper()
	out := must(x.Command(t.Context(), "/usr/bin/python3", "-W", "ignore", "-c", profiled).Output())(t)
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i, want := range []string{"True", "True", x.Options.Nick, x.Options.Color, x.Options.Group} {
		if i >= len(got) || want != "" && got[i] != want {
			t.Errorf("the profile: %q, and not %q", got, want)
		}
	}
}

func steps(t *testing.T, shell *bed.Shell, lines string) {
	t.Helper()
	drive(t, shell, "intro_steps", lines)
}

func admin(t *testing.T, s *bed.XS, words ...string) string {
	t.Helper()
	return strings.TrimSpace(must(s.Run(t.Context(), words...))(t))
}

// mistyped has another last digit than it should.
func mistyped(code string) string {
	last := len(code) - 1
	return code[:last] + string('1'+(code[last]-'0')%9)
}

// arabic writes a number in Arabic-Indic digits.
func arabic(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return r
		}
		return r - '0' + '٠'
	}, s)
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
