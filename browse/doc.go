// Package browse lets one look into Journals: the one that is here, and each
// snapshot at school, as Sugar's datastore would answer if it had them.
//
// # Words
//
//   - A shelf is one Journal to look into. It has an index (package index) and says
//     where the properties and the file of an entry come from.
//   - The Journal here is read from its index and its folder. Of a snapshot the list
//     of entries is fetched once, and kept as an index in the cache; previews and
//     files are fetched when somebody asks for them.
//
// # Invariants
//
//   - Answers have the types that Sugar's datastore answers with.
//   - What is kept of snapshots has a bound, and may go at any time.
//   - Looking changes nothing, here and at school.
package browse
