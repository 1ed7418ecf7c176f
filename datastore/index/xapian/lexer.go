package xapian

// kind says what a token is to the parser.
type kind uint8

const (
	tokenNone kind = iota // after an error
	tokenEnd
	tokenWord       // a word
	tokenGroupWord  // a word that only white space separates from the word before
	tokenPhraseWord // a word that one of . - / : \ @ joins to the word before
	tokenWildWord   // a word with * after it
	tokenQuoteMark
	tokenOpening // a bracket
	tokenClosing
	tokenAnd
	tokenOr
	tokenXor
	tokenNot
	tokenNear
	tokenAdj
	tokenLove         // +
	tokenHate         // -
	tokenHateAfterAnd // - right after an operator
)

type token struct {
	kind   kind
	text   string // of a word, in lower case
	fields string // of a word
	window uint32 // of near and adj, if they say one

	// Xapian's lexer goes on from the token before this one to this one without a
	// look at whether the parser found an error.
	blind bool
}

// mode is what the lexer is in the midst of.
type mode uint8

const (
	plain         mode = iota
	afterWord          // the next word may be a groupWord: one word went before
	inGroup            // the same, after a groupWord
	inPhrase           // the next thing is a phraseWord
	inQuotes           // between quotation marks
	inFieldQuotes      // the same, with a field's name before them
)

// A lexer reads a query's tokens, one at a time. Where and how it sees operators
// depends on what came before, and not on what the parser makes of it.
//
// The rules are those of Xapian's own lexer, with what is odd about them: what
// they make of a text that is no proper query is what a child finds.
type lexer struct {
	cutter
	wordsOnly bool // no operators, marks or wildcards, but fields

	mode   mode
	last   rune   // the last character that was no word; 'A' for any word
	fields string // of the phrase that is under way

	// The innermost fields are the last. Brackets and field:"…" open new ones.
	scopes []string

	// What stands right before: an operator or a sign, or a sign.
	afterOperator, afterSign bool
}

func newLexer(text string, wordsOnly bool) lexer {
	return lexer{
		cutter:    cutter{text: text},
		wordsOnly: wordsOnly,
		last:      ' ',
		scopes:    []string{AnyField},
	}
}

// next returns the next token. What is left open at the end is closed.
func (l *lexer) next() token {
	blind := l.afterOperator || l.mode == inPhrase
	for l.pos < len(l.text) {
		if t, ok := l.step(); ok {
			t.blind = blind
			return t
		}
		blind = false
	}
	if l.mode == inQuotes || l.mode == inFieldQuotes {
		// The scope of a field's quotation marks stays: they have to be closed by
		// hand, or Xapian finds one bracket too many.
		l.mode = plain
		return token{kind: tokenQuoteMark}
	}
	if len(l.scopes) > 1 {
		l.popScope()
		return token{kind: tokenClosing}
	}
	return token{kind: tokenEnd}
}

// step reads on by a little, there may be a token in it.
func (l *lexer) step() (t token, ok bool) {
	if l.mode == inPhrase {
		return l.readWord(l.fields, false), true
	}
	afterOperator, afterSign := l.afterOperator, l.afterSign
	l.afterOperator, l.afterSign = false, false
	if r, _ := decode(l.text[l.pos:]); isSpace(r) {
		l.last = ' '
		if !l.skipSpace() {
			return t, false
		}
	}
	r, size := decode(l.text[l.pos:])
	if !isWord(r) {
		l.pos += size
		return l.mark(r, afterOperator)
	}
	l.last = 'A'
	var fields string
	if l.outsideQuotes() {
		if fields, t, ok = l.fieldName(); ok {
			return t, true
		}
	}
	return l.readWord(fields, afterSign), true
}

func (l *lexer) outsideQuotes() bool {
	return l.mode == plain || l.mode == afterWord || l.mode == inGroup
}

// readWord reads a word, an operator, or a word with a wildcard. No fields means
// those of the innermost scope.
func (l *lexer) readWord(fields string, afterSign bool) token {
	from := l.pos
	l.cut()
	if fields == "" {
		if t, ok := l.operator(); ok {
			l.mode = plain
			l.afterOperator = true
			return t
		}
		fields = l.scopes[len(l.scopes)-1]
	}
	t := token{kind: tokenWord, text: lowered(l.word, l.text[from:l.pos]), fields: fields}
	switch {
	case l.mode == inPhrase:
		t.kind = tokenPhraseWord
		l.mode = plain
	case !l.outsideQuotes():
		return t
	case l.wildcard():
		t.kind = tokenWildWord
		l.mode = plain
		return t
	case l.mode != plain && !l.phraseFollows():
		t.kind = tokenGroupWord
		l.mode = inGroup
	default:
		l.mode = plain
	}
	l.wordEnds(t, afterSign)
	return t
}

// wildcard takes a * that ends a word.
func (l *lexer) wildcard() bool {
	if l.wordsOnly || l.pos == len(l.text) || l.text[l.pos] != '*' || l.wordAt(l.pos+1) {
		return false
	}
	l.pos++
	return true
}

// wordEnds looks at what separates a word from what follows it, which says
// whether they belong together.
func (l *lexer) wordEnds(t token, afterSign bool) {
	if l.pos == len(l.text) {
		return
	}
	if isPhraseMark(l.text[l.pos]) {
		follows := l.phraseFollows()
		l.pos = l.afterPhraseMarks(l.pos)
		if follows {
			l.mode = inPhrase
			l.fields = t.fields
		}
		return
	}
	if t.kind == tokenPhraseWord {
		return
	}
	grouped := l.mode == inGroup
	l.mode = plain
	if r, _ := decode(l.text[l.pos:]); afterSign || !isSpace(r) {
		return
	}
	l.last = ' '
	if l.skipSpace() && l.wordAt(l.pos) {
		l.mode = afterWord
		if grouped {
			l.mode = inGroup
		}
	}
}

// phraseFollows says whether phrase marks join what was before to a word.
func (l *lexer) phraseFollows() bool {
	after := l.afterPhraseMarks(l.pos)
	return after > l.pos && l.wordAt(after)
}

func (l *lexer) afterPhraseMarks(i int) int {
	for i < len(l.text) && isPhraseMark(l.text[i]) {
		i++
	}
	return i
}

func isPhraseMark(b byte) bool {
	switch b {
	case '.', '-', '/', ':', '\\', '@':
		return true
	}
	return false
}

// skipSpace goes to the next character that is no white space, if there is one.
func (l *lexer) skipSpace() bool {
	for l.pos < len(l.text) {
		r, size := decode(l.text[l.pos:])
		if !isSpace(r) {
			return true
		}
		l.pos += size
	}
	return false
}

func (l *lexer) pushScope(fields string) { l.scopes = append(l.scopes, fields) }

func (l *lexer) popScope() { l.scopes = l.scopes[:len(l.scopes)-1] }
