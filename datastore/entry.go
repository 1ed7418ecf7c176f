package datastore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
)

// Entry is one entry of a Journal, without the bytes of its data.
type Entry struct {
	UID      UID
	Metadata map[string][]byte
	Data     *Data // nil: the entry has no file
}

// Data says what an entry's file holds.
type Data struct {
	SHA256 [32]byte
	Size   int64
}

// Version names a state of an entry, see Entry.Version. It is lower case hex.
type Version string

// DamagedError says why no whole copy can be made of an entry, or why what is
// there is not what its sums say.
type DamagedError struct {
	// UID is the entry's folder's name; of a raw copy it may be no valid uid.
	UID    UID
	Reason string
	// Changing is set where nothing is broken, but the entry did not hold
	// still for long enough: another try may well succeed.
	Changing bool
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("entry %s: %s", quote(string(e.UID)), e.Reason)
}

// Encode makes the entry's .cjson.
func (e *Entry) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, &DamagedError{UID: e.UID, Reason: err.Error()}
	}
	metadata := make(map[string]any, len(e.Metadata))
	for name, value := range e.Metadata {
		if utf8.Valid(value) {
			metadata[name] = string(value)
		} else {
			metadata[name] = map[string]string{"base64": base64.StdEncoding.EncodeToString(value)}
		}
	}
	object := map[string]any{"metadata": metadata, "uid": string(e.UID)}
	if e.Data != nil {
		object["data"] = map[string]any{"sha256": hex.EncodeToString(e.Data.SHA256[:]), "size": e.Data.Size}
	}
	b, err := cjson.EncodeCanonical(object)
	if err != nil {
		return nil, fmt.Errorf("entry %s: canonical JSON: %w", e.UID, err)
	}
	if len(b) > MaxFile {
		return nil, &DamagedError{UID: e.UID, Reason: errTooMuch.Error()}
	}
	return b, nil
}

var errTooMuch = errors.New("its metadata is larger than 8 MiB")

// check tells whether the entry may travel. What DecodeEntry returns has
// passed it, too.
func (e *Entry) check() error {
	if _, err := ParseUID(string(e.UID)); err != nil {
		return err
	}
	if len(e.Metadata) == 0 {
		return errors.New("it has no metadata")
	}
	for name := range e.Metadata {
		if err := checkProperty(name); err != nil {
			return err
		}
	}
	if uid, ok := e.Metadata["uid"]; ok && string(uid) != string(e.UID) {
		return fmt.Errorf("its metadata says that its uid is %s", quote(string(uid)))
	}
	if e.Data != nil {
		return checkSize(e.Data.Size)
	}
	return nil
}

func checkSize(size int64) error {
	if size < 0 || size > maxParts*PartSize {
		return fmt.Errorf("its data cannot be of %d bytes", size)
	}
	return nil
}

// checkProperty tells whether name may be a property's: it becomes a file's
// name, and a leading dot marks the datastore's temporary files.
func checkProperty(name string) error {
	switch {
	case name == "":
		return errors.New("a property has no name")
	case len(name) > 255:
		return fmt.Errorf("the name of the property %s is longer than 255 bytes", quote(name))
	case name[0] == '.', strings.ContainsAny(name, "/\x00"), !utf8.ValidString(name):
		return fmt.Errorf("%s cannot be the name of a property", quote(name))
	}
	return nil
}

// derived are properties that Sugar computes by itself sooner or later: the
// optimizer adds the md5 of the data. They travel, and make no other version.
var derived = []string{"checksum"}

// Version is equal for two entries if and only if they are the same work: the
// sha256 over metadata and data, each piece behind its length.
func (e *Entry) Version() Version {
	v := e.version()
	return Version(hex.EncodeToString(v[:]))
}

func (e *Entry) version() (sum [32]byte) {
	h := sha256.New()
	put := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	put([]byte(e.UID))
	for _, name := range slices.Sorted(maps.Keys(e.Metadata)) {
		if slices.Contains(derived, name) {
			continue
		}
		put([]byte(name))
		put(e.Metadata[name])
	}
	if e.Data != nil {
		// A property has a name, so this cannot be taken for one.
		put(nil)
		put(e.Data.SHA256[:])
		put(binary.BigEndian.AppendUint64(nil, uint64(e.Data.Size)))
	}
	h.Sum(sum[:0])
	return sum
}
