package xsclient

import (
	"bytes"
	"slices"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// A power cut, or the end of Sugar's datastore, can leave half of an entry that
// was being put back. It looks like one that was changed here; but there is
// nothing in it that is not in what comes back.

// bySugar are properties that Sugar's datastore fills in by itself.
var bySugar = []string{"uid", "timestamp", "creation_time", "filesize", "checksum"}

// isUnfinished tells whether what is here lacks something of whole, and has
// nothing that whole does not have. A child's own work never looks so: it adds
// or changes something, and Sugar takes away no entry's data.
func isUnfinished(here, whole *datastore.Entry) bool {
	noData := false
	switch {
	case here.Data == nil:
		noData = whole.Data != nil
	case whole.Data == nil:
		return false
	case here.Data.Size == 0:
		noData = whole.Data.Size > 0
	case *here.Data != *whole.Data:
		return false
	}
	lacks := noData
	for name, value := range whole.Metadata {
		got, there := here.Metadata[name]
		switch {
		case name == "checksum": // comes when there is time
		case !there:
			lacks = true
		case bytes.Equal(got, value), slices.Contains(bySugar, name):
		case len(got) == 0 && noData: // the power went before it was written
		default:
			return false
		}
	}
	for name := range here.Metadata {
		if _, known := whole.Metadata[name]; !known && !slices.Contains(bySugar, name) {
			return false
		}
	}
	return lacks
}

// mayBeUnfinished tells, from the text in the XS's list, whether it is worth
// fetching the entry to see.
func mayBeUnfinished(here *datastore.Entry, listed map[string]string) bool {
	noData := (here.Data == nil || here.Data.Size == 0) && listed["filesize"] != "" && listed["filesize"] != "0"
	_, preview := here.Metadata["preview"] // is in no list
	lacks := noData || !preview
	for name, value := range listed {
		got, there := here.Metadata[name]
		switch {
		case name == "checksum":
		case !there:
			lacks = true
		case string(got) == value, slices.Contains(bySugar, name):
		case len(got) == 0 && noData:
		default:
			return false
		}
	}
	return lacks
}
