package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Sugar's own registration, with the new key of a laptop that was set up anew, takes
// no account away and makes none: it waits, with a sign, and the old key stays.
func TestSugarRegistersAgain(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 3)
	x := bareAt(t, s, laptopNo(1))
	x.Options.Nick = "Beto"
	must(t, x.Wizard(t.Context()))
	if url, err := x.SugarRegister(t.Context(), s); err == nil {
		t.Fatalf("registered as %s", url)
	}
	l := accountLine(t, s, p.account)
	if len(accounts(t, s)) != 1 || len(l.Requests) != 1 || l.Requests[0].State != "pending" || l.Requests[0].Nick != "Beto" || l.Requests[0].By != "registration" {
		t.Fatalf("%+v", l)
	}
	done(t, p.XO, "Backup")

	// Once a person has said yes it is registered, and so are we.
	admin(t, s, "approve", p.account)
	url, err := x.SugarRegister(t.Context(), s)
	must(t, err)
	if !strings.HasPrefix(url, p.account+"@") {
		t.Errorf("registered as %q", url)
	}
	must(t, x.Register(t.Context()))
	stateIs(t, x, "idle")
	done(t, x, "Restore", "")
	holds(t, x, p.journal)
	done(t, x, "Backup")
}

// afresh is a pupil's laptop that was set up anew and has gone through Sugar's
// wizard, for a child of that name.
func afresh(t *testing.T, p pupil, s *bed.XS, nick string) {
	t.Helper()
	reflash(t, p.XO, s)
	p.Options.Nick = nick
	must(t, p.Wizard(t.Context()))
}

// The same child on the same laptop: Register is all that it takes.
func TestRegisterClaims(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 3)
	afresh(t, p, s, p.Options.Nick)
	must(t, p.Register(t.Context()))
	p.isBack(t, p.XO)
	if l := accounts(t, s); len(l) != 1 || len(l[0].Requests) != 1 || l[0].Requests[0].By != "automatic" {
		t.Errorf("%+v", l)
	}
	url, err := p.SugarRegister(t.Context(), s)
	if err != nil || !strings.HasPrefix(url, p.account+"@") {
		t.Errorf("Sugar registers as %q: %v", url, err)
	}
}

// Another child on a laptop that is known: Register names whose it was and what
// comes next. Once somebody has said whose it is now, that child has an account of
// its own, and the first one's is untouched.
func TestRegisterOnKnownLaptop(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	for i, c := range []struct {
		name, nick, answer string
		registered         bool // by the answer itself
	}{
		{"another child", "Beto", "not-me", true},
		{"a new beginning", "Beto", "afresh", false},
		{"the same child wants none of it", "Amara", "afresh", false},
		{"another child of that name", "Amara", "not-me", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := pupilAt(t, s, laptopNo(i), 3)
			afresh(t, p, s, c.nick)
			if c.nick != "Amara" {
				err := p.Register(t.Context())
				refused(t, err, "ServerRefused")
				for _, word := range []string{"Amara", "recover"} {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("no %s in: %v", word, err)
					}
				}
				stateIs(t, p.XO, "first-boot")
			}
			dismiss(t, p.XO, c.answer)
			if has := property[string](t, p.XO, "Account") != ""; has != c.registered {
				t.Errorf("after %s it has an account: %t", c.answer, has)
			}
			must(t, p.Register(t.Context()))
			stateIs(t, p.XO, "idle")
			own := property[string](t, p.XO, "Account")
			before := atSchool(t, s, p.account)
			_, journal := fill(t, p.XO, 2)
			done(t, p.XO, "Backup")
			if own == p.account || atSchool(t, s, p.account) != before {
				t.Errorf("its account %s, and %s is not what it was: %s", own, p.account, atSchool(t, s, p.account))
			}
			if first := accountLine(t, s, p.account); len(first.Requests) > 0 || first.Snapshots != 1 {
				t.Errorf("somebody still asks for the first one's: %+v", first)
			}
			url, err := p.SugarRegister(t.Context(), s)
			if err != nil || !strings.HasPrefix(url, own+"@") {
				t.Errorf("Sugar registers as %q: %v", url, err)
			}
			must(t, p.WipeJournal(t.Context()))
			done(t, p.XO, "Restore", "")
			holds(t, p.XO, journal)

			l := accountLine(t, s, own)
			if l.Nick != c.nick || l.Snapshots != 1 || l.Entries != 2 {
				t.Errorf("%+v", l)
			}
			if alike := slices.Contains(l.LooksLike, p.account); alike != (c.nick == "Amara") {
				t.Errorf("%s looks like %v", own, l.LooksLike)
			}
		})
	}
}
