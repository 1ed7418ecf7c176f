package index

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// Hit is an entry that was found.
type Hit struct {
	UID        datastore.UID
	Extra      string            // of the Entry
	Properties map[string][]byte // of the Entry
}

// Find answers the page that q asks for, and how many there are in all.
func (x *Index) Find(ctx context.Context, q *Query) (page []Hit, total int, err error) {
	err = x.view(func(parts []*part) error {
		found, err := x.matches(ctx, parts, q)
		if err != nil {
			return err
		}
		total = len(found)
		for _, f := range x.page(found, q) {
			properties, err := f.part.properties(f.number)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrUnusable, err)
			}
			page = append(page, Hit{f.uid, f.extra, properties})
		}
		return nil
	})
	return page, total, err
}

// FindUIDs answers only which entries it finds.
func (x *Index) FindUIDs(ctx context.Context, q *Query) (uids []datastore.UID, err error) {
	err = x.view(func(parts []*part) error {
		found, err := x.matches(ctx, parts, q)
		if err != nil {
			return err
		}
		for _, f := range x.page(found, q) {
			uids = append(uids, f.uid)
		}
		return nil
	})
	return uids, err
}

// match is a document that fits a query.
type match struct {
	*row
	part *part
}

// matches are all of them, in no order.
func (x *Index) matches(ctx context.Context, parts []*part, q *Query) (found []match, err error) {
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		docs, err := p.match(ctx, q)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		found = slices.Grow(found, int(docs.GetCardinality()))
		for i := docs.Iterator(); i.HasNext(); {
			found = append(found, match{&p.rows[i.Next()], p})
		}
	}
	return found, nil
}

// view calls do with the parts of the index as it is now; they are good until it
// returns.
func (x *Index) view(do func([]*part) error) (err error) {
	defer recovered(&err)
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return ErrUnusable
	}
	return do(x.parts())
}

// match is what of a segment fits a query.
func (p *part) match(ctx context.Context, q *Query) (*roaring.Bitmap, error) {
	docs := p.all()
	if q.nothing {
		return roaring.New(), nil
	}
	for _, terms := range q.values {
		some, err := p.anyOf(valueField, terms)
		if err != nil {
			return nil, err
		}
		docs.And(some)
	}
	for _, r := range q.ranges {
		docs.And(p.inRange(r))
	}
	if q.text != nil {
		some, err := p.text(ctx, q.text)
		if err != nil {
			return nil, err
		}
		docs.And(some)
	}
	return docs, nil
}

// all documents that have not been replaced.
func (p *part) all() *roaring.Bitmap {
	docs := roaring.New()
	docs.AddRange(0, uint64(len(p.rows)))
	docs.AndNot(p.gone)
	return docs
}

func (p *part) inRange(r numberRange) *roaring.Bitmap {
	docs := roaring.New()
	for n := range p.rows {
		value := r.of(&p.rows[n])
		if slices.ContainsFunc(r.between, func(b [2]float64) bool { return b[0] <= value && value <= b[1] }) {
			docs.Add(uint32(n))
		}
	}
	return docs
}

// page is what q asks for of what was found, in the order that it asks for. What is
// equal there is in the order of Sugar's index where that is known, else the newest
// first, and then by uid.
func (x *Index) page(found []match, q *Query) []match {
	rank := x.rank
	compare := func(a, b match) int {
		if c := q.order.compare(a.row, b.row); c != 0 {
			if q.order.falling {
				return -c
			}
			return c
		}
		return cmp.Or(
			cmp.Compare(rankOf(rank, a.uid), rankOf(rank, b.uid)),
			cmp.Compare(b.timestamp, a.timestamp),
			cmp.Compare(a.uid, b.uid))
	}
	from := min(q.offset, len(found))
	to := from + min(q.limit, len(found)-from)
	found = first(found, to, compare)
	slices.SortFunc(found, compare)
	return found[from:to]
}

func rankOf(rank map[datastore.UID]uint32, uid datastore.UID) uint32 {
	if n, ok := rank[uid]; ok {
		return n
	}
	return ^uint32(0)
}

// Rank tells the index in which order Sugar's own has its entries, which breaks
// ties there; nil: that is not known. What is added to it later comes behind.
func (x *Index) Rank(uids []datastore.UID) {
	if uids == nil {
		return
	}
	rank := make(map[datastore.UID]uint32, len(uids))
	for n, uid := range uids {
		rank[uid] = uint32(n)
	}
	x.mu.Lock()
	x.rank, x.next = rank, uint32(len(uids))
	x.mu.Unlock()
}

// follow keeps the ranks as Sugar does: what is new is last, what is replaced keeps
// its place.
func (x *Index) follow(entries []*Entry, removed []datastore.UID) {
	if x.rank == nil {
		return
	}
	for _, uid := range removed {
		delete(x.rank, uid)
	}
	for _, e := range entries {
		if _, ok := x.rank[e.UID]; !ok {
			x.rank[e.UID] = x.next
			x.next++
		}
	}
}

// Activities are the values of the property activity, sorted.
func (x *Index) Activities() (names []string, err error) {
	seen := map[string]bool{}
	err = x.view(func(parts []*part) error {
		for _, p := range parts {
			if err := p.values(fields["activity"], seen); err != nil {
				return err
			}
		}
		return nil
	})
	return slices.Sorted(maps.Keys(seen)), err
}

// extras are the Extra of each entry.
func (x *Index) extras() (map[datastore.UID]string, error) {
	all := map[datastore.UID]string{}
	err := x.view(func(parts []*part) error {
		for _, p := range parts {
			for i := p.all().Iterator(); i.HasNext(); {
				r := &p.rows[i.Next()]
				all[r.uid] = r.extra
			}
		}
		return nil
	})
	return all, err
}
