package wire

import "fmt"

const maxName = 64

// CheckName says why s cannot be a serial number, or an account's name: those are
// up to 64 letters, digits, - and _, beginning with a letter or digit, so that one
// can name a folder and an SSH user. "" if it can.
func CheckName(s string) (why string) {
	if s == "" {
		return "is empty"
	}
	if len(s) > maxName {
		return fmt.Sprintf("is longer than %d bytes", maxName)
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		case (c == '-' || c == '_') && i > 0:
		default:
			return fmt.Sprintf("has %q at byte %d; letters, digits, - and _ are allowed", c, i)
		}
	}
	return ""
}
