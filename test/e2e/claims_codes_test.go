package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Where a code is asked for, a laptop that was set up anew is let in by it, typed in
// whichever digits the child has.
func TestReflashCode(t *testing.T) {
	t.Parallel()
	s := school(t, "code")
	p := pupilAt(t, s, laptopNo(1), 5)
	in := func(one rune) func(string) string { // the digits of the script whose 1 this is
		return func(code string) string {
			return strings.Map(func(r rune) rune {
				if r == ' ' {
					return r
				}
				return one + r - '1'
			}, code)
		}
	}
	for name, typed := range map[string]func(code string) string{
		"as it is printed": func(code string) string { return code },
		"with blanks":      func(code string) string { return " " + strings.Join(strings.Split(code, ""), "  ") + "\t" },
		"Arabic-Indic":     in('١'),
		"right to left":    func(code string) string { return "\u200f" + strings.ReplaceAll(in('١')(code), " ", "\u00a0\u200f") },
		"Ethiopic":         in('፩'),
		"Devanagari":       in('१'),
	} {
		reflash(t, p.XO, s)
		offersOnly(t, p.XO, p.offered("code"))
		code := typed(admin(t, s, "code", p.account))
		t.Logf("%s: %q", name, code)
		letIn(t, p.XO, "", code)
		stateIs(t, p.XO, "idle")
	}
	p.isBack(t, p.XO)
}

// wrongCode is one that is typed as it should be, and nobody's.
func wrongCode(n int) string {
	for first := byte(1); ; first++ { // until there is no 0 in it
		if code, ok := wire.NewCode([7]byte{first, 1, 2, 3, 4, 5, byte(n)}); ok {
			return code.String()
		}
	}
}

// Whatever is wrong with a code, it is refused in the same words, which tell of no
// account.
func TestCodeThatIsNotRight(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p, q := pupilAt(t, s, laptopNo(1), 1), pupilAt(t, s, laptopNo(2), 1)
	code := func() string { return admin(t, s, "code", p.account) }
	words := map[string]bool{}
	for i, c := range []struct {
		name string
		make func() (account, code string)
	}{
		{"nobody's", func() (string, string) { return "", wrongCode(1) }},
		{"nobody's, for an account", func() (string, string) { return p.account, wrongCode(2) }},
		{"nobody's, for no account that there is", func() (string, string) { return "SHC00699999", wrongCode(3) }},
		{"of another account", func() (string, string) { return q.account, code() }},
		{"right, for no account that there is", func() (string, string) { return "SHC00699999", code() }},
		{"followed by another", func() (string, string) { old := code(); code(); return "", old }},
		{"too old", func() (string, string) { old := code(); age(t, s, p.account); return "", old }},
		{"used", func() (string, string) {
			used := code()
			letIn(t, bareAt(t, s, laptopNo(10)), "", used)
			return p.account, used
		}},
	} {
		account, code := c.make()
		x := bareAt(t, s, laptopNo(20+i))
		said := deniedClaim(t, x, "ClaimRefused", account, code)
		words[said] = true
		if strings.Contains(said, "SHC") || len(words) > 1 {
			t.Errorf("%s: %s", c.name, said)
		}
		stateIs(t, x, "first-boot")
		offersOnly(t, x)
	}
	t.Log(words)
}

// age makes the account's code eight days old.
func age(t *testing.T, s *bed.XS, account string) {
	t.Helper()
	file := filepath.Join(s.Root, account, "account.json")
	b, err := os.ReadFile(file)
	must(t, err)
	made := regexp.MustCompile(`"made": (\d+)`)
	aged := made.ReplaceAllStringFunc(string(b), func(m string) string {
		var at int64
		_, err := fmt.Sscanf(m, `"made": %d`, &at)
		must(t, err)
		return fmt.Sprintf(`"made": %d`, at-8*24*3600)
	})
	if aged == string(b) {
		t.Fatalf("no code in %s", b)
	}
	must(t, os.WriteFile(file, []byte(aged), 0o600))
}

// What is mistyped is no try: the code that was meant is taken afterwards.
func TestMistypedCode(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 2)
	x := bareAt(t, s, laptopNo(2))
	code := admin(t, s, "code", p.account)
	for i := range code {
		if code[i] == ' ' {
			continue
		}
		other := byte('1' + (code[i]-'0')%9)
		deniedClaim(t, x, "InvalidArgument", "", code[:i]+string(other)+code[i+1:])
	}
	for _, typed := range []string{code[1:], code + "1", "ABCD EFGH", "-", "½" + code[1:]} {
		deniedClaim(t, x, "InvalidArgument", "", typed)
	}
	letIn(t, x, "", code)
	stateIs(t, x, "idle")
}

// Who types too many wrong codes is locked out for a while, also when set up anew,
// and learns no more by the right one. Nobody else is.
func TestTooManyCodes(t *testing.T) {
	t.Parallel()
	s := school(t, "automatic")
	p := pupilAt(t, s, laptopNo(1), 2)
	x, neighbour := bareAt(t, s, laptopNo(2)), bareAt(t, s, laptopNo(3))
	code := admin(t, s, "code", p.account)
	var said string
	for i := range 4 {
		said = deniedClaim(t, x, "ClaimRefused", "", wrongCode(i+1))
	}
	locked := deniedClaim(t, x, "ClaimRefused", "", wrongCode(5))
	if locked == said || !strings.Contains(locked, "too many") {
		t.Errorf("a fifth try: %s", locked)
	}
	reflash(t, x, s)
	for _, account := range []string{"", p.account, "SHC00699999"} {
		if got := deniedClaim(t, x, "ClaimRefused", account, code); got != locked {
			t.Errorf("the right code, after a reflash: %s", got)
		}
	}
	letIn(t, neighbour, "", code)
	stateIs(t, neighbour, "idle")
}
