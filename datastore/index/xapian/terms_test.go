package xapian

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func termsOf(text string) []string {
	terms := []string{}
	Terms(text, func(term []byte) { terms = append(terms, string(term)) })
	return terms
}

var knownTerms = []struct {
	text string
	want string // with a space between two
}{
	{"", ""},
	{"Mi primer dibujo", "mi primer dibujo"},
	{"El PINGÜINO de São Tomé", "el pingüino de são tomé"},
	{"مدرسة الأطفال", "مدرسة الأطفال"},
	{"我的日记", "我的日记"},
	{"U.N.C.L.E. P.T.O A.B.c M.", "uncle pto a b c m"},
	{"AT&T Fred's aujourd’hui it''s", "at&t fred's aujourd'hui it s"},
	{"3.14 1,000 1.x x.1 ٣؍١", "3.14 1,000 1 x x 1 ٣؍١"},
	{"C++ c# a+++ b++++ fish+chips", "c++ c# a+++ b fish chips"},
	{"zero\u200bwidth क्\u200dष", "zerowidth क्ष"},
	{"ana.perez@laptop.org turtle_art", "ana perez laptop org turtle_art"},
	{"caf\xe9 \xc3", "café ã"},
	{"\xed\xa0\x80a", "a"},
	{strings.Repeat("x", MaxTerm) + " " + strings.Repeat("y", MaxTerm+1), strings.Repeat("x", MaxTerm)},
	{"İ K", "i k"},
}

func TestKnownTerms(t *testing.T) {
	for _, c := range knownTerms {
		if got := strings.Join(termsOf(c.text), " "); got != c.want {
			t.Errorf("%q has %q, want %q", c.text, got, c.want)
		}
	}
}

// compareTerms asks about n texts.
func compareTerms(t *testing.T, n int, generate func(i int) string) {
	t.Helper()
	differ := 0
	askEach(t, n, generate, askText, func(text string, a answer) {
		if got := termsOf(text); !slices.Equal(got, a.Terms) {
			if differ++; differ <= 20 {
				t.Errorf("%q has\n     %q\nwant %q", text, got, a.Terms)
			}
		}
	})
	if differ > 20 {
		t.Errorf("%d of %d differ", differ, n)
	}
}

// Each code point by itself, with something after it that would join it if it
// were a digit, as a joint between letters and between digits, and as a suffix.
// Surrogates, which UTF-8 does not have, are among them.
func TestEveryCodePoint(t *testing.T) {
	const atOnce = 256
	compareTerms(t, 0x110000/atOnce, func(i int) string {
		var b strings.Builder
		for r := rune(i * atOnce); r < rune(i+1)*atOnce; r++ {
			switch c := encode(r); {
			case r < 0x30000, 0xe0000 <= r && r < 0xe1000:
				fmt.Fprintf(&b, "%s,1 a%sb 1%s2 c%s! ", c, c, c, c)
			default: // where Unicode has nothing at all
				fmt.Fprintf(&b, "%s ", c)
			}
		}
		return b.String()
	})
}

func encode(r rune) string {
	if 0xd800 <= r && r <= 0xdfff {
		return string([]byte{0xed, 0x80 | byte(r>>6)&0x3f, 0x80 | byte(r)&0x3f})
	}
	return string(r)
}

func TestSomeTexts(t *testing.T) {
	r := random()
	compareTerms(t, cases(20000), func(int) string { return someText(r) })
}

// Time is in proportion to the length, also for what looks like an acronym to
// its very end.
func TestLongTexts(t *testing.T) {
	for _, part := range []string{"A.", "a", "a'", "1,", "+", "a++++", "\xe9", "A.B ", "é\u200b"} {
		text := strings.Repeat(part, 1<<20) + "z"
		Terms(text, func(term []byte) {
			if len(term) > MaxTerm {
				t.Errorf("%q…: a term of %d bytes", part, len(term))
			}
		})
	}
}

func FuzzTerms(f *testing.F) {
	for _, c := range knownTerms {
		f.Add(c.text)
	}
	for _, s := range slices.Concat(someWords, someMarks, notUTF8) {
		f.Add(s + "a" + s + "1" + s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		total := 0
		Terms(text, func(term []byte) {
			if len(term) == 0 || len(term) > MaxTerm || !utf8.Valid(term) {
				t.Errorf("%q is no term", term)
			}
			total += len(term)
		})
		// Latin-1 becomes UTF-8, and Ⱥ (two bytes) becomes ⱥ (three).
		if total > 2*len(text) {
			t.Errorf("%d bytes of terms in %d bytes", total, len(text))
		}
	})
}

func BenchmarkTerms(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"ascii", "My first drawing: Paint activity, org.laptop.Oficina image/png 1716000000 turtle_art_project "},
		{"spanish", "El niño dibujó un pingüino en la canción de José; está aquí y allá, después del corazón. "},
		{"arabic", "مدرسة الأطفال كتاب جديد في اللغة العربية "},
	} {
		b.Run(c.name, func(b *testing.B) {
			text := strings.Repeat(c.text, 10)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				Terms(text, func(term []byte) { n += len(term) })
			}
		})
	}
}
