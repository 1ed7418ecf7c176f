package datastore

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"time"
)

// Copy makes the twin of an entry that comes back although another version of
// it stays: the same work, with its day in the title, under a uid of its own.
// The uid is made of the entry's uid and version, so to bring the same version
// back twice makes one twin. In a tree, its data is in the files of e.
func (e *Entry) Copy(day time.Time) *Entry {
	sum := sha256.Sum256([]byte("twin\n" + string(e.UID) + "\n" + string(e.Version())))
	sum[6] = sum[6]&0x0f | 0x80 // version 8 of RFC 9562: made of what the maker likes
	sum[8] = sum[8]&0x3f | 0x80
	uid := UID(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))

	twin := &Entry{UID: uid, Metadata: maps.Clone(e.Metadata), Data: e.Data, dataOf: e.UID}
	if e.dataOf != "" {
		twin.dataOf = e.dataOf
	}
	twin.Metadata["uid"] = []byte(uid)
	title := append(bytes.Clone(e.Metadata["title"]), " ("+day.Format(time.DateOnly)+")"...)
	twin.Metadata["title"] = bytes.TrimLeft(title, " ")
	return twin
}
