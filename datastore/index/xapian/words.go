package xapian

import (
	"strings"
	"unicode/utf8"
)

// A cutter finds the words in a text, one after the other. TermGenerator and
// QueryParser cut alike; they differ in what they make of what is in between.
type cutter struct {
	text string
	pos  int

	// What cut has found: the word, and whether it was an acronym. The word's
	// room is used again by the next cut.
	word    []byte
	acronym bool

	fold bool // to lower case

	// Before here no acronym begins. Without it, a text of A.A.A…b would be
	// looked through to its end from every letter.
	noAcronym int
}

// cut reads the word that begins at pos, and goes to its end.
func (c *cutter) cut() {
	c.word = c.word[:0]
	c.acronym = c.cutAcronym()
	if !c.acronym {
		c.cutWord()
		c.cutSuffix()
	}
}

// cutAcronym reads capitals with full stops between them, as in U.N.C.L.E. and
// P.T.O, without the stops. A word character right after makes it something
// else, and one letter is no acronym.
func (c *cutter) cutAcronym() bool {
	if c.pos < c.noAcronym || !isASCIIUpper(c.text[c.pos]) {
		return false
	}
	end, letters := c.pos, 0
	for {
		end++
		letters++
		if end == len(c.text) || c.text[end] != '.' {
			break
		}
		end++
		if end == len(c.text) || !isASCIIUpper(c.text[end]) {
			break
		}
	}
	if letters == 1 {
		return false
	}
	if c.wordAt(end) {
		c.noAcronym = end
		return false
	}
	for range letters {
		c.appendASCII(c.text[c.pos])
		c.pos += len("A.")
	}
	c.pos = end
	return true
}

// cutWord reads word characters, and single characters between two of them that
// join them.
func (c *cutter) cutWord() {
	last := rune(0)
	for c.pos < len(c.text) {
		if b := c.cutASCII(); b != 0 {
			last = rune(b)
			continue
		}
		r, size := decode(c.text[c.pos:])
		if isWord(r) {
			c.append(r)
			c.pos += size
			last = r
			continue
		}
		joint := c.joint(r, size, last)
		if joint == noInfix {
			return
		}
		if joint != ignored {
			c.append(joint)
			last = joint
		}
		c.pos += size
	}
}

// joint is what the character at pos becomes if it joins last to what follows.
func (c *cutter) joint(r rune, size int, last rune) rune {
	between, digits := infix(r), digitInfix(r)
	if between == noInfix && digits == noInfix {
		return noInfix
	}
	next, ok := c.wordRune(c.pos + size)
	switch {
	case !ok:
		return noInfix
	case isDigit(last) && isDigit(next):
		return digits
	}
	return between
}

// cutASCII reads the ASCII word characters that come next, most words are nothing
// else, and returns the last.
func (c *cutter) cutASCII() (last byte) {
	table := &keepASCII
	if c.fold {
		table = &foldASCII
	}
	for c.pos < len(c.text) {
		b := c.text[c.pos]
		if b >= utf8.RuneSelf || table[b] == 0 {
			break
		}
		last = table[b]
		c.word = append(c.word, last)
		c.pos++
	}
	return last
}

// cutSuffix reads up to three + or #, as in C++ and C#, but not in fish+chips.
func (c *cutter) cutSuffix() {
	end := c.pos
	for end < len(c.text) && isSuffix(c.text[end]) {
		if end++; end-c.pos > 3 {
			return
		}
	}
	if end > c.pos && !c.wordAt(end) {
		c.word = append(c.word, c.text[c.pos:end]...)
		c.pos = end
	}
}

func isSuffix(b byte) bool { return b == '+' || b == '#' }

func (c *cutter) append(r rune) {
	if r < utf8.RuneSelf {
		c.appendASCII(byte(r))
		return
	}
	if c.fold {
		r = lower(r)
	}
	c.word = utf8.AppendRune(c.word, r)
}

func (c *cutter) appendASCII(b byte) {
	if c.fold && isASCIIUpper(b) {
		b |= 0x20
	}
	c.word = append(c.word, b)
}

// wordAt says whether there is a word character at i; wordRune says which.
func (c *cutter) wordAt(i int) bool {
	_, ok := c.wordRune(i)
	return ok
}

func (c *cutter) wordRune(i int) (rune, bool) {
	if i >= len(c.text) {
		return 0, false
	}
	r, _ := decode(c.text[i:])
	return r, isWord(r)
}

// What joint, infix and digitInfix say of a character that joins nothing, and of
// one that joins and is not there, such as the zero width joiner.
const (
	noInfix rune = -1
	ignored rune = -2
)

// infix is what a character becomes between two word characters.
func infix(r rune) rune {
	switch r {
	case '\'', '&', '·', '\u05f4', '\u2027':
		return r
	case '\u2019', '\u201b':
		return '\''
	}
	return zeroWidth(r)
}

// digitInfix is the same between two digits.
func digitInfix(r rune) rune {
	switch r {
	case ',', '.', ';', '\u037e', '\u0589', '\u060d', '\u07f8', '\u2044', '\ufe10', '\ufe13', '\ufe14':
		return r
	}
	return zeroWidth(r)
}

func zeroWidth(r rune) rune {
	switch r {
	case '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff':
		return ignored
	}
	return noInfix
}

// lowered is a word that was not folded, in lower case. It is a part of from,
// where that spells it so, and costs no memory then.
func lowered(word []byte, from string) string {
	if from != string(word) {
		from = string(word)
	}
	return strings.Map(lower, from)
}
