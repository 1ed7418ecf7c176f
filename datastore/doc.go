// Package datastore is a Journal in its two shapes, and the ways between them.
//
// # Words
//
//   - Layout 6 is how Sugar's datastore (carquinyol) keeps a Journal on disk: a
//     folder for each entry, a file for each property. A Store is one such
//     folder, that of a running Sugar or a raw copy anywhere.
//   - The travelling tree is how a Journal travels and is kept at school: for
//     each entry one file of canonical JSON (.cjson: the metadata, and the size
//     and sha256 of the data) and, if the entry has data, that data, in parts if
//     it is large; at the top journal.cjson. It is any fs.FS.
//   - A look (Store.Look) is a consistent reading of a whole Store. Its result
//     is a Tree: a travelling tree that exists nowhere on disk.
//   - An entry is steady when its metadata and its data belong together, see
//     steady.go; it is damaged when no travelling copy can be made of it. What
//     is not steady or damaged is left out of the tree and named in Journal.Kept,
//     which says: keep the copy that you have.
//   - A bundle (.xoj) is one entry as Sugar's own Journal imports it, see
//     WriteBundle.
//   - The version of an entry says whether two entries are the same work. It is
//     made from all that travels but for what Sugar derives by itself.
//
// # Invariants
//
//   - The same content makes the same tree to the last bit, whoever's it is and
//     whenever it is read: names, modes, times and bytes.
//   - Metadata of one version never stands beside data of another.
//   - Metadata and data come back byte for byte.
//   - Reading a Store changes nothing in it and needs no room on the disk.
//   - Nothing that was safe is lost when the power fails, see publish.go and
//     swap.go for the order of things.
//   - What comes from outside is checked once, where it comes in: ParseUID,
//     DecodeEntry, DecodeJournal, CheckFile.
package datastore
