package xs

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// room is what the server has left: load, disk, and slots for sessions.
type room struct {
	dir    string
	config Config
	slots  chan struct{}
	ofOne  *share // of the slots
	// promises are the running sessions'.
	mu       sync.Mutex
	promises map[*promise]bool
	// loadavg is /proc/loadavg, but for tests.
	loadavg string
}

func newRoom(dir string, c Config) *room {
	return &room{dir: dir, config: c, slots: make(chan struct{}, c.MaxSessions),
		ofOne: newShare(sessionsOfOne), promises: map[*promise]bool{}, loadavg: "/proc/loadavg"}
}

// enter takes a slot for an account, if there is one. leave gives it back, once.
func (r *room) enter(id store.AccountID) (leave func(), no *wire.Refusal) {
	if !r.ofOne.enter(id) {
		return nil, r.busy(fmt.Sprintf("The school server is busy with %d other sessions of this Journal.", sessionsOfOne))
	}
	select {
	case r.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-r.slots; r.ofOne.leave(id) }), nil
	default:
		r.ofOne.leave(id)
		return nil, r.busy(fmt.Sprintf("The school server is busy with %d other laptops.", cap(r.slots)))
	}
}

// check tells whether a backup would be taken now.
func (r *room) check() *wire.Refusal {
	if len(r.slots) == cap(r.slots) {
		return r.busy(fmt.Sprintf("The school server is busy with %d other laptops.", cap(r.slots)))
	}
	return r.ready()
}

// ready tells whether load and disk allow a backup, whatever the slots say.
func (r *room) ready() *wire.Refusal {
	if load, ok := r.load(); ok && load > r.config.MaxLoad*float64(runtime.NumCPU()) {
		return r.busy("The school server is busy with other work.")
	}
	free, err := r.free()
	if err != nil {
		return &wire.Refusal{Code: wire.RefusedFailed, Message: "The school server cannot look at its disk.", RetryAfter: r.seconds()}
	}
	if free.bytes <= 0 || free.inodes <= 0 {
		return r.full()
	}
	return nil
}

func (r *room) busy(message string) *wire.Refusal {
	return &wire.Refusal{Code: wire.RefusedBusy, Message: message, RetryAfter: r.seconds()}
}

func (r *room) full() *wire.Refusal {
	return &wire.Refusal{Code: wire.RefusedFull, Message: "The school server's disk is full.", RetryAfter: r.seconds()}
}

// fits refuses what needs more than is free, and says what is lacking.
func (r *room) fits(need, free space) *wire.Refusal {
	no := r.full()
	switch {
	case need.bytes > free.bytes:
		no.Message = fmt.Sprintf("The school server's disk is full: this Journal needs %s, and there is room for %s.",
			wire.Size(uint64(max(0, need.bytes))), wire.Size(uint64(max(0, free.bytes))))
	case need.inodes > free.inodes:
		no.Message = fmt.Sprintf("The school server's disk is full: this Journal needs %d files and folders, and there is room for %d.",
			need.inodes, max(0, free.inodes))
	default:
		return nil
	}
	return no
}

func (r *room) seconds() int { return int(math.Ceil(r.config.RetryAfter.Seconds())) }

func (r *room) load() (float64, bool) {
	b, err := os.ReadFile(r.loadavg)
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(b), " ")
	load, err := strconv.ParseFloat(first, 64)
	return load, err == nil
}

// space is what may still be used, the reserve not counted.
type space struct{ bytes, inodes int64 }

func (r *room) free() (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(r.dir, &st); err != nil {
		return space{}, err
	}
	s := space{
		bytes:  int64(min(st.Bavail, math.MaxInt64/uint64(max(st.Bsize, 1))))*int64(st.Bsize) - r.config.MinFreeMB<<20,
		inodes: int64(min(st.Ffree, math.MaxInt64)) - r.config.MinFreeInodes,
	}
	if st.Files == 0 { // a file system without a fixed number of them
		s.inodes = math.MaxInt64
	}
	return s, nil
}

// snapshotInodes is what a snapshot of so many files takes besides them, which
// are hard links: folders, in current and in the snapshot, its manifest and
// record, and what is written before it gets its name.
func snapshotInodes(files int) int64 {
	const (
		uidCharacters = 64 // with each of which a folder may be called
		beside        = 6
	)
	return 2*int64(1+min(files, uidCharacters)) + beside
}

// quota is how many bytes one received tree may have in all.
func (r *room) quota() int64 {
	if r.config.AccountQuotaMB == 0 {
		return 0
	}
	return r.config.AccountQuotaMB << 20
}

// RoomLeft is what an administrator sees of it.
type RoomLeft struct {
	Bytes, Inodes int64  // without the reserve
	Refuses       string // why no backup would be taken now, if so
}

// Room answers what the server in dir has left, slots apart.
func Room(dir string, c Config) (RoomLeft, error) {
	r := newRoom(dir, c)
	free, err := r.free()
	if err != nil {
		return RoomLeft{}, err
	}
	left := RoomLeft{Bytes: max(0, free.bytes), Inodes: max(0, free.inodes)}
	if no := r.ready(); no != nil {
		left.Refuses = no.Message
	}
	return left, nil
}
