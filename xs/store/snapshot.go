package store

import (
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// Snapshot is one complete, verified copy, opened for reading.
type Snapshot struct {
	Record wire.Snapshot
	root   *os.Root
	folder *Folder
}

// Close lets the snapshot go.
func (s *Snapshot) Close() error { return s.root.Close() }

// FS is the travelling tree.
func (s *Snapshot) FS() fs.FS { return s.root.FS() }

// Path is the tree's folder.
func (s *Snapshot) Path() string { return s.folder.path(snapshotsDir + "/" + s.Record.ID) }

// Ref is how the snapshot is named towards the XO: restore's PATH.
func (s *Snapshot) Ref() string { return snapshotsDir + "/" + s.Record.ID }

// Manifest reads the sums of all files.
func (s *Snapshot) Manifest() (Manifest, error) {
	name := s.Ref() + ".manifest"
	f, err := s.folder.root.Open(name)
	if err != nil {
		return nil, damage(s.Record.ID, "manifest", err)
	}
	defer f.Close()
	m, err := decodeManifest(f)
	if err != nil {
		return nil, damage(s.Record.ID, "manifest", err)
	}
	return m, nil
}

// Wanted looks which of the entries wanted (none: all) are still what they
// were, as far as that shows without reading them. What is sent is verified by
// whoever receives it.
func (s *Snapshot) Wanted(uids []datastore.UID) (whole []datastore.UID, damaged []wire.Kept, err error) {
	st, err := s.state()
	if err != nil {
		return nil, nil, err
	}
	known := map[datastore.UID]bool{}
	for _, uid := range st.sums.uids() {
		known[uid] = true
	}
	bad := st.lost()
	if len(uids) == 0 {
		uids = slices.Sorted(maps.Keys(known))
	}
	for _, uid := range uids {
		switch {
		case !known[uid]:
			damaged = append(damaged, wire.Kept{UID: string(uid), Reason: "is not in this backup", Missing: true})
		case bad[uid] != "":
			damaged = append(damaged, wire.Kept{UID: string(uid), Reason: bad[uid], Missing: true})
		default:
			whole = append(whole, uid)
		}
	}
	return whole, damaged, nil
}
