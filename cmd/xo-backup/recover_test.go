package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// gate is what the engine of a test says to who claims.
type gate struct {
	offers  []dbus.Found
	claim   func(account, code string) (dbus.Claim, error) // nil: granted
	await   func(ctx context.Context) (dbus.Claim, error)  // nil: no claim waits
	claims  []string                                       // that came: account|code
	answers []string                                       // that were given by Dismiss
}

func (e *engine) FindBackups(context.Context) ([]dbus.Found, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.offers, e.err
}

func (e *engine) Claim(_ context.Context, account, code string) (dbus.Claim, error) {
	e.mu.Lock()
	e.claims = append(e.claims, account+"|"+code)
	claim := e.claim
	e.mu.Unlock()
	if claim == nil {
		return dbus.Claim{Account: account, State: dbus.ClaimGranted}, nil
	}
	return claim(account, code)
}

func (e *engine) Dismiss(_ context.Context, reason string) error {
	e.set(func(e *engine) { e.answers = append(e.answers, reason) })
	return e.problem()
}

func (e *engine) PendingClaim() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.await != nil
}

func (e *engine) AwaitClaim(ctx context.Context) (dbus.Claim, error) {
	e.mu.Lock()
	await := e.await
	e.mu.Unlock()
	return await(ctx)
}

// claimed answers what was claimed since it was last asked.
func (e *engine) claimed() (list []string) {
	e.set(func(e *engine) { list, e.claims = e.claims, nil })
	return list
}

const broughtBack = `Restored "", replace false, deleted true.` + "\n"

// ana and ben are children whose Journals are at school.
func ana() dbus.Found {
	return dbus.Found{Account: "SHC1", Nick: "Ana", Entries: 412, Claim: "automatic", LastBackup: time.Now().AddDate(0, 0, -3).Unix()}
}

func ben() dbus.Found {
	return dbus.Found{Account: "SHC2", Nick: "Be\x1b[31mn", Group: "4th Grade", Entries: 1, Claim: "approval", LastBackup: 1_600_000_000}
}

func anasWords() string {
	return "Ana's Journal, 412 entries, last saved " + time.Now().AddDate(0, 0, -3).Weekday().String()
}

const bensWords = "Be [31mn's Journal (4th Grade), 1 entry, last saved on 2020-09-1"

