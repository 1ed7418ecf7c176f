package schedule

import (
	"hash/fnv"
	"strconv"
	"time"
)

// Times are what tells whether a backup is due.
type Times struct {
	Now    time.Time // as the laptop's clock has it, where the laptop is
	Laptop string    // which one this is: its serial number
	Last   time.Time // when the server last had all of the Journal, by the server's clock; zero: never
	// Since is how long that is ago by the laptop's having run, if ThisBoot: it has
	// not been started anew meanwhile.
	Since    time.Duration
	ThisBoot bool
}

// sane: a clock that shows less has fallen back, as an XO's does to 1970 when its
// battery was empty.
var sane = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// due tells whether a backup is, and if not when the next will be.
//
// In each round a laptop has one moment. A backup is due if there was none since
// the last moment that has passed. So a laptop that missed its moment is due as
// soon as it can, and one that missed a whole round still waits for its moment if
// the round has just begun: on Monday morning all of a school's have missed two.
//
// A clock that went back decides nothing. Since the laptop was started its clock
// is at least steady, so from the first backup on that one goes by Since; before
// it, a backup is due if the clock is before 2020 or before the last backup. That is
// once after each start. A clock that went ahead is held off in the same way.
func (s Settings) due(t Times) (due bool, next time.Time) {
	last := t.Last
	switch {
	case t.ThisBoot:
		last = t.Now.Add(-t.Since)
	case t.Now.Before(sane) || t.Now.Before(last):
		return true, t.Now
	}
	now := wall(t.Now)
	round := s.round(now)
	moment := s.moment(t.Laptop, round)
	switch {
	case now.Before(moment):
		return false, unwall(moment, t.Now.Location())
	case !last.IsZero() && !wall(last.In(t.Now.Location())).Before(moment):
		return false, unwall(s.moment(t.Laptop, round+1), t.Now.Location())
	}
	return true, t.Now
}

// monday is where rounds are counted from: weekly ones begin on a Monday.
var monday = time.Date(1970, 1, 5, 0, 0, 0, 0, time.UTC)

// round is the one that a time is in.
func (s Settings) round(now time.Time) int64 {
	passed := now.Sub(monday) - s.From
	n := int64(passed / s.Every)
	if passed%s.Every < 0 {
		n--
	}
	return n
}

// moment is a laptop's own in a round: another one in each, so that nobody is
// always last.
func (s Settings) moment(laptop string, round int64) time.Time {
	start := monday.Add(s.From + time.Duration(round)*s.Every)
	if s.Spread <= 0 {
		return start
	}
	h := fnv.New64a()
	h.Write([]byte(laptop + " " + strconv.FormatInt(round, 10)))
	return start.Add(time.Duration(h.Sum64() % uint64(s.Spread)))
}

// wall is what the clock on the wall shows, as if it hung in Greenwich: there each
// day has 24 hours.
func wall(t time.Time) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}

// unwall is when that clock, which hangs in zone, shows t.
func unwall(t time.Time, zone *time.Location) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(year, month, day, hour, minute, second, 0, zone)
}
