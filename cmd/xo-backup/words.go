package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/wire"
)

// phases in words, short enough for a line of a terminal; others are shown as
// they are.
var phases = map[string]string{
	"":           "Starting",
	"looking":    "Looking",
	"sending":    "Sending",
	"verify":     "The server checks",
	"waiting":    "Waiting",
	"comparing":  "Comparing",
	"fetching":   "Fetching",
	"verifying":  "Checking",
	"publishing": "Putting back",
	"replacing":  "Replacing",
	"indexing":   "Indexing",
	"exporting":  "Writing the file",
	"writing":    "Writing",
}

// work is what a job of an operation is called; others are called as they are.
func work(operation string) string {
	switch operation {
	case dbus.OperationRestoreEntry:
		return "restore of the entry"
	case dbus.OperationReindex:
		return "rebuilding of the index"
	}
	return operation
}

// describe says how far a job is, in one line.
func describe(p progress, now time.Time) string {
	said := amounts(p)
	if p.known {
		said = append(said, fmt.Sprintf("%d %%", int(p.fraction*100)))
	}
	return strings.Join(append(said, timeLeft(p, now)...), ", ")
}

// amounts says what is done, and how much of it.
func amounts(p progress) []string {
	phase, ok := phases[p.phase]
	if !ok {
		phase = p.phase
	}
	switch {
	case p.bytes > 0 && p.bytesDone < p.bytes:
		return []string{phase, fmt.Sprintf("%s of %s", wire.Size(p.bytesDone), wire.Size(p.bytes))}
	case p.entries > 0:
		return []string{phase, fmt.Sprintf("%d of %d entries", p.done, p.entries)}
	}
	return []string{phase}
}

func timeLeft(p progress, now time.Time) []string {
	if end := time.UnixMicro(int64(p.expectedEnd)); p.expectedEnd > 0 && end.After(now) {
		return []string{duration(end.Sub(now)) + " left"}
	}
	return nil
}

// duration with the one unit that matters.
func duration(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return plural(int64(d.Round(time.Second)/time.Second), "second")
	case d < 90*time.Minute:
		return plural(int64(d.Round(time.Minute)/time.Minute), "minute")
	case d < 36*time.Hour:
		return plural(int64(d.Round(time.Hour)/time.Hour), "hour")
	default:
		return plural(int64((d+12*time.Hour)/(24*time.Hour)), "day")
	}
}

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// date is a moment as people say it. Clocks of XOs fall back: a moment to come
// is only dated.
func date(seconds int64, now time.Time) string {
	if seconds == 0 {
		return "never"
	}
	t := time.Unix(seconds, 0).In(now.Location())
	s := t.Format("2006-01-02 15:04")
	if ago := now.Sub(t); ago >= 0 && ago < 365*24*time.Hour {
		s += fmt.Sprintf(" (%s ago)", duration(ago))
	}
	return s
}

// day is one as people say it, when that was not long ago.
func day(seconds int64, now time.Time) string {
	t := time.Unix(seconds, 0).In(now.Location())
	midnight := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	switch ago := int(midnight(now).Sub(midnight(t)) / (24 * time.Hour)); {
	case t.After(now): // a clock that fell back
	case ago == 0:
		return "today"
	case ago == 1:
		return "yesterday"
	case ago < 7:
		return t.Weekday().String()
	}
	return "on " + t.Format(time.DateOnly)
}

func (a *app) printJSON(v any) {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}
