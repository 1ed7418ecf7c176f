package index

import (
	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// anyOf are the documents with one of the terms.
func (p *part) anyOf(field string, terms []string) (*roaring.Bitmap, error) {
	dictionary, err := p.Segment().Dictionary(field)
	if err != nil {
		return nil, err
	}
	docs := roaring.New()
	for _, term := range terms {
		if err := addPostings(docs, dictionary, []byte(term)); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// startingWith are the documents with a term that begins so.
func (p *part) startingWith(field, prefix string) (*roaring.Bitmap, error) {
	dictionary, err := p.Segment().Dictionary(field)
	if err != nil {
		return nil, err
	}
	docs := roaring.New()
	terms := dictionary.AutomatonIterator(nil, []byte(prefix), after(prefix))
	for {
		entry, err := terms.Next()
		if err != nil || entry == nil {
			return docs, err
		}
		if err := addPostings(docs, dictionary, []byte(entry.Term)); err != nil {
			return nil, err
		}
	}
}

// after is the first term that does not begin with prefix. There is one: a term
// begins with a letter.
func after(prefix string) []byte {
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}

// addPostings adds the documents with a term.
func addPostings(docs *roaring.Bitmap, dictionary segment.TermDictionary, term []byte) error {
	list, err := dictionary.PostingsList(term, nil, nil)
	if err != nil {
		return err
	}
	postings := list.Iterator(false, false, false, nil)
	if whole, ok := postings.(segment.OptimizablePostingsIterator); ok {
		if n, one := whole.DocNum1Hit(); one {
			docs.Add(uint32(n))
			return nil
		}
		if all := whole.ActualBitmap(); all != nil {
			docs.Or(all)
			return nil
		}
	}
	for {
		posting, err := postings.Next()
		if err != nil || posting == nil {
			return err
		}
		docs.Add(uint32(posting.Number()))
	}
}

// values adds the whole values of a property that some document has.
func (p *part) values(field byte, seen map[string]bool) error {
	dictionary, err := p.Segment().Dictionary(valueField)
	if err != nil {
		return err
	}
	terms := dictionary.AutomatonIterator(nil, []byte{field}, []byte{field + 1})
	for {
		entry, err := terms.Next()
		if err != nil || entry == nil {
			return err
		}
		docs := roaring.New()
		if err := addPostings(docs, dictionary, []byte(entry.Term)); err != nil {
			return err
		}
		if gone := p.Deleted(); gone != nil {
			docs.AndNot(gone)
		}
		if !docs.IsEmpty() {
			seen[entry.Term[1:]] = true
		}
	}
}
