package wire

import (
	"fmt"
	"unicode"
)

// Code is what a teacher reads out to let a laptop in: eight digits, the last of
// which tells whether the others were typed as they should be. What has the type
// is valid.
type Code string

// codeDigits is how many digits a code has, with the one that checks.
const codeDigits = 8

// maxCode bounds what is looked at, in bytes: eight digits with some blanks.
const maxCode = 128

// CodeError says what is wrong with a code as it was typed. It is no try.
type CodeError struct{ Why string }

func (e *CodeError) Error() string { return e.Why }

// ParseCode reads a code as people type it: with digits of any script, those of
// Ethiopic too, in groups or not.
func ParseCode(s string) (Code, error) {
	if len(s) > maxCode {
		return "", &CodeError{fmt.Sprintf("a code has %d digits, and this is much longer: type it again", codeDigits)}
	}
	var code []byte
	for _, r := range s {
		d, ok := digit(r)
		switch {
		case ok:
			code = append(code, '0'+d)
		case unicode.IsSpace(r), unicode.Is(unicode.Cf, r), r == '-', r == '.':
			// Format characters come along with what is written from right to left.
		default:
			return "", &CodeError{fmt.Sprintf("%q is no digit: a code has %d digits and nothing else", r, codeDigits)}
		}
	}
	if len(code) != codeDigits {
		return "", &CodeError{fmt.Sprintf("a code has %d digits, not %d: type it again", codeDigits, len(code))}
	}
	if damm(code) != 0 {
		return "", &CodeError{"one of the digits is not right: look at the code and type it again"}
	}
	return Code(code), nil
}

// NewCode makes a code of seven digits and the one that checks them. It is ok only
// without a 0: Ethiopic has none, and a code is one that everybody can write.
func NewCode(seven [codeDigits - 1]byte) (code Code, ok bool) {
	b := make([]byte, 0, codeDigits)
	ok = true
	for _, d := range seven {
		b = append(b, '0'+d%10)
		ok = ok && d%10 != 0
	}
	check := damm(b)
	return Code(append(b, '0'+check)), ok && check != 0
}

// String is the code as it is shown, in two groups.
func (c Code) String() string {
	if len(c) != codeDigits {
		return string(c)
	}
	return string(c[:codeDigits/2]) + " " + string(c[codeDigits/2:])
}

// digit answers what a digit of any script is worth. The digits of Unicode's
// decimal scripts stand in rows of ten; Ethiopic's are letters by their class.
func digit(r rune) (byte, bool) {
	const ethiopicOne, ethiopicNine = '\u1369', '\u1371'
	if ethiopicOne <= r && r <= ethiopicNine {
		return byte(r-ethiopicOne) + 1, true
	}
	for _, row := range unicode.Nd.R16 {
		if rune(row.Lo) <= r && r <= rune(row.Hi) {
			return byte((r - rune(row.Lo)) % 10), true
		}
	}
	return 0, false
}

// dammTable is H. M. Damm's: it finds each wrong digit, and each two that were
// exchanged.
var dammTable = [10]string{"0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
	"3674209581", "5869720134", "8945362017", "9438617205", "2581436790"}

// damm answers the digit that checks those of b, or 0 where the last of b does.
func damm(b []byte) byte {
	at := byte(0)
	for _, c := range b {
		at = dammTable[at][c-'0'] - '0'
	}
	return at
}
