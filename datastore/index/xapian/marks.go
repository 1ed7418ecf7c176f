package xapian

import "strings"

// mark reads a character that is no word character and that pos has passed.
// Most mean nothing.
func (l *lexer) mark(r rune, afterOperator bool) (t token, ok bool) {
	before := l.last
	l.last = r
	if l.mode == afterWord || l.mode == inGroup {
		l.mode = plain
	}
	switch {
	case isQuote(r):
		return l.quote()
	case r == '+', r == '-':
		return l.sign(r, before, afterOperator)
	case r == '(':
		return l.open(before)
	case r == ')' && l.mode == plain && !l.wordsOnly:
		if len(l.scopes) > 1 {
			l.popScope()
		}
		return token{kind: tokenClosing}, true
	}
	return t, false
}

func isQuote(r rune) bool { return r == '"' || r == '\u201c' || r == '\u201d' }

// quote reads a quotation mark. One at the end, and two with nothing in between,
// mean nothing. Inside quotation marks, only "" are two.
func (l *lexer) quote() (t token, ok bool) {
	if l.mode == plain && !l.skipSpace() {
		return t, false
	}
	if l.pos < len(l.text) {
		r, size := decode(l.text[l.pos:])
		if l.mode == plain && isQuote(r) || l.last == '"' && r == '"' {
			l.last = r
			l.pos += size
			return t, false
		}
	}
	if l.wordsOnly {
		return t, false
	}
	switch l.mode {
	case inFieldQuotes:
		l.popScope()
		l.mode = plain
	case inQuotes:
		l.mode = plain
	default:
		l.mode = inQuotes
	}
	return token{kind: tokenQuoteMark}, true
}

// sign reads + or -, which count only before something and after white space or
// a bracket.
func (l *lexer) sign(r, before rune, afterOperator bool) (t token, ok bool) {
	if l.pos == len(l.text) || before > ' ' && before != '(' {
		return t, false
	}
	if next, size := decode(l.text[l.pos:]); isSpace(next) || next == '+' || next == '-' {
		l.last = next
		l.pos += size
		return t, false
	}
	if l.mode != plain || l.wordsOnly {
		return t, false
	}
	l.afterOperator, l.afterSign = true, true
	switch {
	case r == '+':
		return token{kind: tokenLove}, true
	case afterOperator:
		return token{kind: tokenHateAfterAnd}, true
	}
	return token{kind: tokenHate}, true
}

// open reads an opening bracket, which counts only before something and after
// white space, a bracket or a sign.
func (l *lexer) open(before rune) (t token, ok bool) {
	if !l.skipSpace() || before > ' ' && !beforeBracket(before) {
		return t, false
	}
	if l.text[l.pos] == ')' {
		l.last = ')'
		l.pos++
		return t, false
	}
	if l.mode != plain || l.wordsOnly {
		return t, false
	}
	l.pushScope(l.scopes[len(l.scopes)-1])
	return token{kind: tokenOpening}, true
}

// beforeBracket looks at the character's last byte only, and takes zero too,
// because Xapian does: strchr takes a char.
func beforeBracket(r rune) bool {
	return strings.IndexByte("()+-\x00", byte(r)) >= 0
}

// fieldName reads a field's name and the colon after it. If a quotation mark or
// a bracket follows, it opens the field's scope, and is the token. If a word
// follows, fields are the word's. Else nothing was read.
func (l *lexer) fieldName() (fields string, t token, ok bool) {
	fields, i := l.namedField()
	if fields == "" {
		return "", t, false
	}
	r, size := decode(l.text[i:])
	switch {
	case isQuote(r) && !l.wordsOnly:
		l.mode = inFieldQuotes
		t.kind = tokenQuoteMark
	case r == '(' && !l.wordsOnly:
		l.mode = plain
		t.kind = tokenOpening
	default:
		// As in path:/usr/local, but not in foo::bar.
		if r != ':' {
			i = l.afterPhraseMarks(i)
		}
		if !l.wordAt(i) {
			return "", t, false
		}
		l.pos = i
		return fields, t, false
	}
	l.last = r
	l.pos = i + size
	l.pushScope(fields)
	return fields, t, true
}

// namedField says which field's name is at pos, with a colon after it, and where
// what follows the colon is.
func (l *lexer) namedField() (fields string, after int) {
	rest := l.text[l.pos:]
	for _, f := range fieldNames {
		if i := len(f.name); len(rest) > i+1 && rest[i] == ':' && rest[:i] == f.name {
			if rest[i+1] <= ' ' || rest[i+1] == ')' {
				return "", 0
			}
			return f.field, l.pos + i + 1
		}
	}
	return "", 0
}

// operator says which operator the word is that was cut.
func (l *lexer) operator() (t token, ok bool) {
	if l.wordsOnly || l.acronym || !l.outsideQuotes() {
		return t, false
	}
	switch string(l.word) {
	case "AND":
		t.kind = tokenAnd
	case "OR":
		t.kind = tokenOr
	case "XOR":
		t.kind = tokenXor
	case "NOT":
		t.kind = tokenNot
	case "NEAR":
		t.kind = tokenNear
	case "ADJ":
		t.kind = tokenAdj
	default:
		return t, false
	}
	if t.kind == tokenNear || t.kind == tokenAdj {
		t.window, ok = l.distance()
		return t, ok
	}
	return t, true
}

// distance reads the number in NEAR/3. If there is a stroke but no number, or
// something more after it, NEAR is a word.
func (l *lexer) distance() (uint32, bool) {
	if l.pos == len(l.text) || l.text[l.pos] != '/' {
		return 0, true
	}
	n := uint64(0)
	i := l.pos + 1
	for i < len(l.text) && '0' <= l.text[i] && l.text[i] <= '9' {
		n = n*10 + uint64(l.text[i]-'0')
		i++
	}
	if n == 0 {
		return 0, false
	}
	if i < len(l.text) {
		if r, _ := decode(l.text[i:]); !isSpace(r) {
			return 0, false
		}
	}
	l.pos = i
	// A number too large wraps around, as in Xapian.
	return uint32(n), true
}
