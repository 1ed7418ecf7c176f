package xapian

import (
	"unicode"
	"unicode/utf8"
)

// decode reads the character at the start of s, which is not empty, as Xapian
// does: what is not UTF-8 is taken for Latin-1, byte by byte, but a surrogate
// is a character like any other.
func decode(s string) (r rune, size int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	r, size = utf8.DecodeRuneInString(s)
	if r != utf8.RuneError || size > 1 {
		return r, size
	}
	if len(s) >= 3 && s[0] == 0xed && s[1]&0xe0 == 0xa0 && s[2]&0xc0 == 0x80 {
		return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3
	}
	return rune(s[0]), 1
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return keepASCII[r] != 0
	}
	return unicode.Is(wordTable, r)
}

// isDigit and lower are for word characters only. Those that Go's standard
// library knows and Xapian does not are no word characters to Xapian.
func isDigit(r rune) bool {
	if r < utf8.RuneSelf {
		return '0' <= r && r <= '9'
	}
	return unicode.Is(unicode.Nd, r)
}

func lower(r rune) rune {
	if hasNoCase(r) {
		return r
	}
	return unicode.ToLower(r)
}

// hasNoCase knows at a glance the largest scripts without capitals: from Hebrew
// to Burmese, Hangul and Ethiopic, and Chinese and Japanese.
func hasNoCase(r rune) bool {
	return 0x590 <= r && r < 0x10a0 || 0x1100 <= r && r < 0x13a0 || 0x2e00 <= r && r < 0xa640
}

// isSpace is Xapian's white space: Unicode's separators and control characters.
func isSpace(r rune) bool {
	switch {
	case r <= ' ', 0x7f <= r && r <= 0xa0:
		return true
	case r < 0x1680:
		return false
	}
	return r == 0x1680 || 0x2000 <= r && r <= 0x200a || r == 0x2028 || r == 0x2029 ||
		r == 0x202f || r == 0x205f || r == 0x3000
}

func isASCIIUpper(b byte) bool { return 'A' <= b && b <= 'Z' }

// keepASCII and foldASCII have zero for what is no word character, and for a
// word character what it is in a word: itself, or in lower case.
var keepASCII, foldASCII = asciiTables()

func asciiTables() (keep, fold [utf8.RuneSelf]byte) {
	for b := range byte(utf8.RuneSelf) {
		switch {
		case '0' <= b && b <= '9', 'a' <= b && b <= 'z', b == '_':
			keep[b], fold[b] = b, b
		case isASCIIUpper(b):
			keep[b], fold[b] = b, b|0x20
		}
	}
	return keep, fold
}
