package index

import (
	"encoding/binary"
	"errors"
	"math"

	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// row is what of an entry is in memory.
type row struct {
	number uint64 // of the document in its segment
	uid    datastore.UID
	extra  string
	sortable
}

// sortable is what entries are sorted by. A number that an entry does not have is
// less than any.
type sortable struct {
	timestamp, filesize, creation float64
	title                         string
}

var none = math.Inf(-1)

func (s *sortable) set(name string, n int64) {
	switch name {
	case "timestamp":
		s.timestamp = float64(n)
	case "filesize":
		s.filesize = float64(n)
	case "creation_time":
		s.creation = float64(n)
	}
}

func (s *sortable) appendTo(b []byte) []byte {
	for _, n := range []float64{s.timestamp, s.filesize, s.creation} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(n))
	}
	b = binary.AppendUvarint(b, uint64(len(s.title)))
	return append(b, s.title...)
}

// read reads what appendTo wrote, and answers what is behind it.
func (s *sortable) read(b []byte) (rest []byte, ok bool) {
	if len(b) < 24 {
		return nil, false
	}
	number := func(at int) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b[at:])) }
	s.timestamp, s.filesize, s.creation = number(0), number(8), number(16)
	length, n := binary.Uvarint(b[24:])
	if b = b[24+max(n, 0):]; n <= 0 || uint64(len(b)) < length {
		return nil, false
	}
	s.title = string(b[:length])
	return b[length:], true
}

// rows are those of a segment, by the number of the document.
type rows []row

var errRows = errors.New("a stored field cannot be read")

func readRows(s segment.Segment) (rows, error) {
	all := make(rows, s.Count())
	for n := range all {
		r := &all[n]
		r.number = uint64(n)
		good := false
		err := s.VisitStoredFields(uint64(n), func(field string, _ byte, value []byte, _ []uint64) bool {
			switch field {
			case idField:
				r.uid = datastore.UID(value)
			case storedField:
				var extra []byte
				extra, good = r.read(value)
				r.extra = string(extra)
			}
			return true
		})
		if err == nil && (!good || r.uid == "") {
			err = errRows
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// properties of a document, as they were when it was indexed.
func (p *part) properties(number uint64) (properties map[string][]byte, err error) {
	visitErr := p.VisitStoredFields(number, func(field string, _ byte, value []byte, _ []uint64) bool {
		if field != keptField {
			return true
		}
		properties, err = readProperties(append([]byte{}, value...))
		return false
	})
	return properties, errors.Join(visitErr, err)
}
