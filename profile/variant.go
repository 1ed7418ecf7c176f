package profile

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parseVariant reads a string as GVariant prints it: in single quotes, or in
// double quotes if it holds a single one, with C's escapes and \u, \U.
func parseVariant(text string) (string, bool) {
	if len(text) < 2 || text[0] != '\'' && text[0] != '"' || text[len(text)-1] != text[0] ||
		!utf8.ValidString(text) {
		return "", false
	}
	body := text[1 : len(text)-1]
	var b strings.Builder
	for len(body) > 0 {
		switch {
		case body[0] == text[0]:
			return "", false // more behind the string's end
		case body[0] != '\\':
			b.WriteByte(body[0])
			body = body[1:]
		default:
			r, size, ok := parseEscape(body[1:])
			if !ok {
				return "", false
			}
			b.WriteRune(r)
			body = body[1+size:]
		}
	}
	return b.String(), true
}

// escapes are the letters that GVariant prints behind a backslash.
const (
	escapeLetters = "abfnrtv"
	escapeMeans   = "\a\b\f\n\r\t\v"
)

func parseEscape(s string) (r rune, size int, ok bool) {
	if s == "" {
		return 0, 0, false
	}
	digits := map[byte]int{'u': 4, 'U': 8}[s[0]]
	switch {
	case digits > 0 && len(s) > digits:
		n, err := strconv.ParseUint(s[1:1+digits], 16, 31)
		return rune(n), 1 + digits, err == nil && utf8.ValidRune(rune(n))
	case digits > 0:
		return 0, 0, false
	}
	if i := strings.IndexByte(escapeLetters, s[0]); i >= 0 {
		return rune(escapeMeans[i]), 1, true
	}
	r, size = utf8.DecodeRuneInString(s)
	return r, size, r != utf8.RuneError
}

// formatVariant writes a string so that gsettings takes it for nothing else.
func formatVariant(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || !unicode.IsPrint(r) && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
