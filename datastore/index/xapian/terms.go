package xapian

// MaxTerm is the length in bytes that a term can have. Xapian's TermGenerator
// skips what is longer, so that a query for it finds nothing.
const MaxTerm = 64

// Terms yields the terms of a text, as Xapian's TermGenerator cuts and folds
// them. Each takes the position after that of the one before; a word that is too
// long to be a term takes none.
//
// A term is valid until yield returns, its room is used for the next one.
func Terms(text string, yield func(term []byte)) {
	c := cutter{text: text, fold: true, word: make([]byte, 0, MaxTerm+16)}
	for c.toWord() {
		c.cut()
		if len(c.word) <= MaxTerm {
			yield(c.word)
		}
	}
}

// toWord goes to the next word character.
func (c *cutter) toWord() bool {
	for c.pos < len(c.text) {
		r, size := decode(c.text[c.pos:])
		if isWord(r) {
			return true
		}
		c.pos += size
	}
	return false
}
