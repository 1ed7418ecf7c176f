package xapian

import (
	"errors"
	"fmt"
	"math"
)

var (
	// ErrEmpty is the error for a query without any word.
	ErrEmpty = errors.New("the query holds no word")
	// ErrSyntax is the error for an operator without something on both sides.
	ErrSyntax = errors.New("the query is not well formed")
	// ErrTooDeep is the error for brackets that nest more than MaxDepth deep,
	// which Xapian would take.
	ErrTooDeep = fmt.Errorf("the query nests brackets more than %d deep", MaxDepth)
)

// MaxDepth is how deep brackets can nest in a query.
const MaxDepth = 500

// errNoQuery is for what the grammar does not know. A query with such an error
// is read again as nothing but words.
var errNoQuery = errors.New("no proper query")

// Parse reads a query as Sugar's datastore has Xapian's QueryParser do it: OR
// between words, and AND, OR, XOR, NOT, NEAR, ADJ, brackets, + and -, "phrases",
// wildcard* and field:word. In place of an error other than ErrTooDeep, Sugar
// searches for a query that finds nothing.
func Parse(text string) (*Query, error) {
	q, err := parse(newLexer(text, false))
	if err == errNoQuery {
		q, err = parse(newLexer(text, true))
	}
	if err == errNoQuery {
		err = ErrSyntax
	}
	return q, err
}

func parse(l lexer) (*Query, error) {
	p := parser{lexer: l}
	p.advance()
	if p.kind == tokenEnd {
		return nil, ErrEmpty
	}
	q, err := p.expression(loosest)
	if err != nil {
		return nil, err
	}
	if q == nil || p.kind != tokenEnd {
		return nil, errNoQuery
	}
	return q, nil
}

// A parser goes by precedence. It finds the same one of several errors first
// that Xapian's parser finds, which is made from a grammar: errNoQuery is not
// the end, ErrSyntax is.
type parser struct {
	lexer lexer
	token // the one that is looked at

	depth int
}

func (p *parser) advance() { p.token = p.lexer.next() }

// How tight operators bind. All group from the left.
const (
	noOperator = iota
	loosest    // OR
	looser     // XOR
	tightest   // AND, NOT, AND NOT
)

func (k kind) precedence() int {
	switch k {
	case tokenOr:
		return loosest
	case tokenXor:
		return looser
	case tokenAnd, tokenNot:
		return tightest
	}
	return noOperator
}

// expression reads operands and the operators between them that bind at least as
// tight as asked. It is nil if there was none of either.
func (p *parser) expression(least int) (*Query, error) {
	left, err := p.operand()
	for err == nil && p.kind.precedence() >= least {
		op := p.kind
		p.advance()
		if op == tokenAnd && (p.kind == tokenNot || p.kind == tokenHateAfterAnd) {
			op = tokenNot
			p.advance()
		}
		var right *Query
		if right, err = p.expression(op.precedence() + 1); err != nil {
			break
		}
		left, err = operate(op, left, right)
	}
	return left, err
}

func operate(op kind, left, right *Query) (*Query, error) {
	switch {
	case left == nil || right == nil:
		return nil, ErrSyntax
	case op == tokenOr:
		return join(Or, left, right), nil
	case op == tokenXor:
		return join(Xor, left, right), nil
	case op == tokenAnd:
		return join(And, left, right), nil
	}
	return except(left, right), nil
}

// operand reads units with nothing between them but their signs. It is nil if
// there is none.
func (p *parser) operand() (*Query, error) {
	var wanted, loved, hated *Query
	units, signs := 0, 0
	for {
		sign := p.kind
		switch sign {
		case tokenLove, tokenHate:
			signs++
			p.advance()
		case tokenWord, tokenWildWord, tokenQuoteMark, tokenOpening:
		default:
			if units == 1 && signs == 0 && !p.endsOperand() {
				return nil, errNoQuery
			}
			return weigh(units, wanted, loved, hated)
		}
		unit, err := p.unit()
		if err != nil {
			return nil, err
		}
		units++
		switch sign {
		case tokenLove:
			loved = join(And, loved, unit)
		case tokenHate:
			hated = join(Or, hated, unit)
		default:
			wanted = join(Or, wanted, unit)
		}
	}
}

