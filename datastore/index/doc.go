// Package index answers what Sugar's datastore answers to find: the same entries,
// in the same order. Sugar asks Xapian; here the index is in segments of Bleve, and
// package xapian knows how Xapian cuts text into words and reads queries.
//
// # Words
//
//   - An Index is a folder with an index of a Journal or of a snapshot.
//   - A document is an entry in it. Its words are terms behind the letter of their
//     property's field, as in Sugar's own index; whole values of some properties
//     are terms too.
//   - A segment is a part of the index that never changes: one in a file, and one in
//     memory with what has changed since. All of a search happens segment by
//     segment, on bitmaps of the documents' numbers.
//   - A row is what of an entry is in memory while the index is open: its uid and
//     what it can be sorted by.
//
// # Invariants
//
//   - An index is a cache. One that is missing, damaged or of another version does
//     not open, and whoever wanted it builds it anew. What a power cut leaves is one
//     of before, and says which.
//   - A query costs time and memory in proportion to the index, whatever it says.
package index
