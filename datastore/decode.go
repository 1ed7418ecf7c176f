package datastore

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"unicode/utf8"
)

// DecodeEntry reads a .cjson. It takes only what Encode makes, to the byte: no
// two files say the same thing, so equal entries have equal sums.
func DecodeEntry(b []byte) (*Entry, error) {
	e, err := decodeEntry(b)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON of an entry: %w", err)
	}
	return e, nil
}

func decodeEntry(b []byte) (*Entry, error) {
	if len(b) > MaxFile {
		return nil, errTooMuch
	}
	p := &parser{rest: b}
	e := &Entry{Metadata: map[string][]byte{}}
	p.expect(`{`)
	if p.take(`"data":{"sha256":`) {
		e.Data = &Data{SHA256: p.sum()}
		p.expect(`,"size":`)
		e.Data.Size = p.integer()
		p.expect(`},`)
	}
	p.expect(`"metadata":{`)
	for last := ""; p.err == nil; {
		name := p.text()
		if len(e.Metadata) > 0 && name <= last {
			p.fail("the properties are not sorted")
		}
		last = name
		p.expect(`:`)
		e.Metadata[name] = p.value()
		if !p.take(`,`) {
			break
		}
	}
	p.expect(`},"uid":`)
	e.UID = UID(p.text())
	p.expect(`}`)
	p.end()
	if p.err != nil {
		return nil, p.err
	}
	return e, e.check()
}

// parser reads the few shapes of canonical JSON that our files have. The first
// error stays, and everything after it reads as nothing.
type parser struct {
	rest []byte
	read int // bytes before rest
	err  error
}

func (p *parser) fail(why string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s, at byte %d", why, p.read)
		p.rest = nil
	}
}

func (p *parser) skip(n int) []byte {
	b := p.rest[:n]
	p.rest = p.rest[n:]
	p.read += n
	return b
}

func (p *parser) take(literal string) bool {
	if p.err != nil || len(p.rest) < len(literal) || string(p.rest[:len(literal)]) != literal {
		return false
	}
	p.skip(len(literal))
	return true
}

func (p *parser) expect(literal string) {
	if !p.take(literal) {
		p.fail(fmt.Sprintf("%q is missing", literal))
	}
}

func (p *parser) end() {
	if len(p.rest) > 0 {
		p.fail("more follows")
	}
}

// text reads a string: only the quote and the backslash are escaped, all other
// characters, control characters included, stand for themselves.
func (p *parser) text() string {
	p.expect(`"`)
	var out []byte
	for p.err == nil {
		i := bytes.IndexAny(p.rest, `"\`)
		if i < 0 {
			p.fail("a string has no end")
			break
		}
		out = append(out, p.skip(i)...)
		if p.skip(1)[0] == '"' {
			break
		}
		if len(p.rest) == 0 || p.rest[0] != '"' && p.rest[0] != '\\' {
			p.fail("a backslash escapes what needs none")
			break
		}
		out = append(out, p.skip(1)...)
	}
	if !utf8.Valid(out) {
		p.fail("a string is not UTF-8")
	}
	return string(out)
}

// value reads a property: a string, or {"base64":…} for what is not text.
func (p *parser) value() []byte {
	if !p.take(`{"base64":`) {
		return []byte(p.text())
	}
	s := p.text()
	p.expect(`}`)
	b, err := strictBase64.DecodeString(s)
	switch {
	case err != nil, base64.StdEncoding.EncodedLen(len(b)) != len(s): // it skips line ends
		p.fail("a value is not base64")
	case utf8.Valid(b):
		p.fail("a value is in base64 that could be text")
	}
	return b
}

var strictBase64 = base64.StdEncoding.Strict()

// integer reads a whole number from 0 on, without leading zeros.
func (p *parser) integer() int64 {
	n, digits := int64(0), 0
	for ; digits < len(p.rest) && '0' <= p.rest[digits] && p.rest[digits] <= '9'; digits++ {
		d := int64(p.rest[digits] - '0')
		if n > (math.MaxInt64-d)/10 {
			p.fail("a number is too large")
			return 0
		}
		n = n*10 + d
	}
	if digits == 0 || digits > 1 && p.rest[0] == '0' {
		p.fail("that is no number")
		return 0
	}
	p.skip(digits)
	return n
}

func (p *parser) sum() (sum [32]byte) {
	s := p.text()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(sum) || hex.EncodeToString(b) != s {
		p.fail("that is no sha256")
		return sum
	}
	copy(sum[:], b)
	return sum
}
