// Package xapian is the text side of Xapian 1.4.22 as Sugar's datastore uses it:
// how text becomes terms, and how what a child types becomes a query. Nothing of
// it touches an index.
//
// # Words
//
//   - A word is a run of word characters in a text, with a few more characters
//     that join or end it: AT&T, 3.14, C++, U.N.C.L.E. See words.go.
//   - A term is a word as it is looked up: in lower case, at most MaxTerm bytes.
//   - A field says which property of an entry a term stands in. It is one byte,
//     the prefix that Sugar gives its terms in Xapian: see AnyField.
//
// # Invariants
//
//   - Terms and Parse answer what Xapian's TermGenerator and QueryParser answer
//     with the flags and prefixes of carquinyol.indexstore, whatever the bytes.
//     The one exception is ErrTooDeep. The tests ask the real one.
//   - Both take time and memory in proportion to the text, where Xapian's own
//     time is the square of it for some texts.
//   - Which characters are word characters is a table measured from Xapian
//     itself (tables.go), so that another Unicode version in Go's standard
//     library changes nothing.
package xapian

//go:generate sh -c "/usr/bin/python3 testdata/real.py tables > tables.go"
