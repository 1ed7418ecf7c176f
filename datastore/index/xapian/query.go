package xapian

// An Op is what a Query does with its parts.
type Op uint8

const (
	// Term finds the entries that have the term Text in one of Fields.
	Term Op = iota
	// Wildcard finds those that have a term that begins with Text in one of Fields.
	Wildcard
	// Phrase and Near find those where each of Subs, which are all Term, has a
	// position, and the last of these positions is less than Window after the
	// first. For Phrase they come in the order of Subs; for Near in any, but no
	// two are the same.
	//
	// Where subs of Near share positions because one word stands in fields that
	// overlap, as in a NEAR b NEAR uid:a, Xapian overlooks some entries that have
	// other positions too; which ones depends on those it has looked at before.
	//
	// If Fields is set, all positions are of one and the same field of these, and
	// Subs have no Fields of their own. Else each sub says which its fields are.
	Phrase
	Near
	// And finds what all of Subs find, and Or what any of them finds.
	And
	Or
	// Xor finds what an odd number of Subs find.
	Xor
	// AndNot finds what the first of Subs finds, and none of the others.
	AndNot
)

// AnyField is every field that Sugar's datastore searches when the query names
// none: uid, activity, activity_id, mime_type, keep, project_id (Q, A, I, M, K,
// P), and one for all other properties together (N).
const AnyField = "QAIMKPN"

// fieldNames are the fields that a query can name.
var fieldNames = []struct{ name, field string }{
	{"uid", "Q"},
	{"activity", "A"},
	{"activity_id", "I"},
	{"mime_type", "M"},
	{"keep", "K"},
	{"project_id", "P"},
}

// A Query says which entries are found. Nothing is said of their order: Sugar
// sorts by an entry's values and never by relevance, so what Xapian's queries
// have for relevance alone is left out.
//
// Its depth is bounded, by how deep brackets nest and not by its length: a chain
// of operators is one Query with many Subs. A leaf may occur in it any number of
// times. No two places share a Query.
type Query struct {
	Op     Op
	Fields string // each byte is a field; Term, Wildcard and perhaps Phrase and Near
	Text   string // Term and Wildcard; in lower case, and of any length
	Window int    // Phrase and Near; if it is less than there are Subs, nothing is found
	Subs   []*Query
}

// join makes a And b, a Or b, or a Xor b. A chain from the left becomes one
// query, so that its length does not make it deep.
func join(op Op, a, b *Query) *Query {
	switch {
	case a == nil:
		return b
	case op == And && a.Op == AndNot:
		a.Subs[0] = join(And, a.Subs[0], b)
		return a
	case a.Op == op:
		a.Subs = append(a.Subs, b)
		return a
	}
	return &Query{Op: op, Subs: []*Query{a, b}}
}

func except(a, b *Query) *Query {
	if a.Op == AndNot {
		a.Subs = append(a.Subs, b)
		return a
	}
	return &Query{Op: AndNot, Subs: []*Query{a, b}}
}
