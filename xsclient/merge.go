package xsclient

import "github.com/sugarlabs/xo-backupd/datastore"

// verdict is what a merge does with one entry of a snapshot.
type verdict int

const (
	same       verdict = iota // what is here is what is there: not touched
	comesBack                 // missing here
	replaced                  // only there changed
	stays                     // only here changed, or the snapshot is older than what was agreed
	both                      // both changed, or nothing was agreed: the returning one gets a uid of its own
	leftGone                  // deleted here since, and deleted entries are not wanted
	mended                    // what is here cannot be read: it is put aside for what is there
	unfinished                // what is here is half of what is there: it is put back whole
	unseen                    // nobody can tell what is here: the folder that it would be in cannot be read
)

// Versions of an entry that is here but cannot be read: as it does not hold
// still, or for good. Each is like no other.
const (
	changingHere datastore.Version = "changing here"
	damagedHere  datastore.Version = "damaged here"
)

// agreement is the last version of an entry that XO and XS both had.
type agreement struct {
	Version datastore.Version
	Seq     uint64 // of the latest snapshot that is known to hold it
}

// decide tells what becomes of an entry of the snapshot numbered seq, from
// three versions and never from a clock: the one here ("" when there is
// none), the one there, and the last one agreed on (nil when there is none).
func decide(here, there datastore.Version, agreed *agreement, seq uint64, wantDeleted bool) verdict {
	switch {
	case here == "" && agreed != nil && !wantDeleted:
		return leftGone
	case here == "":
		return comesBack
	case here == damagedHere:
		return mended
	case here == there:
		return same
	case agreed == nil:
		return both
	case seq < agreed.Seq, there == agreed.Version:
		return stays
	case here == agreed.Version:
		return replaced
	default:
		return both
	}
}
