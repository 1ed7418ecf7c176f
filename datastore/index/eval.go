package index

import (
	"context"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/sugarlabs/xo-backupd/datastore/index/xapian"
)

// text is what of a segment fits a text query.
func (p *part) text(ctx context.Context, q *xapian.Query) (*roaring.Bitmap, error) {
	switch q.Op {
	case xapian.Term:
		return p.anyOf(textField, termsOf(q))
	case xapian.Wildcard:
		docs := roaring.New()
		for _, prefix := range termsOf(q) {
			some, err := p.startingWith(ctx, textField, prefix)
			if err != nil {
				return nil, err
			}
			docs.Or(some)
		}
		return docs, nil
	case xapian.Phrase, xapian.Near:
		return p.near(ctx, q)
	}
	return p.combine(ctx, q)
}

// termsOf are the terms that stand for a word in each of its fields.
func termsOf(word *xapian.Query) []string {
	terms := make([]string, len(word.Fields))
	for i := range len(word.Fields) {
		terms[i] = word.Fields[i:i+1] + word.Text
	}
	return terms
}

// combine puts together what the parts of a query fit.
func (p *part) combine(ctx context.Context, q *xapian.Query) (docs *roaring.Bitmap, err error) {
	for i, sub := range q.Subs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		some, err := p.text(ctx, sub)
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0:
			docs = some
		case q.Op == xapian.And:
			docs.And(some)
		case q.Op == xapian.Or:
			docs.Or(some)
		case q.Op == xapian.Xor:
			docs.Xor(some)
		case q.Op == xapian.AndNot:
			docs.AndNot(some)
		}
		if docs.IsEmpty() && (q.Op == xapian.And || q.Op == xapian.AndNot) {
			break // nothing adds to it
		}
	}
	return docs, nil
}

// near are the documents in which words stand close together.
func (p *part) near(ctx context.Context, q *xapian.Query) (*roaring.Bitmap, error) {
	docs := roaring.New()
	for _, words := range alternatives(q) {
		some, err := p.nearTerms(ctx, q, words)
		if err != nil {
			return nil, err
		}
		docs.Or(some)
	}
	return docs, nil
}

// alternatives are the ways in which words can be near, all in one field: for each
// of the words, the terms of which one has to be there.
func alternatives(q *xapian.Query) (all [][][]string) {
	for f := range len(q.Fields) {
		words := make([][]string, len(q.Subs))
		for w, sub := range q.Subs {
			words[w] = []string{q.Fields[f:f+1] + sub.Text}
		}
		all = append(all, words)
	}
	if q.Fields == "" {
		words := make([][]string, len(q.Subs))
		for w, sub := range q.Subs {
			words[w] = termsOf(sub)
		}
		all = append(all, words)
	}
	return all
}

func (p *part) nearTerms(ctx context.Context, q *xapian.Query, words [][]string) (*roaring.Bitmap, error) {
	docs := roaring.New()
	candidates, err := p.anyOf(textField, words[0])
	for _, terms := range different(words) {
		if err != nil || candidates.IsEmpty() {
			return docs, err
		}
		var some *roaring.Bitmap
		some, err = p.anyOf(textField, terms)
		if err == nil {
			candidates.And(some)
		}
	}
	if err != nil {
		return nil, err
	}
	places, err := p.places(words)
	if err != nil {
		return nil, err
	}
	for i := candidates.Iterator(); i.HasNext(); {
		n := i.Next()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := make([][]int, len(places))
		known := map[*place][]int{} // a word may come thousands of times
		for w, terms := range places {
			if at[w], err = positions(terms, n, known); err != nil {
				return nil, err
			}
		}
		if q.Op == xapian.Phrase && inOrder(at, q.Window) || q.Op == xapian.Near && together(words, at, q.Window) {
			docs.Add(n)
		}
	}
	return docs, nil
}

// places read, for each of the words, where its terms stand.
func (p *part) places(words [][]string) ([][]*place, error) {
	dictionary, err := p.Dictionary(textField)
	if err != nil {
		return nil, err
	}
	all := make([][]*place, len(words))
	known := map[string]*place{}
	for w, terms := range words {
		for _, term := range terms {
			if p, ok := known[term]; ok {
				all[w] = append(all[w], p)
				continue
			}
			list, err := dictionary.PostingsList([]byte(term), nil, nil)
			if err != nil {
				return nil, err
			}
			known[term] = &place{postings: list.Iterator(true, false, true, nil)}
			all[w] = append(all[w], known[term])
		}
	}
	return all, nil
}

// place reads where a term stands, document by document, in order.
type place struct {
	postings segment.PostingsIterator
	now      segment.Posting // nil: none yet, or none any more
	begun    bool
}

// in are the positions in a document.
func (t *place) in(document uint32) (at []int, err error) {
	if !t.begun || t.now != nil && t.now.Number() < uint64(document) {
		t.begun = true
		if t.now, err = t.postings.Advance(uint64(document)); err != nil {
			return nil, err
		}
	}
	if t.now == nil || t.now.Number() != uint64(document) {
		return nil, nil
	}
	for _, l := range t.now.Locations() {
		at = append(at, int(l.Pos()))
	}
	return at, nil
}

// positions of any of the terms in a document, rising; known are those that have been
// read.
func positions(terms []*place, document uint32, known map[*place][]int) ([]int, error) {
	var all []int
	for _, t := range terms {
		at, ok := known[t]
		if !ok {
			var err error
			if at, err = t.in(document); err != nil {
				return nil, err
			}
			known[t] = at
		}
		if len(terms) == 1 {
			return at, nil
		}
		all = append(all, at...)
	}
	slices.Sort(all)
	return all, nil
}

// different are the words without those that come again.
func different(words [][]string) [][]string {
	var all [][]string
	seen := map[string]bool{}
	for _, terms := range words {
		if key := strings.Join(terms, "\x00"); !seen[key] {
			seen[key] = true
			all = append(all, terms)
		}
	}
	return all
}
