package datastore

import "fmt"

// UID names an entry for its whole life. A UID that ParseUID has returned is
// safe to be a file's name.
type UID string

const uidLen = 36

// ParseUID checks that s is what Sugar's datastore takes for a uid: exactly 36
// bytes, and here only those that mean nothing to any file system.
func ParseUID(s string) (UID, error) {
	if len(s) != uidLen {
		return "", fmt.Errorf("%s is not a uid: it is not 36 characters long", quote(s))
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', c == '-', c == '_':
		default:
			return "", fmt.Errorf("%s is not a uid: it holds %q", quote(s), string(s[i:i+1]))
		}
	}
	return UID(s), nil
}

// folder is the name of the folder that the entry is in, in layout 6.
func (u UID) folder() string { return string(u[:2]) }

// shard is the name of the folder that the entry's files are in, in a travelling
// tree. Two characters as in layout 6 would make 256 folders for 1,000 entries,
// and every snapshot has folders of its own: they were two thirds of its size.
func (u UID) shard() string { return string(u[:shardLen]) }

const shardLen = 1

// Path is where the entry's .cjson is in a travelling tree.
func (u UID) Path() string { return u.shard() + "/" + string(u) + ".cjson" }

// quote makes a hostile string of any length fit for a message.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
