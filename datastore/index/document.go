package index

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	bleve "github.com/blevesearch/bleve_index_api"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index/xapian"
)

// Entry is what is indexed of an entry.
type Entry struct {
	UID datastore.UID
	// Properties are its metadata without preview. They are kept with it: to read
	// twenty properties of twenty entries from the Journal's folder would take longer
	// than to find them.
	Properties map[string]string
	// Extra is kept with the entry, for whoever made the index: where its
	// metadata is, or how it was found.
	Extra []byte
}

// Fields of a document. Their names are in every posting: they are short.
const (
	idField     = "_id"
	textField   = "t" // words, each behind the letter of its property's field
	valueField  = "v" // whole values of the properties in fields
	storedField = "s" // what is sorted by, and Extra: see rows
	keptField   = "p" // all properties, see appendProperties
)

// fields are the letters that Sugar's datastore puts before the terms of these
// properties, whose whole values it indexes too; otherField is that of all others.
var fields = map[string]byte{"uid": 'Q', "activity": 'A', "activity_id": 'I', "mime_type": 'M', "keep": 'K', "project_id": 'P'}

const otherField = 'N'

// Properties that Sugar's datastore does not index as text.
var notText = map[string]bool{"timestamp": true, "preview": true, "launch-times": true}

// numbers are properties that it reads as one.
var numbers = map[string]bool{"timestamp": true, "creation_time": true, "filesize": true}

// maxTerm is the longest term that Xapian takes, in bytes.
const maxTerm = 245

// document is an Entry in Bleve's terms: its words are cut before Bleve sees it.
type document struct {
	id     string
	words  bleve.TokenFrequencies
	length int // with gaps
	count  int // words
	values bleve.TokenFrequencies
	stored []byte
	kept   []byte
}

func newDocument(e *Entry) *document {
	d := &document{
		id:     string(e.UID),
		words:  make(bleve.TokenFrequencies, 128),
		values: make(bleve.TokenFrequencies, 8),
	}
	sort := sortable{timestamp: none, filesize: none, creation: none}
	for _, name := range shortFirst(e.Properties) {
		value := e.Properties[name]
		if numbers[name] {
			n, ok := pythonInt(value)
			if ok {
				sort.set(name, n)
				value = strconv.FormatInt(n, 10)
			}
			if n == 0 && ok {
				continue // what is nothing to Python is not indexed
			}
		}
		if name == "title" {
			sort.title = pythonStrip(value)
		}
		if !notText[name] && value != "" && name != "uid" {
			d.add(name, value)
		}
	}
	d.add("uid", string(e.UID))
	d.kept = appendProperties(nil, e.Properties)
	d.stored = append(sort.appendTo(nil), e.Extra...)
	return d
}

// shortFirst are the names of properties, so that of an entry with too many words at
// least its title is found.
func shortFirst(properties map[string]string) []string {
	names := slices.Collect(maps.Keys(properties))
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(properties[a]), len(properties[b])), cmp.Compare(a, b))
	})
	return names
}

// maxWords is how many words of an entry are indexed: far more than a child writes
// into a description, and far less than what a hostile school server can send.
const maxWords = 10_000

// gap is what Xapian's TermGenerator leaves between the words of two properties,
// so that no phrase spans them.
const gap = 100

// add indexes a property.
func (d *document) add(name, value string) {
	field, known := fields[name]
	if known {
		if whole := string(field) + value; 1+len(whole) <= maxTerm {
			d.values[whole] = &bleve.TokenFreq{Term: []byte(whole)}
			d.values[whole].SetFrequency(1)
		}
	} else {
		field = otherField
	}
	xapian.Terms(value, func(term []byte) {
		if d.count++; d.count > maxWords {
			return
		}
		d.length++
		key := make([]byte, 1+len(term))
		key[0] = field
		copy(key[1:], term)
		freq := d.words[string(key)]
		if freq == nil {
			freq = &bleve.TokenFreq{Term: key}
			d.words[string(key)] = freq
		}
		freq.Locations = append(freq.Locations, &bleve.TokenLocation{Position: d.length})
		freq.SetFrequency(len(freq.Locations))
	})
	d.length += gap
}

func (d *document) ID() string { return d.id }

func (d *document) VisitFields(visit bleve.FieldVisitor) {
	visit(&field{name: idField, value: []byte(d.id), options: bleve.IndexField | bleve.StoreField | bleve.SkipFreqNorm,
		length: 1, terms: bleve.TokenFrequencies{d.id: {Term: []byte(d.id)}}})
	visit(&field{name: textField, options: bleve.IndexField | bleve.IncludeTermVectors, length: len(d.words), terms: d.words})
	visit(&field{name: valueField, options: bleve.IndexField | bleve.SkipFreqNorm, length: len(d.values), terms: d.values})
	visit(&field{name: storedField, value: d.stored, options: bleve.StoreField})
	visit(&field{name: keptField, value: d.kept, options: bleve.StoreField})
}

func (d *document) AddIDField()                                {} // VisitFields has it
func (d *document) VisitComposite(bleve.CompositeFieldVisitor) {}
func (d *document) HasComposite() bool                         { return false }
func (d *document) Size() int                                  { return 0 }
func (d *document) NumPlainTextBytes() uint64                  { return 0 }
func (d *document) StoredFieldsBytes() uint64                  { return uint64(len(d.id) + len(d.stored) + len(d.kept)) }
func (d *document) Indexed() bool                              { return true }

// field is one of a document.
type field struct {
	name    string
	value   []byte
	options bleve.FieldIndexingOptions
	length  int
	terms   bleve.TokenFrequencies
}

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return f.value }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) Analyze()                                         {} // done before
func (f *field) Options() bleve.FieldIndexingOptions              { return f.options }
func (f *field) AnalyzedLength() int                              { return f.length }
func (f *field) AnalyzedTokenFrequencies() bleve.TokenFrequencies { return f.terms }
func (f *field) NumPlainTextBytes() uint64                        { return 0 }

// appendProperties writes names and values, each behind its length.
func appendProperties(b []byte, properties map[string]string) []byte {
	for name, value := range properties {
		if name == "preview" {
			continue
		}
		b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
		b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
	}
	return b
}

// readProperties reads what appendProperties wrote.
func readProperties(b []byte) (map[string][]byte, error) {
	properties := make(map[string][]byte, 24)
	piece := func() []byte {
		length, n := binary.Uvarint(b)
		if n <= 0 || uint64(len(b)-n) < length {
			b = nil
			return nil
		}
		p := b[n : n+int(length)]
		b = b[n+int(length):]
		return p
	}
	for len(b) > 0 {
		name := piece()
		if b == nil {
			return nil, errRows
		}
		if properties[string(name)] = piece(); b == nil {
			return nil, errRows
		}
	}
	return properties, nil
}

// pythonStrip is what Python's str.strip() leaves.
func pythonStrip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f })
}

// pythonInt is what dbus.Int32 makes of it.
func pythonInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	return n, err == nil
}
