package index

import (
	"context"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// anyOf are the documents with one of the terms.
func (p *part) anyOf(field string, terms []string) (*roaring.Bitmap, error) {
	dictionary, err := p.Dictionary(field)
	if err != nil {
		return nil, err
	}
	docs := newUnion(dictionary)
	for _, term := range terms {
		if err := docs.add([]byte(term)); err != nil {
			return nil, err
		}
	}
	return docs.all, nil
}

// startingWith are the documents with a term that begins so.
func (p *part) startingWith(ctx context.Context, field, prefix string) (*roaring.Bitmap, error) {
	dictionary, err := p.Dictionary(field)
	if err != nil {
		return nil, err
	}
	docs := newUnion(dictionary)
	terms := termsBetween(dictionary, []byte(prefix), after(prefix))
	for n := 0; ; n++ {
		entry, err := terms.Next()
		if err != nil || entry == nil {
			return docs.all, err
		}
		if n%1000 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := docs.add([]byte(entry.Term)); err != nil {
			return nil, err
		}
	}
}

// termsBetween lists terms, and does not count their documents if it need not.
func termsBetween(d segment.TermDictionary, from, to []byte) segment.DictionaryIterator {
	quick, ok := d.(interface {
		AutomatonIteratorOmitCount(a segment.Automaton, from, to []byte) segment.DictionaryIterator
	})
	if ok {
		return quick.AutomatonIteratorOmitCount(nil, from, to)
	}
	return d.AutomatonIterator(nil, from, to)
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

// union gathers the documents of many terms.
type union struct {
	dictionary segment.TermDictionary
	all        *roaring.Bitmap

	// Of the last term: their room is used again.
	list     segment.PostingsList
	postings segment.PostingsIterator
}

func newUnion(d segment.TermDictionary) *union { return &union{dictionary: d, all: roaring.New()} }

// add adds the documents with a term.
func (u *union) add(term []byte) (err error) {
	if u.list, err = u.dictionary.PostingsList(term, nil, u.list); err != nil {
		return err
	}
	u.postings = u.list.Iterator(false, false, false, u.postings)
	if whole, ok := u.postings.(segment.OptimizablePostingsIterator); ok {
		if n, one := whole.DocNum1Hit(); one {
			u.all.Add(uint32(n))
			return nil
		}
		if some := whole.ActualBitmap(); some != nil {
			u.all.Or(some)
			return nil
		}
	}
	for {
		posting, err := u.postings.Next()
		if err != nil || posting == nil {
			return err
		}
		u.all.Add(uint32(posting.Number()))
	}
}

// values adds the whole values of a property that some document has.
func (p *part) values(field byte, seen map[string]bool) error {
	dictionary, err := p.Dictionary(valueField)
	if err != nil {
		return err
	}
	terms := termsBetween(dictionary, []byte{field}, []byte{field + 1})
	for {
		entry, err := terms.Next()
		if err != nil || entry == nil {
			return err
		}
		docs := newUnion(dictionary)
		if err := docs.add([]byte(entry.Term)); err != nil {
			return err
		}
		docs.all.AndNot(p.gone)
		if !docs.all.IsEmpty() {
			seen[entry.Term[1:]] = true
		}
	}
}
