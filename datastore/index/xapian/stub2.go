package xapian

type Op int

const (
	Term Op = iota
	Wildcard
	Phrase
	Near
	And
	Or
	Xor
	AndNot
)

type Query struct {
	Op     Op
	Fields string
	Text   string
	Window int
	Subs   []*Query
}

func Parse(string) (*Query, error) { return nil, nil }
