package dbus

import (
	"math"
	"time"
)

// entryWeight is what an entry costs besides its bytes: opening, hashing and
// publishing some twenty small files takes as long as moving so many bytes.
const entryWeight = 16 << 10

// fraction is how much of the phase is done, if the engine knows.
func (p Progress) fraction() (done float64, known bool) {
	total := float64(max(p.Bytes, 0)) + entryWeight*float64(max(p.Entries, 0))
	if total <= 0 {
		return 0, false
	}
	now := float64(max(min(p.BytesDone, p.Bytes), 0)) + entryWeight*float64(max(min(p.EntriesDone, p.Entries), 0))
	return now / total, true
}

// Of an estimate.
const (
	settle   = time.Second            // before that there is none
	sample   = 250 * time.Millisecond // the shortest time from which a speed is taken
	memory   = 10 * time.Second       // how long a change of speed takes to count
	farthest = 30 * 24 * time.Hour    // beyond that there is none
)

// estimate of when a phase ends: a moving average of its speed.
type estimate struct {
	phase    string
	began    time.Time
	last     time.Time
	fraction float64
	speed    float64 // of the whole a second; 0: not known yet
	known    bool
}

func (e *estimate) update(phase string, fraction float64, known bool, now time.Time) {
	if phase != e.phase || !known || !e.known || fraction < e.fraction {
		*e = estimate{phase: phase, began: now, last: now, fraction: fraction, known: known}
		return
	}
	passed := now.Sub(e.last)
	if passed < sample {
		return
	}
	speed := (fraction - e.fraction) / passed.Seconds()
	if e.speed == 0 {
		e.speed = speed
	} else {
		e.speed += (speed - e.speed) * (1 - math.Exp(-passed.Seconds()/memory.Seconds()))
	}
	e.fraction, e.last = fraction, now
}

// end is the expected one in Unix microseconds, 0 if there is none.
func (e *estimate) end(now time.Time) int64 {
	if !e.known || e.speed <= 0 || e.last.Sub(e.began) < settle {
		return 0
	}
	rest := (1 - e.fraction) / e.speed
	if rest > farthest.Seconds() {
		return 0
	}
	end := e.last.Add(time.Duration(rest * float64(time.Second)))
	if end.Before(now) { // stalled: it is late, and that is all we know
		end = now
	}
	return end.UnixMicro()
}
