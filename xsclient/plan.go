package xsclient

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// reserve is what a restore leaves free on the laptop's disk: Sugar needs room
// to start and to save.
const reserve = 50 << 20

// task is one entry that is to come back.
type task struct {
	uid     datastore.UID
	version datastore.Version
	size    int64 // of its files as they travel
	cost    int64 // of disk, while it is fetched and put back
	keep    bool
	time    int64
}

// plan lists what has to come back, what a child would miss most first:
// starred entries, then the newest.
func (r *restore) plan(ctx context.Context) ([]task, error) {
	r.report("comparing")
	here, err := r.sink.here(ctx)
	if err != nil {
		return nil, err
	}
	var tasks []task
	seen := map[datastore.UID]bool{}
	err = r.api.Entries(ctx, r.snap.ID, func(e wire.Entry) error {
		uid, err := datastore.ParseUID(e.UID)
		switch {
		case err != nil:
			return badAnswer(fmt.Sprintf("an entry called %.60q", e.UID))
		case seen[uid]:
			return badAnswer(fmt.Sprintf("entry %s twice in snapshot %s", uid, r.snap.ID))
		}
		seen[uid] = true
		if e.Damaged != "" {
			r.skip(uid, damagedAtSchool(sentence(e.Damaged)))
			return nil
		}
		t, err := newTask(uid, e)
		if err != nil {
			return err
		}
		switch r.sink.plan(t, here) {
		case comesBack, replaced, both, mended, unfinished:
			tasks = append(tasks, t)
		case unseen:
			r.skip(uid, fmt.Sprintf("the folder %s of the Journal here cannot be read; it stays safe at school", uid[:2]))
		case stays:
			r.result.Stayed++
			fallthrough
		default:
			r.result.Entries++
		}
		return nil
	})
	if err == nil {
		err = r.checkList(len(seen))
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tasks, func(a, b task) int {
		if a.keep != b.keep {
			if a.keep {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(a.uid, b.uid))
	})
	return tasks, nil
}

// checkList compares how many entries are listed with how many there are. What
// is not listed cannot be named; a replace would lose it here too.
func (r *restore) checkList(listed int) error {
	missing := r.snap.Entries - listed
	switch {
	case missing < 0:
		return badAnswer(fmt.Sprintf("%d entries in the list of snapshot %s, which has %d", listed, r.snap.ID, r.snap.Entries))
	case missing > 0 && r.pending.Replace:
		return &Error{Code: Damaged, Message: fmt.Sprintf(
			"The school server does not find %d of the %d entries of snapshot %s: ask whoever looks after it to verify it; a restore without replacing brings back the rest.",
			missing, r.snap.Entries, r.snap.ID)}
	}
	r.result.Unlisted = missing
	return nil
}

// maxEntrySize is more than any entry can have: its data is in parts whose
// numbers have four digits. No sum of such sizes overflows.
const maxEntrySize = 10_001 * datastore.MaxFile

// newTask looks at what the server says of an entry: nothing of it is believed
// that could name a file elsewhere.
func newTask(uid datastore.UID, e wire.Entry) (task, error) {
	if len(e.Version) != 64 || e.Size < 0 || e.Size > maxEntrySize {
		return task{}, badAnswer(fmt.Sprintf("version %.70q, size %d of entry %s", e.Version, e.Size, uid))
	}
	timestamp, _ := strconv.ParseInt(e.Metadata["timestamp"], 10, 64) // only orders what comes first
	return task{
		uid:     uid,
		version: datastore.Version(e.Version),
		size:    e.Size,
		cost:    diskCost(e.Size, len(e.Metadata)),
		keep:    e.Metadata["keep"] == "1",
		time:    timestamp,
	}, nil
}

// diskCost is about what an entry takes of the disk here.
func diskCost(size int64, properties int) int64 {
	const block = 4096 // each property is a file
	return size + int64(properties+6)*block
}

// A batch is bounded, so that a nearly full laptop can restore; and so is its
// metadata, all of which is in memory.
const (
	batchBytes   = 64 << 20
	batchEntries = 1000
)

// joining is the room that putting a large file together takes besides, see
// datastore.JoinData.
const joining = datastore.PartSize

// nextBatch takes from tasks what fits the disk now. An entry that does not
// fit stays at school, and is named.
func (r *restore) nextBatch(tasks []task) (batch, rest []task, err error) {
	free, err := freeBytes(r.c.cfg.Profile.Dir)
	if err != nil {
		return nil, nil, err
	}
	room := free - reserve - joining
	var cost, size int64
	for len(tasks) > 0 {
		t := tasks[0]
		switch {
		case t.cost > room && (r.pending.Replace || r.alone):
			// There was room when a replace began. What is not there must not be
			// lost with the Journal that is replaced.
			return nil, nil, diskFull(fmt.Errorf("entry %s needs %d bytes, %d are free", t.uid, t.cost, room))
		case t.cost > room:
			r.skip(t.uid, fmt.Sprintf("it does not fit this laptop's disk (%s needed, %s free); it stays safe at school",
				wire.Size(uint64(t.cost)), wire.Size(uint64(max(room, 0)))))
			tasks = tasks[1:]
			continue
		case len(batch) > 0 && (cost+t.cost > room || size+t.size > batchBytes), len(batch) == batchEntries:
			return batch, tasks, nil
		}
		batch = append(batch, t)
		cost += t.cost
		size += t.size
		tasks = tasks[1:]
	}
	return batch, nil, nil
}
