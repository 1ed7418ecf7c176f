package dbus

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// Operations of jobs.
const (
	OperationBackup       = "backup"
	OperationRestore      = "restore"
	OperationRestoreEntry = "restore-entry"
	OperationExport       = "export"
	OperationReindex      = "reindex"
)

// called is what messages call a job of an operation, after an article.
func called(operation string) string {
	switch operation {
	case OperationRestoreEntry:
		return "restore of an entry"
	case OperationReindex:
		return "rebuilding of the index"
	}
	return operation
}

// article goes before what is called so.
func article(called string) string {
	if strings.ContainsRune("aeiou", rune(called[0])) {
		return "An"
	}
	return "A"
}

// announceEvery spaces a job's PropertiesChanged: nine in a second, and the last
// one, which does not wait.
const announceEvery = 120 * time.Millisecond

// job is work under way.
type job struct {
	number    uint64
	path      godbus.ObjectPath
	operation string
	subject   any // what it works on: a call for the same gets this job
	start     time.Time
	cancel    context.CancelCauseFunc
	done      chan struct{} // closed when the result is known and told
	emit      func(changed map[string]godbus.Variant)

	mu       sync.Mutex
	progress Progress
	estimate estimate
	result   record // Result is "" while the job runs
	timer    *time.Timer
	due      time.Time // when the next PropertiesChanged may be sent

	announcing sync.Mutex // keeps them in order; held before mu
	announced  map[string]godbus.Variant
}

// report takes what the engine says about its progress, as often as it likes.
func (j *job) report(p Progress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.result.Result != "" {
		return
	}
	j.progress = p
	fraction, known := p.fraction()
	j.estimate.update(p.Phase, fraction, known, time.Now())
	if j.timer == nil {
		j.timer = time.AfterFunc(max(0, time.Until(j.due)), j.announce)
	}
}

// waits tells whether the job waits for the school server.
func (j *job) waits() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.progress.Phase == PhaseWaiting
}

// finish sets the result; properties tell it from now on.
func (j *job) finish(r record) {
	j.mu.Lock()
	j.result = r
	if j.timer != nil {
		j.timer.Stop()
	}
	j.mu.Unlock()
	j.announce()
}

// announce sends what has changed since the last time.
func (j *job) announce() {
	j.announcing.Lock()
	defer j.announcing.Unlock()
	j.mu.Lock()
	j.timer = nil
	j.due = time.Now().Add(announceEvery)
	j.mu.Unlock()
	now := j.properties()
	changed := maps.Clone(now)
	for name, value := range now {
		before, ok := j.announced[name]
		if ok && (before == value || name == "ExpectedEndTime" && near(before, value)) {
			delete(changed, name)
			now[name] = before
		}
	}
	j.announced = now
	if len(changed) > 0 {
		j.emit(changed)
	}
}

// near: an expected end that moved by less than a second has not moved.
func near(a, b godbus.Variant) bool {
	x, y := a.Value().(uint64), b.Value().(uint64)
	return x != 0 && y != 0 && max(x, y)-min(x, y) < uint64(time.Second/time.Microsecond)
}

// properties are those of org.laptop.Backup.Job. All values are scalars.
func (j *job) properties() map[string]godbus.Variant {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.result.Result != "" {
		return j.result.properties(j.progress)
	}
	fraction, known := j.progress.fraction()
	return jobProperties(record{Operation: j.operation, Start: j.start.UnixMicro()}, j.progress, fraction, known, j.estimate.end(time.Now()))
}

// properties of a job that is over.
func (r record) properties(p Progress) map[string]godbus.Variant {
	p.Phase = ""
	fraction, known := p.fraction()
	if r.whole() {
		fraction, known = 1, true
	}
	return jobProperties(r, p, fraction, known, r.End)
}

func jobProperties(r record, p Progress, fraction float64, known bool, end int64) map[string]godbus.Variant {
	return map[string]godbus.Variant{
		"Operation":      godbus.MakeVariant(r.Operation),
		"Phase":          godbus.MakeVariant(clean(p.Phase)),
		"Progress":       godbus.MakeVariant(fraction),
		"ProgressValid":  godbus.MakeVariant(known),
		"Bytes":          godbus.MakeVariant(wide(p.Bytes)),
		"BytesDone":      godbus.MakeVariant(wide(p.BytesDone)),
		"Entries":        godbus.MakeVariant(narrow(p.Entries)),
		"EntriesDone":    godbus.MakeVariant(narrow(p.EntriesDone)),
		"EntriesSkipped": godbus.MakeVariant(narrow(p.EntriesSkipped)),

		"StartTime":       godbus.MakeVariant(wide(r.Start)),
		"ExpectedEndTime": godbus.MakeVariant(wide(end)),
		"Cancelable":      godbus.MakeVariant(r.Result == ""),
		"Result":          godbus.MakeVariant(r.Result),
		"ErrorName":       godbus.MakeVariant(r.ErrorName),
		"ErrorMessage":    godbus.MakeVariant(r.Message),
	}
}

// wide and narrow: counts are never negative on the bus.
func wide(n int64) uint64 { return uint64(max(n, 0)) }

func narrow(n int) uint32 { return uint32(min(max(int64(n), 0), 1<<32-1)) }
