package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestParseCode(t *testing.T) {
	code, ok := NewCode([7]byte{5, 7, 2, 4, 1, 3, 9})
	if !ok {
		t.Fatalf("%s has a 0", code)
	}
	in := func(one rune) string { // its digits, in the script whose 1 this is
		return strings.Map(func(r rune) rune { return one + r - '1' }, string(code))
	}
	for _, s := range []string{string(code), code.String(), " " + code.String() + "\n", string(code[:4]) + "-" + string(code[4:]),
		in('١'), in('۱'), in('१'), in('፩'), in('១'), "\u200f" + in('١')[:8] + "\u00a0\u200f" + in('١')[8:]} {
		if got, err := ParseCode(s); err != nil || got != code {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", " ", "1", string(code) + "1", string(code[:7]), string(code[:7]) + "x", "፲" + string(code[1:]),
		"½" + string(code[1:]), strings.Repeat("1", 1<<20), string(code[:7]) + "\xff", "\x00" + string(code), "²" + string(code[1:])} {
		var bad *CodeError
		if got, err := ParseCode(s); !errors.As(err, &bad) || len(err.Error()) > 120 {
			t.Errorf("%.40q: %q, %v", s, got, err)
		}
	}
}

// Each wrong digit, and each two neighbours that were exchanged, is found.
func TestCheckDigit(t *testing.T) {
	for n := 0; n < 10_000_000; n += 98_765 {
		var seven [7]byte
		for i, rest := 0, n; i < 7; i, rest = i+1, rest/10 {
			seven[i] = byte(rest % 10)
		}
		code, _ := NewCode(seven)
		if _, err := ParseCode(string(code)); err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		for i := range code {
			wrong := []byte(code)
			for d := byte('0'); d <= '9'; d++ {
				wrong[i] = d
				if _, err := ParseCode(string(wrong)); (err == nil) != (d == code[i]) {
					t.Fatalf("%s typed as %s: %v", code, wrong, err)
				}
			}
			wrong = []byte(code)
			if i > 0 && wrong[i] != wrong[i-1] {
				wrong[i], wrong[i-1] = wrong[i-1], wrong[i]
				if _, err := ParseCode(string(wrong)); err == nil {
					t.Fatalf("%s typed as %s is taken", code, wrong)
				}
			}
		}
	}
}

func FuzzParseCode(f *testing.F) {
	for _, s := range []string{"5724 1394", "٥٧٢٤١٣٩٤", "፭፯፪፬ ፩፫፱፬", "५७२४-१३९४", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, err := ParseCode(s)
		if err != nil {
			return
		}
		if again, err := ParseCode(code.String()); err != nil || again != code || len(code) != codeDigits {
			t.Errorf("%q became %q, %v", s, again, err)
		}
	})
}
