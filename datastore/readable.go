package datastore

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Unreadable says why Sugar's datastore could not read the entry if it were
// put there: its find would fail for all entries, and when it rebuilds its
// index it deletes the entry. "" if it can. The rules are carquinyol's
// (metadatastore.py, indexstore.py, metadatareader.c).
func (e *Entry) Unreadable() string {
	for _, name := range slices.Sorted(maps.Keys(e.Metadata)) {
		if why := unreadable(name, e.Metadata[name]); why != "" {
			return fmt.Sprintf("its %s %s", name, why)
		}
	}
	return ""
}

const (
	// maxProperty is where its reader gives up: "Property file too big".
	maxProperty = 500 << 10
	// maxTerm is the longest term that Xapian takes, in bytes; a term is made
	// of two letters and the whole value of the properties in terms.
	maxTerm = 245
)

var (
	numbers = []string{"timestamp", "creation_time", "filesize"}
	terms   = []string{"uid", "activity", "activity_id", "mime_type", "keep", "project_id"}
)

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
