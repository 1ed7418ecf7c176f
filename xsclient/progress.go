package xsclient

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// Progress is how far an operation is.
type Progress struct {
	Phase          string // one word: waiting (for a busy server), looking, sending, verifying, comparing, fetching, publishing, replacing, exporting
	Bytes          int64  // to move in all, as far as is known; 0: not known
	BytesDone      int64
	Entries        int
	EntriesDone    int
	EntriesSkipped int
}

// Result is how an operation that came to its end ended.
type Result struct {
	// Partial: some entries are not safe, or did not come back; Skipped says
	// which and why.
	Partial bool
	Message string // one sentence

	Snapshot wire.Snapshot
	Entries  int   // a backup: in the snapshot; a restore: in the Journal now
	Bytes    int64 // a backup: of the snapshot
	Stayed   int   // a restore: newer here, left as they are
	KeptBoth int   // a restore: came back beside a newer one
	Skipped  []Skipped
	Mended   []Skipped // a restore: could not be read here; the school's copy took their place
	Unlisted int       // a restore: of the snapshot, but the XS does not find them any more
}

// Skipped is an entry that an operation could not do its work for.
type Skipped struct {
	UID    string
	Reason string
}

// namesOf lists the first few of what was skipped, for a message.
func namesOf(skipped []Skipped) string {
	const most = 5
	var b strings.Builder
	for i, s := range skipped {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(skipped)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", s.UID, s.Reason)
	}
	return b.String()
}

// watch calls tell several times a second until the answered function is
// called, which waits for the last call to be over.
func watch(tell func()) (stop func()) {
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				tell()
			}
		}
	}()
	return func() {
		close(done)
		<-over
	}
}

// counting counts what is written through it, for whoever tells how far it is.
type counting struct {
	w io.Writer
	n atomic.Int64
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n.Add(int64(n))
	return n, err
}
