package dbus

import (
	"context"
	"path"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// For how long the list of snapshots is good enough for introspection. Programs
// that introspect ask for every object in turn.
const (
	listGood   = 30 * time.Second
	listFailed = 10 * time.Second // the school server has been away: not again at once
)

// snapshotNames are the objects below SnapshotsPath.
type snapshotNames struct {
	asking sync.Mutex // one asks, the others wait for its answer
	known  atomic.Pointer[knownNames]
}

type knownNames struct {
	names []string
	until time.Time
}

func (n *snapshotNames) forget() { n.known.Store(nil) }

// askSnapshots lists the snapshots.
func (s *Service) askSnapshots() (list []Snapshot, err error) {
	err = s.ask(s.asking, func(ctx context.Context) (err error) {
		list, err = s.engine.ListSnapshots(ctx)
		return err
	})
	return list, err
}

// snapshotNodes are the names of the snapshots as objects, newest last. Where the
// school server cannot be asked there are none: who introspects is no person to
// tell an error to.
func (s *Service) snapshotNodes() []string {
	s.names.asking.Lock()
	defer s.names.asking.Unlock()
	if known := s.names.known.Load(); known != nil && time.Now().Before(known.until) {
		return known.names
	}
	var names []string
	good := listFailed
	s.guard("ListSnapshots", func() {
		list, err := s.askSnapshots()
		if err != nil {
			s.log.Info("the snapshots cannot be listed now", "error", err)
			return
		}
		for i := range list {
			if at, ok := SnapshotPath(list[len(list)-1-i].ID); ok {
				names = append(names, path.Base(string(at)))
			}
		}
		good = listGood
	})
	s.names.known.Store(&knownNames{names, time.Now().Add(good)})
	return names
}

// snapshotNode is what an id looks like as the last part of an object's path.
var snapshotNode = regexp.MustCompile(`^\d{4}_\d\d_\d\dT\d\d_\d\d_\d\dZ$`)

// SnapshotPath is the object that shows a snapshot, if that can be an id of one.
func SnapshotPath(id string) (at godbus.ObjectPath, ok bool) {
	name := strings.ReplaceAll(id, "-", "_")
	if strings.Contains(id, "_") || !snapshotNode.MatchString(name) {
		return "", false
	}
	return SnapshotsPath + "/" + godbus.ObjectPath(name), true
}

// snapshotAt is the snapshot that an object of the datastore's interface shows;
// "" is the Journal.
func snapshotAt(at godbus.ObjectPath) string {
	if at == JournalPath {
		return ""
	}
	return strings.ReplaceAll(path.Base(string(at)), "_", "-")
}
