package browse

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// answer makes of an entry's properties what Sugar's datastore answers: numbers of
// 32 bits for the two times, bytes for the preview, text for all else. What Sugar
// could not read it answers as what it is.
func answer(properties map[string][]byte, uid string, size int64, names []string) map[string]any {
	out := make(map[string]any, len(properties)+2)
	for name, value := range properties {
		out[name] = valueOf(name, value)
	}
	if wants(names, "uid") {
		out["uid"] = uid
	}
	if wants(names, "filesize") {
		out["filesize"] = strconv.FormatInt(size, 10)
	}
	return out
}

// only are the properties of those names, all if there are none.
func only(properties map[string][]byte, names []string) map[string][]byte {
	if len(names) == 0 {
		return properties
	}
	some := make(map[string][]byte, len(names))
	for _, name := range names {
		if value, ok := properties[name]; ok {
			some[name] = value
		}
	}
	return some
}

func wants(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

func valueOf(name string, value []byte) any {
	switch {
	case name == "preview" && len(value) == 0:
		return "" // the one type that Sugar changes
	case name == "preview", !utf8.Valid(value):
		return value
	case name == "timestamp", name == "creation_time":
		if n, err := strconv.ParseInt(strings.TrimSpace(string(value)), 10, 32); err == nil {
			return int32(n)
		}
	}
	// No text on the bus holds a NUL.
	if text := string(value); !strings.Contains(text, "\x00") {
		return text
	}
	return value
}
