package profile

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Owner is the child whose profile it is. What is not known is empty.
type Owner struct {
	Nick  string
	Color string // of the XO in the middle: stroke and fill, as #FF2B34,#00A0FF
	Group string // say 4th Grade; Sugar's group-label
}

// maxOwner bounds a nick and a group, in characters: Sugar's wizard takes 45.
const maxOwner = 100

var xoColor = regexp.MustCompile(`^#[0-9A-Fa-f]{6},#[0-9A-Fa-f]{6}$`)

// Fit leaves out what cannot be of a profile: what comes from elsewhere goes into
// Sugar's settings and on its screen.
func (o Owner) Fit() Owner {
	fit := func(s string) string {
		s = strings.TrimSpace(s)
		if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxOwner || strings.ContainsFunc(s, unicode.IsControl) {
			return ""
		}
		return s
	}
	o.Nick, o.Group = fit(o.Nick), fit(o.Group)
	if !xoColor.MatchString(o.Color) {
		o.Color = ""
	}
	return o
}
