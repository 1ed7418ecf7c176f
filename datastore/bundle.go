package datastore

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// A Journal entry bundle (.xoj, application/vnd.olpc-journal-entry) is a zip of
// UID/_metadata.json, UID/preview/UID and UID/UID, the entry's file. Its one
// reader is Sugar's jarabe.journal.journalentrybundle, which puts it into the
// datastore with the moment as its timestamp and mtime. Tried with 0.120:
//
//   - Without a preview it raises. So an entry without one gets an empty one.
//   - Without a file Sugar's datastore has stored half of the change when it
//     raises, and in an entry that was there the old file stays. So an entry
//     without a file gets an empty one.
//   - JSON is read in the locale's encoding, with all line ends made one.

// WriteBundle writes the entry e as a Journal entry bundle. data is e's file, as
// OpenData opens it; nil where e has none. Data that is not what e says is a
// *DamagedError, and what has been written by then is no zip: that ends with a
// list of what is in it.
//
// Nothing is compressed: most of what is large in a Journal is, and an XO's
// flash compresses the rest by itself, for less of its processor. Equal entries
// make equal bundles.
func WriteBundle(w io.Writer, e *Entry, data io.Reader) error {
	if err := e.check(); err != nil {
		return &DamagedError{UID: e.UID, Reason: err.Error()}
	}
	metadata, preview, _ := e.forBundle()
	text, err := plainJSON(metadata)
	if err != nil {
		return fmt.Errorf("entry %s: %w", e.UID, err)
	}
	z := zip.NewWriter(w)
	uid := string(e.UID)
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{uid + "/_metadata.json", text},
		{uid + "/preview/" + uid, preview},
	} {
		to, err := z.CreateHeader(bundled(file.name))
		if err == nil {
			_, err = to.Write(file.content)
		}
		if err != nil {
			return err
		}
	}
	to, err := z.CreateHeader(bundled(uid + "/" + uid))
	if err != nil {
		return err
	}
	if e.Data != nil {
		if err := CopyData(to, e, data); err != nil {
			return err
		}
	}
	return z.Close()
}

// bundled is the head of a file in a bundle; the same whenever it is made.
func bundled(name string) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: zip.Store, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(filePerm)
	return h
}

// CopyData copies the file of the entry e, and compares it with what e says of
// it: a *DamagedError if it is another. It never copies more than it should.
func CopyData(w io.Writer, e *Entry, data io.Reader) error {
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(data, e.Data.Size))
	if err != nil {
		return err
	}
	wrong := ""
	if n < e.Data.Size {
		wrong = fmt.Sprintf("its data ends after %d of %d bytes", n, e.Data.Size)
	} else if got := [32]byte(sum.Sum(nil)); got != e.Data.SHA256 {
		wrong = fmt.Sprintf("the sha256 of its data is %s and not %s", short(got), short(e.Data.SHA256))
	} else if n, err := io.ReadFull(data, make([]byte, 1)); n > 0 {
		wrong = fmt.Sprintf("its data is longer than %d bytes", e.Data.Size)
	} else if err != io.EOF {
		return err
	}
	if wrong != "" {
		return &DamagedError{UID: e.UID, Reason: wrong}
	}
	return nil
}

// Unbundled names the properties of which a bundle does not hold each byte: what
// is no text goes as far as it is, and what Sugar's datastore could not keep
// (see Unreadable) or would be led astray by is left out, since the Journal that
// the bundle is opened in would suffer for it.
func (e *Entry) Unbundled() []string {
	_, _, unfit := e.forBundle()
	return unfit
}

func (e *Entry) forBundle() (metadata map[string]string, preview []byte, unfit []string) {
	metadata = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(e.Metadata)) {
		value := e.Metadata[name]
		if slices.Contains(derived, name) {
			continue // by another than its own the optimizer's marks would be lost
		}
		fit := value
		if name != "preview" {
			fit = legible(value)
		}
		if !bytes.Equal(fit, value) || astray(name, fit) {
			unfit = append(unfit, name)
		}
		switch {
		case astray(name, fit):
		case name == "preview":
			preview = fit
		default:
			metadata[name] = string(fit)
		}
	}
	return metadata, preview, unfit
}

// astray tells whether a property must not reach a Journal by way of a bundle.
func astray(name string, value []byte) bool {
	if name == "mountpoint" && string(value) != "/" {
		return true // it would be put there, and not into the Journal
	}
	return unfitName(name) != "" || unreadable(name, value) != ""
}

// legible is value with what no text can hold replaced.
func legible(value []byte) []byte {
	const replacement = string(utf8.RuneError)
	if !utf8.Valid(value) {
		value = bytes.ToValidUTF8(value, []byte(replacement))
	}
	return bytes.ReplaceAll(value, []byte{0}, []byte(replacement))
}

// plainJSON is JSON of ASCII alone, a property a line.
func plainJSON(metadata map[string]string) ([]byte, error) {
	text, err := json.MarshalIndent(metadata, "", " ")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			b.WriteByte(byte(r))
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	b.WriteByte('\n')
	return []byte(b.String()), nil
}