// TestRecoverWithoutAPerson: the only Journal comes back; which of several, nobody
// is there to be asked.
func TestRecoverWithoutAPerson(t *testing.T) {
	b, e := bed(t)
	e.set(func(e *engine) { e.offers = []dbus.Found{ana()} })
	stdout, stderr, code := run(t, b, "recover")
	if code != 0 || stdout != broughtBack || stderr != "The school server keeps "+anasWords()+".\n" {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	if got := e.claimed(); !reflect.DeepEqual(got, []string{"SHC1|"}) {
		t.Errorf("%q", got)
	}
	stdout, stderr, code = run(t, b, "recover", "--json")
	if code != 0 || stderr != "" || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, `"operation":"restore","result":"done","error_name":"","message":"Restored `) {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	e.claimed()

	e.set(func(e *engine) { e.offers = append(e.offers, ben()) })
	for _, args := range []string{"recover", "recover --yes"} {
		stdout, stderr, code = run(t, b, strings.Fields(args)...)
		want := "xo-backup: There are several Journals for this laptop: say which with --account.\n  --account SHC1    " + anasWords() + "\n  --account SHC2    " + bensWords
		if code != 1 || stdout != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("%s: exit status %d\n%s%s", args, code, stdout, stderr)
		}
	}
	stdout, stderr, code = run(t, b, "recover", "--json")
	var o outcome
	if err := json.Unmarshal([]byte(stdout), &o); err != nil || code != 1 || o.Result != "failed" || !strings.Contains(o.Message, "--account SHC2") || stderr != "" {
		t.Errorf("exit status %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if got := e.claimed(); got != nil {
		t.Errorf("claimed %q", got)
	}
	if stdout, stderr, code := run(t, b, "recover", "--account", "SHC2"); code != 0 || stdout != broughtBack || stderr != "" {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	if got := e.claimed(); !reflect.DeepEqual(got, []string{"SHC2|"}) {
		t.Errorf("%q", got)
	}
}

// TestRecoverAsks: whose Journal it is, a person says.
func TestRecoverAsks(t *testing.T) {
	b, e := bed(t)
	one, two := []dbus.Found{ana()}, []dbus.Found{ana(), ben()}
	const is, which = "Is this you? [y/N] ", "Which one is you? 1 to 2, or 0 for none: "
	for _, c := range []struct {
		offers  []dbus.Found
		args    string
		input   string
		asked   string
		times   int
		claimed []string
	}{
		{one, "", "y\n", is, 1, []string{"SHC1|"}},
		{one, "", "YES\n", is, 1, []string{"SHC1|"}},
		{one, "", "n\n", is, 1, nil},
		{one, "", "\n", is, 1, nil},
		{one, "--yes", "", is, 0, []string{"SHC1|"}},
		{one, "--json", "n\n", is, 1, nil},
		{two, "", "2\n", which, 1, []string{"SHC2|"}},
		{two, "-y", "1\n", which, 1, []string{"SHC1|"}},
		{two, "", "0\n", which, 1, nil},
		{two, "", "None\n", which, 1, nil},
		{two, "", "7\n-1\nAna\n\n2\n", which, 5, []string{"SHC2|"}},
		{two, "", "", which, 1, nil}, // nobody types any more
		{two, "--account SHC2", "", which, 0, []string{"SHC2|"}},
	} {
		e.set(func(e *engine) { e.offers = c.offers })
		out, code := terminal(t, b, c.input, append([]string{"recover"}, strings.Fields(c.args)...)...)
		want := []string{broughtBack}
		if c.claimed == nil {
			want = []string{"Nothing was changed.\n", "recover --not-me\n", "recover --afresh\n", "recover --later\n"}
		}
		if c.times > 0 {
			want = append(want, anasWords())
		}
		for _, want := range want {
			if !strings.Contains(out, want) {
				t.Errorf("%q, %q: no %q", c.args, c.input, want)
			}
		}
		got := e.claimed()
		if strings.Count(out, c.asked) != c.times || (code == 0) != (c.claimed != nil) || code > 1 || !reflect.DeepEqual(got, c.claimed) {
			t.Errorf("%q, %q: exit status %d, claimed %q\n%s", c.args, c.input, code, got, out)
		}
	}
	if out, _ := terminal(t, b, "0\n", "recover"); !strings.Contains(out, "  1  "+anasWords()+"\n  2  "+bensWords) {
		t.Errorf("%s", out)
	}
}

// TestOfferWithoutWords: what is not known is not said.
func TestOfferWithoutWords(t *testing.T) {
	if got := (offer{account: "SHC1"}).describe(time.Now()); got != "the Journal of SHC1, 0 entries, never saved" {
		t.Error(got)
	}
}

// TestNothingToRecover: what there is to do then.
func TestNothingToRecover(t *testing.T) {
	b, e := bed(t)
	_, stderr, code := run(t, b, "recover")
	if code != 1 || !strings.HasPrefix(stderr, "xo-backup: The school server keeps nothing") || !strings.Contains(stderr, "xo-backup recover CODE\n") || !strings.Contains(stderr, "xo-backup register\n") {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
	e.set(func(e *engine) { e.status.Account = "SHC1" })
	_, stderr, code = run(t, b, "recover")
	if code != 1 || !strings.HasPrefix(stderr, "xo-backup: There is nothing to recover: this laptop is SHC1") || !strings.Contains(stderr, "xo-backup restore\n") {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
	e.set(func(e *engine) { e.err = problem{"ServerUnavailable", "Away."} })
	if _, stderr, code := run(t, b, "recover"); code != 3 || stderr != "xo-backup: Away.\n" {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
	if got := e.claimed(); got != nil {
		t.Errorf("claimed %q", got)
	}
}

// TestRecoverByCode: it goes on as it was typed, and asks for nothing else.
func TestRecoverByCode(t *testing.T) {
	b, e := bed(t)
	for _, args := range [][]string{{"1234", "5678"}, {"1234 5678"}, {"١٢٣٤-٥٦٧٨"}} {
		if stdout, stderr, code := run(t, b, append([]string{"recover"}, args...)...); code != 0 || stdout != broughtBack || stderr != "" {
			t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
		}
		if got, want := e.claimed(), []string{"|" + strings.Join(args, " ")}; !reflect.DeepEqual(got, want) {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if _, stderr, code := run(t, b, "recover", " "); code != 2 || !strings.Contains(stderr, "the CODE is empty") {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{problem{"InvalidArgument", "The code cannot be right."}, 1, "xo-backup: The code cannot be right.\n"},
		{problem{"ClaimRefused", "Not this code."}, 1, "xo-backup: Not this code.\nNext: xo-backup recover CODE, with a code from whoever looks after the school server\n"},
		{problem{"ServerBusy", "Too many tries."}, 3, "xo-backup: Too many tries.\n"},
	} {
		e.set(func(e *engine) {
			e.claim = func(string, string) (dbus.Claim, error) { return dbus.Claim{}, c.err }
		})
		if stdout, stderr, code := run(t, b, "recover", "1234", "5679"); code != c.code || stdout != "" || stderr != c.want {
			t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
		}
	}
}

// TestRecoverFollows: a restore that is under way is the one that is shown.
func TestRecoverFollows(t *testing.T) {
	b, e := bed(t)
	goOn := make(chan struct{})
	begun := 0
	e.set(func(e *engine) {
		e.offers = []dbus.Found{ana()}
		e.restore = func(progress func(dbus.Progress)) (dbus.Outcome, error) {
			e.set(func(*engine) { begun++ })
			progress(dbus.Progress{Phase: "fetching", Entries: 412})
			<-goOn
			return dbus.Outcome{Partial: true, Message: "All but one is back."}, nil
		}
	})
	if out, err := b.Send(t, dbus.BusName, string(dbus.Path), dbus.Interface+".Restore", "string:"); err != nil {
		t.Fatal(out)
	}
	w := begin(t, b, "recover")
	bustest.Await(t, "the progress", func() bool { return w.stdout.String() != "" })
	close(goOn)
	if stdout, stderr, code := w.end(); code != 4 || begun != 1 || stdout != "Fetching, 0 of 412 entries, 0 %\nAll but one is back.\n" {
		t.Errorf("exit status %d, begun %d times\n%s%s", code, begun, stdout, stderr)
	}
}

// TestDismiss: the other answers to the offer.
func TestDismiss(t *testing.T) {
	b, e := bed(t)
	for reason, want := range map[string]string{
		"later":  "Nothing was changed: the Journal stays at school, and the offer of it stays.\nNext: xo-backup recover\n",
		"afresh": "A new Journal starts on this laptop; the old one stays at school.\nNext: xo-backup register\n",
		"not-me": "This laptop gets an account of its own; what is at school stays with those whose it is.\nNext: xo-backup register\n",
	} {
		e.set(func(e *engine) { e.answers = nil })
		if stdout, stderr, code := run(t, b, "recover", "--"+reason); code != 0 || stdout != want || stderr != "" {
			t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
		}
		said, _, _ := strings.Cut(want, "\n")
		stdout, _, code := run(t, b, "recover", "--json", "--"+reason)
		if code != 0 || !strings.Contains(stdout, fmt.Sprintf(`"result":"done","error_name":"","message":%q`, said)) {
			t.Errorf("exit status %d\n%s", code, stdout)
		}
		e.set(func(e *engine) {
			if !reflect.DeepEqual(e.answers, []string{reason, reason}) {
				t.Errorf("%q", e.answers)
			}
		})
	}
	e.set(func(e *engine) { e.err = problem{"ServerBusy", "Busy."} })
	if _, stderr, code := run(t, b, "recover", "--afresh"); code != 3 || stderr != "xo-backup: Busy.\n" {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
	if got := e.claimed(); got != nil {
		t.Errorf("claimed %q", got)
	}
}
