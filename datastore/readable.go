package datastore

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Unreadable says why Sugar's datastore could not keep the entry if it were
// put there: its find would fail for all entries, when it rebuilds its index it
// deletes the entry, or it cannot store a property under its name. "" if it
// can. The rules are carquinyol's (datastore.py, metadatastore.py,
// indexstore.py, metadatareader.c).
func (e *Entry) Unreadable() string {
	for _, name := range slices.Sorted(maps.Keys(e.Metadata)) {
		why := unfitName(name)
		if why == "" {
			why = unreadable(name, e.Metadata[name])
		}
		if why != "" {
			return fmt.Sprintf("its property %s %s", quote(name), why)
		}
	}
	if _, ok := e.Metadata["creation_time"]; !ok && aDate.Match(e.Metadata["ctime"]) {
		return "it has a ctime and no creation_time" // which Sugar then makes, as a number that it cannot write
	}
	return ""
}

// aDate is all that Python's strptime could take for the date that Sugar once
// wrote, and a little more.
var aDate = regexp.MustCompile(`^\p{Nd}{4}-\p{Nd}{1,2}-[ \p{Nd}]?\p{Nd}[Tt]\p{Nd}{1,2}:\p{Nd}{1,2}:\p{Nd}{1,2}$`)

const (
	// maxProperty is where its reader gives up: "Property file too big".
	maxProperty = 500 << 10
	// maxName is the longest name of a property in bytes: it writes the file
	// with a dot before its name first.
	maxName = 254
	// maxTerm is the longest term that Xapian takes, in bytes; a term is made
	// of two letters and the whole value of the properties in terms.
	maxTerm = 245
)

var (
	numbers = []string{"timestamp", "creation_time", "filesize"}
	terms   = []string{"uid", "activity", "activity_id", "mime_type", "keep", "project_id"}
)

// unfitName says why a property cannot be stored under its name.
func unfitName(name string) string {
	switch {
	case len(name) > maxName:
		return fmt.Sprintf("has a name longer than %d bytes", maxName)
	case strings.Contains(name, ":"):
		return "has a colon in its name" // where it cuts the name
	}
	return ""
}

func unreadable(name string, value []byte) string {
	switch {
	case len(value) > maxProperty:
		return "is larger than 500 KiB"
	case name == "preview":
		return ""
	case !utf8.Valid(value):
		return "is not UTF-8"
	case slices.Contains(numbers, name):
		if !pythonInt32(value) {
			return fmt.Sprintf("is no number of 32 bits (%s)", quote(string(value)))
		}
	case bytes.IndexByte(value, 0) >= 0:
		return "holds a NUL" // that no D-Bus string can
	case name == "ctime" && bytes.Contains(value, []byte("%%")):
		return "holds %%" // it can match as a format, and make the float that cannot be written
	case slices.Contains(terms, name) && 2+len(value) > maxTerm:
		return fmt.Sprintf("is longer than %d bytes", maxTerm-2)
	}
	return ""
}

// pythonInt32 tells whether dbus.Int32(value) succeeds, as Python 3 reads an
// int from bytes: white space around, a sign, single underscores between digits.
func pythonInt32(value []byte) bool {
	if len(value) > 4300 {
		return false // Python's own limit, that keeps int() from taking forever
	}
	s := strings.Trim(string(value), " \t\n\v\f\r")
	digits := strings.TrimPrefix(s, "-")
	if digits == s {
		digits = strings.TrimPrefix(s, "+")
	}
	if strings.HasPrefix(digits, "_") || strings.HasSuffix(digits, "_") || strings.Contains(digits, "__") {
		return false
	}
	digits = strings.ReplaceAll(digits, "_", "")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return false
	}
	if s[0] == '-' {
		digits = "-" + digits
	}
	_, err := strconv.ParseInt(digits, 10, 32)
	return err == nil
}
