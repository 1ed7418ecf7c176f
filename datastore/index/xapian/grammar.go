package xapian

import (
	"math"
	"slices"
)

// whole reads an expression up to what closes it.
func (p *parser) whole(closer kind) *Query {
	q := p.expression(loosest)
	for p.err == nil && (q == nil || p.kind != closer) {
		if p.kind.precedence() == noOperator {
			p.unexpected()
		}
		q = p.operators(q, loosest)
	}
	return q
}

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
func (p *parser) expression(least int) *Query {
	return p.operators(p.operand(), least)
}

func (p *parser) operators(left *Query, least int) *Query {
	for p.kind.precedence() >= least {
		op := p.kind
		p.advance()
		if op == tokenAnd && (p.kind == tokenNot || p.kind == tokenHateAfterAnd) {
			op = tokenNot
			p.advance()
		}
		left = p.operate(op, left, p.expression(op.precedence()+1))
	}
	return left
}

func (p *parser) operate(op kind, left, right *Query) *Query {
	switch {
	case p.err != nil:
		return nil
	case left == nil || right == nil:
		p.fail(ErrSyntax)
		return nil
	case op == tokenOr:
		return join(Or, left, right)
	case op == tokenXor:
		return join(Xor, left, right)
	case op == tokenAnd:
		return join(And, left, right)
	}
	return except(left, right)
}

// operand reads units with nothing between them but their signs. It is nil if
// there is none.
func (p *parser) operand() *Query {
	var wanted, loved, hated *Query
	for units := 0; ; units++ {
		switch p.kind {
		case tokenLove:
			p.advance()
			loved = join(And, loved, p.unit())
		case tokenHate:
			p.advance()
			hated = join(Or, hated, p.unit())
		case tokenWord, tokenWildWord, tokenQuoteMark, tokenOpening:
			wanted = join(Or, wanted, p.unit())
		default:
			// More than one unit, or one with a sign, Xapian combines before it looks
			// at what follows.
			if units == 1 && wanted != nil && !p.endsOperand() {
				p.fail(errNoQuery)
			}
			return p.weigh(wanted, loved, hated)
		}
	}
}

// endsOperand says whether something follows that may follow an operand.
func (p *parser) endsOperand() bool {
	return p.kind == tokenEnd || p.kind == tokenClosing || p.kind.precedence() != noOperator
}

// weigh makes one query of what was wanted, loved with + and hated with -. With
// something loved, what is merely wanted changes the order only.
func (p *parser) weigh(wanted, loved, hated *Query) *Query {
	q := wanted
	if loved != nil {
		q = loved
	}
	switch {
	case p.err != nil || hated == nil:
		return q
	case q == nil:
		p.fail(errHateOnly)
		return nil
	}
	return except(q, hated)
}

// unit reads a word with what belongs to it, a phrase or an expression in
// brackets.
func (p *parser) unit() *Query {
	for p.err == nil && !p.startsUnit() {
		p.unexpected()
	}
	t := p.token
	p.advance()
	switch t.kind {
	case tokenWord:
		return p.words(t)
	case tokenWildWord:
		return &Query{Op: Wildcard, Fields: t.fields, Text: t.text}
	case tokenQuoteMark:
		return p.quoted()
	case tokenOpening:
		return p.bracketed()
	}
	return nil
}

func (p *parser) startsUnit() bool {
	switch p.kind {
	case tokenWord, tokenWildWord, tokenQuoteMark, tokenOpening:
		return true
	}
	return false
}

func (p *parser) bracketed() *Query {
	if p.depth++; p.depth > MaxDepth {
		p.fail(ErrTooDeep)
	}
	q := p.whole(tokenClosing)
	p.depth--
	p.advance()
	return q
}

func (p *parser) quoted() *Query {
	words := p.list(tokenWord)
	if len(words) == 0 || p.kind != tokenQuoteMark {
		p.fail(errNoQuery)
		return nil
	}
	p.advance()
	return positional(Phrase, words, 0)
}

// list reads words of one kind.
func (p *parser) list(k kind, words ...*Query) []*Query {
	for p.kind == k {
		words = append(words, single(p.token))
		p.advance()
	}
	return words
}

// words reads what makes one unit with the word that was read.
func (p *parser) words(first token) *Query {
	switch p.kind {
	case tokenGroupWord:
		return p.group(first)
	case tokenPhraseWord:
		return positional(Phrase, p.list(tokenPhraseWord, single(first)), 0)
	case tokenNear:
		return p.within(Near, first)
	case tokenAdj:
		return p.within(Phrase, first)
	}
	return single(first)
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
func (p *parser) within(op Op, first token) *Query {
	words := []*Query{single(first)}
	var distance uint32
	for link := p.kind; p.kind == link; p.advance() {
		distance = max(distance, p.window)
		p.advance()
		if p.kind != tokenWord {
			p.fail(errNoQuery)
			return nil
		}
		words = append(words, single(p.token))
	}
	if distance == 0 {
		distance = 10
	}
	return positional(op, words, distance-1)
}

func single(t token) *Query { return &Query{Op: Term, Fields: t.fields, Text: t.text} }

// positional makes a phrase of the words, or what NEAR makes, with so much space
// between them. A phrase of one word is that word.
func positional(op Op, words []*Query, space uint32) *Query {
	if len(words) == 1 {
		return words[0]
	}
	window := space + uint32(len(words)) // this too wraps around in Xapian
	if window == 0 {
		window = uint32(len(words))
	}
	q := &Query{Op: op, Window: int(min(window, math.MaxInt32)), Subs: words}
	if fields := words[0].Fields; !slices.ContainsFunc(words, func(w *Query) bool { return w.Fields != fields }) {
		q.Fields = fields
		for _, w := range words {
			w.Fields = ""
		}
	}
	return q
}
