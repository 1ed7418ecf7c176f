package xapian

import (
	"errors"
	"fmt"
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
	p.read()
	if p.kind == tokenEnd {
		return nil, ErrEmpty
	}
	q := p.whole(tokenEnd)
	for (p.err == errNoQuery || p.err == errHateOnly) && !p.seen {
		p.restart()
		q = p.whole(tokenEnd)
	}
	if p.err != nil {
		return nil, p.err
	}
	return q, nil
}

var (
	// errNoQuery is for what the grammar does not know. A query with such an error
	// is read again as nothing but words.
	errNoQuery = errors.New("no proper query")
	// errHateOnly is the same for an operand that says only what not to find.
	errHateOnly = errors.New("only what is not to be found")
)

// A parser goes by precedence. The first error stays, and from then on there are
// no more tokens.
//
// It matters which of several errors is found first: ErrSyntax is the end, and
// errNoQuery is not. Xapian's parser is made from a grammar, so this one combines
// what it has read at the same tokens as that one.
type parser struct {
	lexer lexer
	token // the one that is looked at

	depth int
	err   error

	// Xapian's lexer does not always look whether there was an error before it goes
	// on to the next token (token.blind), and the parser then starts anew with that
	// one, and may find ErrSyntax yet: in NEAR AND AND, but not in NEAR a AND AND.
	again bool
	seen  bool // the lexer has looked
	// For so many tokens it does not start anew, but skips the one that does not fit.
	patience int
}

func (p *parser) restart() {
	if p.err == errNoQuery {
		p.patience = 3
	}
	p.err = nil
	p.depth = 0
	p.again = true
	p.read()
}

// advance takes the token.
func (p *parser) advance() {
	p.patience--
	p.read()
}

// unexpected is for a token that does not fit.
func (p *parser) unexpected() {
	if p.patience <= 0 {
		p.fail(errNoQuery)
		return
	}
	p.patience = 3
	p.read()
}

func (p *parser) read() {
	if p.err != nil {
		return
	}
	p.token = p.lexer.next()
	if p.again && !p.blind {
		p.seen = true
		p.fail(errNoQuery)
	}
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.token = token{kind: tokenNone}
}
