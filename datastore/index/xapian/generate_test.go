package xapian

import (
	"math/rand/v2"
	"strings"
)

// What texts are made of: words as children write them, and what is between
// them. The odd ones are more frequent here than in any Journal.
var (
	someWords = strings.Fields(`
		el niño pingüino Ñandú ÁRBOL canción JOSÉ está dibujo Dibujo DIBUJOS casa perro gato
		coração Ação São português AÇÚCAR às não
		l'école d'été Œuvre ÇA garçon aujourd’hui qu‛il Noël
		مدرسة كتاب الأطفال مُدَرِّسَة ٣٫١٤ ١٢٣ ۱۲۳
		ትምህርት ቤት ሰላም፡ ልጆች። ፩፪፫
		学校 图画 我的日记 北京2024 日本語 カタカナ ｶﾀｶﾅ 한국어
		विद्यालय बच्चे क्ष १२३ हिन्दी
		Straße STRASSE İstanbul ISPARTA ıssız ΣΊΣΥΦΟΣ ǅungla ﬁn Ⅷ ½ x² ªº µm
		school Home Paint TurtleArt turtle_art _private __init__ a b c A B I x1 1x e3 42 007 3.14 1,000,000 12:30
		2024-05-17 17/05/24 10;20 1.2.3.4 1..2 +598 100% 50€ 7th
		ana@laptop.org jose.perez@ceibal.edu.uy http://wiki.sugarlabs.org/go/Activities?x=1&y=2 C:\\dir\\file.txt
		org.laptop.AbiWordActivity image/png text/plain application/vnd.olpc-sugar
		AT&T M&S R&D fish&chips Fred's rock'n'roll '' 'quoted' a'b' it''s x&y&z
		C++ C# c+++ c++++ Na+ H+ a+b fish+chips g++3 F#m #tag +1 a## a+#+ x+
		U.N.C.L.E. P.T.O U.S.A.F A.B.c A.B. A. A.B I.B.M..P.T.O A.1 É.A A.B.1 U.N+
		NEAR AND`)
	someMarks = []string{
		"क्\u200dष", "می\u200cخواهم",
		" ", " ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u3000", "\u2028", "\x00", "\x7f", "\u0085",
		".", ",", ";", ":", "!", "?", "¿", "-", "--", "–", "_", "/", "\\", "@", "'", "’", "‛", "‘", "&", "·", "‧", "״",
		"\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u200e", "\u0301", "\u0640",
		"+", "#", "++", "###", "*", "(", ")", "\"", "“", "”", "~", "=", "<", ">", "[", "]", "{", "}", "|", "%", "^", "`", "$",
		";", "։", "؍", "߸", "⁄", "︐", "︓", "︔", "∀", "∨", "∩", "∫", "∭", "℀", "★", "😀",
	}
	notUTF8 = []string{
		"\xe9", "\xf1o", "\xc3", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe2\x82", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\xaf",
		"\xf0\x9f\x98", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xfe", "\x80", "\xb7", "\xaa", "\xb5", "\xbf",
		"\xef\xbf\xbd", "\xef\xbf\xbe", "\xe1\x9a",
	}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// someText strings some of it together.
func someText(r *rand.Rand) string {
	var b strings.Builder
	spaced := r.IntN(2) == 0
	for range r.IntN(20) {
		b.WriteString(somePiece(r))
		if spaced {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func somePiece(r *rand.Rand) string {
	switch n := r.IntN(100); {
	case n < 45:
		return pick(r, someWords)
	case n < 70:
		return pick(r, someMarks)
	case n < 78:
		return someRunes(r, 1+r.IntN(4))
	case n < 82:
		return pick(r, notUTF8)
	case n < 85:
		return longWord(r)
	case n < 88:
		return strings.Repeat(pick(r, []string{"A.", "b", "Z.", "+", "#", "1,", "ñ", "'", "é'"}), 1+r.IntN(5))
	case n < 96:
		return string(rune('0' + r.IntN('z'-'0')))
	}
	word := pick(r, someWords)
	return word[:r.IntN(len(word)+1)]
}

// someRunes takes them from anywhere, but mostly from where the scripts are.
func someRunes(r *rand.Rand, n int) string {
	runes := make([]rune, n)
	for i := range runes {
		runes[i] = rune(r.IntN(pick(r, []int{0x100, 0x600, 0x3100, 0x10000, 0x20000, 0x110000})))
	}
	return string(runes)
}

// longWord has about the greatest length that a term can have.
func longWord(r *rand.Rand) string {
	part := pick(r, []string{"a", "Q", "é", "Ñ", "学", "b'", "A.", "𐐀", "\xe9"})
	word := strings.Repeat(part, 1+(MaxTerm-3)/len(part))
	return word + strings.Repeat("x", r.IntN(6)) + pick(r, []string{"", "", "+", "++", "#y"})
}

var queryPieces = []string{
	"AND", "OR", "NOT", "XOR", "NEAR", "ADJ", "NEAR/3", "NEAR/2", "ADJ/4", "ADJ/1", "NEAR/0", "NEAR/x", "ADJ/", "NEAR/4294967297", "NEAR/99999999999999999999",
	"NEAR/4294967295", "ADJ/4294967294", "and", "Or", "A.N.D", "A\u200bND", "AND*", "NEAR/3x", "NEAR/3)",
	"(", ")", "(", ")", "()", "( )", "((", "))", "\"", "\"", "“", "”", "\"\"", "+", "-", "+", "-", "+-", "--", "+(", "-(", "+\"", "-\"", "*", "~",
	"uid:", "activity:", "activity_id:", "mime_type:", "keep:", "project_id:", "title:", "Uid:", "N:", "mime_type:(", "keep:\"", "uid:”", "uid::", "activity:.", "keep:*",
	"a", "b", "c", "casa", "Ñandú", "a*", "dibu*", "ca*sa", "ÉC*", "x-y", "a.b.c", "image/png", "a@b", "don't", "C++", "1,5", "mime_type:image/png", "keep:1",
	"activity:org.laptop*", "uid:a*", "-keep:0", "+uid:b",
}

// someQuery mixes what the parser looks for with words, well formed by chance.
func someQuery(r *rand.Rand) string {
	switch r.IntN(8) {
	case 0, 1:
		return properQuery(r, 3)
	case 2:
		return operatorsOnly(r)
	}
	var b strings.Builder
	spaced := r.IntN(10) // of 10
	for range 1 + r.IntN(10) {
		switch n := r.IntN(20); {
		case n < 13:
			b.WriteString(pick(r, queryPieces))
		case n < 17:
			b.WriteString(pick(r, []string{"a", "b", "c", "d"}))
		default:
			b.WriteString(somePiece(r))
		}
		if r.IntN(10) <= spaced {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// properQuery is well formed, but for what a few odd words may do to it.
func properQuery(r *rand.Rand, depth int) string {
	inner := func() string { return properQuery(r, depth-1) }
	words := func(between string) string {
		w := []string{pick(r, someWords)}
		for range 1 + r.IntN(3) {
			w = append(w, pick(r, someWords))
		}
		return strings.Join(w, between)
	}
	if depth == 0 {
		return pick(r, []string{"a", "b", "c", "casa*", "uid:d", "keep:1", pick(r, someWords)})
	}
	switch r.IntN(10) {
	case 0:
		return pick(r, []string{"", "uid:", "mime_type:", "-", "+"}) + "(" + inner() + ")"
	case 1:
		return pick(r, []string{"", "uid:", "activity:", "-", "+"}) + "\"" + words(" ") + "\""
	case 2:
		return words(pick(r, []string{" NEAR ", " ADJ ", " NEAR/3 ", " ADJ/2 ", "-", "."}))
	case 3, 4:
		return inner() + " " + pick(r, []string{"", "+", "-"}) + inner()
	}
	return inner() + pick(r, []string{" AND ", " OR ", " XOR ", " NOT ", " AND NOT ", " AND -", " "}) + inner()
}

// operatorsOnly is hardly ever well formed. What Xapian makes of it depends on
// which of its errors comes first.
func operatorsOnly(r *rand.Rand) string {
	var b strings.Builder
	for range 2 + r.IntN(8) {
		b.WriteString(pick(r, []string{"AND ", "OR ", "XOR ", "NOT ", "NEAR ", "ADJ ", "+", "-"}))
		if r.IntN(8) == 0 {
			b.WriteString(pick(r, []string{"a ", "-a ", "uid:b ", "c-d ", "e* ", "(", ")", "\"f\"", "keep:("}))
		}
	}
	return b.String()
}
