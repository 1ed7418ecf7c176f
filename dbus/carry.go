package dbus

import (
	"strings"
	"unicode/utf8"
)

// What answers of the datastore's interface are made of.
type (
	entryList []map[string]any // aa{sv}; values are string, int32 or []byte
	entry     map[string]any   // a{sv}
	textList  []string         // as
)

const (
	// maxAnswer bounds an answer: half of what D-Bus takes, and what a machine with
	// 256 MB can still spare.
	maxAnswer = 32 << 20
	overhead  = 16 // of a value, about: lengths, signature, padding
)

var errTooMuch = refuse(InvalidArgument, "The answer would be longer than %d MiB: give a limit, or ask for fewer properties (no preview).", maxAnswer>>20)

// carry makes entries that D-Bus can carry, in place.
func carry(found ...map[string]any) error {
	size := 0
	for _, e := range found {
		for name, value := range e {
			size += len(name) + overhead
			switch v := value.(type) {
			case string:
				size += len(v)
				if text := carried(v); text != v {
					e[name] = text
				}
			case []byte:
				size += len(v)
			case int32:
			default:
				return refuse(Failed, "This failed by a mistake in the program (%s of an entry is a %T): please report it.", shown(name), value)
			}
			if good := carried(name); good != name {
				e[good] = e[name]
				delete(e, name)
			}
		}
		if size > maxAnswer {
			return errTooMuch
		}
	}
	return nil
}

// carried is text that D-Bus can carry, however long it is.
func carried(text string) string {
	if utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
