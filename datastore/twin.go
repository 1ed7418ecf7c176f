package datastore

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"time"
)

// TwinUID is the uid of the twin of that version of an entry, see Entry.Twin.
func TwinUID(uid UID, version Version) UID {
	sum := sha256.Sum256([]byte("twin\n" + string(uid) + "\n" + string(version)))
	sum[6] = sum[6]&0x0f | 0x80 // version 8 of RFC 9562: made of what its maker likes
	sum[8] = sum[8]&0x3f | 0x80
	return UID(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
}

// Twin is the entry that comes back although another version of it stays: the
// same work, with its day in the title, under a uid of its own. The uid is made
// of the entry's uid and version, so to bring the same version back twice makes
// one twin. Its data is that of e (see Unpack).
func (e *Entry) Twin(day time.Time) *Entry {
	twin := &Entry{UID: TwinUID(e.UID, e.Version()), Metadata: maps.Clone(e.Metadata), Data: e.Data}
	twin.Metadata["uid"] = []byte(twin.UID)
	title := append(bytes.Clone(e.Metadata["title"]), " ("+day.Format(time.DateOnly)+")"...)
	twin.Metadata["title"] = bytes.TrimLeft(title, " ")
	return twin
}
