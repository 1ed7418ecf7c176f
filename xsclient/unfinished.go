package xsclient

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/profile"
)

// A power cut can leave half of an entry that Sugar's datastore was just putting
// back for us: it syncs nothing. It looks like one that was changed here; but it
// is one of those that were under way, and there is nothing in it that is not in
// what comes back.

// underWay are the entries that a restore has begun to give to Sugar's datastore
// and that are not known to be on the disk. They are kept on disk, a uid a line,
// for the run that goes on after a power cut.
type underWay struct {
	path string
	left map[datastore.UID]bool // by an earlier run
}

// openUnderWay reads what an earlier run of the same restore has left.
func openUnderWay(path string) (*underWay, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	u := &underWay{path: path, left: map[datastore.UID]bool{}}
	for _, line := range strings.Fields(string(b)) {
		if uid, err := datastore.ParseUID(line); err == nil {
			u.left[uid] = true
		}
	}
	return u, nil
}

// begin records a batch before the first entry of it is given away.
func (u *underWay) begin(batch []arrival) error {
	all := maps.Clone(u.left)
	for _, a := range batch {
		all[a.uid] = true
	}
	return u.write(all)
}

func (u *underWay) write(uids map[datastore.UID]bool) error {
	var b bytes.Buffer
	for _, uid := range slices.Sorted(maps.Keys(uids)) {
		fmt.Fprintln(&b, uid)
	}
	if err := profile.WriteFile(u.path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("recording which entries are under way: %w", err)
	}
	return nil
}

// end forgets a batch that is on the disk. On disk it is so with the next begin,
// or with the end of the restore.
func (u *underWay) end(batch []arrival) {
	for _, a := range batch {
		delete(u.left, a.uid)
	}
}

// settle brings that to the disk too, where no end of a restore does.
func (u *underWay) settle() error {
	if len(u.left) > 0 {
		return u.write(u.left)
	}
	if err := os.Remove(u.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// bySugar are properties that Sugar's datastore fills in by itself.
var bySugar = []string{"uid", "timestamp", "creation_time", "filesize", "checksum"}

// isUnfinished tells whether what is here lacks something of whole, and has
// nothing that whole does not have. A child may take something away, too: ask only
// of what was under way.
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