// endsOperand says whether something that may follow an operand follows. After
// a single unit without a sign Xapian looks at once; after more than one it
// first makes what it has into a query, and may find another error in that.
func (p *parser) endsOperand() bool {
	return p.kind == tokenEnd || p.kind == tokenClosing || p.kind.precedence() != noOperator
}

// weigh makes one query of what was wanted, loved with + and hated with -. With
// something loved, what is merely wanted changes the order only.
func weigh(units int, wanted, loved, hated *Query) (*Query, error) {
	q := wanted
	if loved != nil {
		q = loved
	}
	switch {
	case units == 0:
		return nil, nil
	case q == nil:
		return nil, errNoQuery
	case hated != nil:
		return except(q, hated), nil
	}
	return q, nil
}

// unit reads a word with what belongs to it, a phrase or an expression in
// brackets.
func (p *parser) unit() (*Query, error) {
	t := p.token
	p.advance()
	switch t.kind {
	case tokenWord:
		return p.words(t)
	case tokenWildWord:
		return &Query{Op: Wildcard, Fields: t.fields, Text: t.text}, nil
	case tokenQuoteMark:
		return p.quoted()
	case tokenOpening:
		return p.bracketed()
	}
	return nil, errNoQuery
}

func (p *parser) bracketed() (*Query, error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, ErrTooDeep
	}
	q, err := p.expression(loosest)
	if err != nil {
		return nil, err
	}
	if q == nil || p.kind != tokenClosing {
		return nil, errNoQuery
	}
	p.depth--
	p.advance()
	return q, nil
}

func (p *parser) quoted() (*Query, error) {
	var words []token
	for p.kind == tokenWord {
		words = append(words, p.token)
		p.advance()
	}
	if len(words) == 0 || p.kind != tokenQuoteMark {
		return nil, errNoQuery
	}
	p.advance()
	return positional(Phrase, words, 0), nil
}

// words reads what makes one unit with the word that was read.
func (p *parser) words(first token) (*Query, error) {
	switch p.kind {
	case tokenGroupWord:
		return p.group(first), nil
	case tokenPhraseWord:
		words := []token{first}
		for p.kind == tokenPhraseWord {
			words = append(words, p.token)
			p.advance()
		}
		return positional(Phrase, words, 0), nil
	case tokenNear:
		return p.within(Near, first)
	case tokenAdj:
		return p.within(Phrase, first)
	}
	return single(first), nil
}

func (p *parser) group(first token) *Query {
	q := single(first)
	for p.kind == tokenGroupWord {
		q = join(Or, q, single(p.token))
		p.advance()
	}
	return q
}

// within reads a chain of words with NEAR or ADJ between them. The largest
// distance that one of them says holds for all. One that says none is as good as
// the others, and where none does it is 10.
func (p *parser) within(op Op, first token) (*Query, error) {
	words := []token{first}
	var distance uint32
	for link := p.kind; p.kind == link; p.advance() {
		distance = max(distance, p.window)
		p.advance()
		if p.kind != tokenWord {
			return nil, errNoQuery
		}
		words = append(words, p.token)
	}
	if distance == 0 {
		distance = 10
	}
	return positional(op, words, distance-1), nil
}

func single(t token) *Query { return &Query{Op: Term, Fields: t.fields, Text: t.text} }

// positional makes a phrase of the words, or what NEAR makes, with so much space
// between them. A phrase of one word is that word.
func positional(op Op, words []token, space uint32) *Query {
	if len(words) == 1 {
		return single(words[0])
	}
	window := space + uint32(len(words)) // this too wraps around in Xapian
	if window == 0 {
		window = uint32(len(words))
	}
	q := &Query{Op: op, Fields: words[0].fields, Window: int(min(window, math.MaxInt32))}
	q.Subs = make([]*Query, len(words))
	for i, w := range words {
		q.Subs[i] = single(w)
		if w.fields != q.Fields {
			q.Fields = ""
		}
	}
	if q.Fields != "" {
		for _, s := range q.Subs {
			s.Fields = ""
		}
	}
	return q
}
