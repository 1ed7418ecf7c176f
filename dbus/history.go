package dbus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

const (
	historyFile  = "jobs.json"
	historySize  = 20       // results kept
	reserve      = 16       // numbers reserved by one write
	strayNumbers = 1 << 32  // numbers from here on are drawn at random
	maxHistory   = 16 << 20 // no jobs.json of ours is longer
)

// Results of a job.
const (
	ResultDone      = "done"
	ResultPartial   = "partial"
	ResultCancelled = "cancelled"
	ResultFailed    = "failed"
)

// record is the result of a job, as it is kept.
type record struct {
	Number    uint64 `json:"number"`
	Operation string `json:"operation"`
	Start     int64  `json:"start"` // Unix microseconds
	End       int64  `json:"end"`
	Result    string `json:"result"`
	ErrorName string `json:"error_name,omitempty"`
	Message   string `json:"message,omitempty"`
	Bytes     int64  `json:"bytes,omitempty"`
	Entries   int    `json:"entries,omitempty"`
	Skipped   int    `json:"skipped,omitempty"`
}

// whole: nothing was left to do when the job ended.
func (r record) whole() bool { return r.Result == ResultDone || r.Result == ResultPartial }

// progress is what is still known of a job's, from its record.
func (r record) progress() Progress {
	p := Progress{Bytes: r.Bytes, Entries: r.Entries, EntriesSkipped: r.Skipped}
	if r.whole() {
		p.BytesDone, p.EntriesDone = p.Bytes, p.Entries
	}
	return p
}

// history gives jobs their numbers and keeps the last results. It writes once a
// result, and once in `reserve` jobs for the numbers: flash is slow and wears.
type history struct {
	dir string

	mu       sync.Mutex
	next     uint64 // the next number
	reserved uint64 // numbers below this one are ours, on disk too
	results  []record
	notes    []record // in memory only

	saving sync.Mutex // one write at a time
}

// stored is jobs.json.
type stored struct {
	Format  int      `json:"format"`
	Next    uint64   `json:"next"` // no number from here on was ever used
	Results []record `json:"results"`
}

// openHistory reads jobs.json. Where it cannot, the history begins anew, with
// numbers that no job had before, and the error says why: it is no reason not
// to back up.
func openHistory(dir string) (*history, error) {
	h := &history{dir: dir, next: 1, reserved: 1}
	kept, err := readHistory(filepath.Join(dir, historyFile))
	switch {
	case err == nil:
		h.next, h.reserved, h.results = kept.Next, kept.Next, kept.Results
	case errors.Is(err, fs.ErrNotExist):
		return h, nil
	default:
		h.next = strayNumber()
		h.reserved = h.next
	}
	return h, err
}

func strayNumber() uint64 { return strayNumbers + rand.Uint64N(1<<52) }

func readHistory(name string) (*stored, error) {
	// O_NONBLOCK: nothing that is not a plain file may hold us up.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() || info.Size() > maxHistory {
		return nil, fmt.Errorf("%s is not a file of results", name)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	var kept stored
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", name, err)
	}
	if kept.Format != 1 || kept.Next == 0 || len(kept.Results) > historySize {
		return nil, fmt.Errorf("%s is damaged, or of a newer version", name)
	}
	for _, r := range kept.Results {
		if r.Number == 0 || r.Number >= kept.Next && r.Number < strayNumbers {
			return nil, fmt.Errorf("%s is damaged: job %d was never begun", name, r.Number)
		}
	}
	return &kept, nil
}

// number answers a number that no job has had. An error is one of the disk: the
// number is good nevertheless.
func (h *history) number() (uint64, error) {
	h.mu.Lock()
	if h.next == h.reserved {
		h.mu.Unlock()
		if err := h.save(reserve); err != nil {
			return strayNumber(), err
		}
		h.mu.Lock()
	}
	defer h.mu.Unlock()
	n := h.next
	h.next++
	return n, nil
}

// add keeps a result. An error is one of the disk: the result is kept in memory
// then, and written with the next.
func (h *history) add(r record) error {
	h.mu.Lock()
	h.results = append(h.results, r)
	if extra := len(h.results) - historySize; extra > 0 {
		h.results = append([]record(nil), h.results[extra:]...)
	}
	h.mu.Unlock()
	return h.save(0)
}

// note keeps what came of a job that was none: not on disk, nor in the place of a
// result that matters.
func (h *history) note(r record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, r)
	h.notes = h.notes[max(0, len(h.notes)-historySize):]
}

func (h *history) find(number uint64) (record, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, list := range [][]record{h.results, h.notes} {
		if i := slices.IndexFunc(list, func(r record) bool { return r.Number == number }); i >= 0 {
			return list[i], true
		}
	}
	return record{}, false
}

// save writes jobs.json, with that many further numbers reserved.
func (h *history) save(more uint64) error {
	h.saving.Lock()
	defer h.saving.Unlock()
	h.mu.Lock()
	reserved := h.reserved + more
	b, err := json.Marshal(stored{1, reserved, h.results})
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if err := replaceFile(h.dir, historyFile, b); err != nil {
		return fmt.Errorf("keeping the results of jobs: %w", err)
	}
	h.mu.Lock()
	h.reserved = reserved
	h.mu.Unlock()
	return nil
}

// replaceFile gives a file new contents, whole or not at all.
func replaceFile(dir, name string, b []byte) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// One name, so that what a power cut left is overwritten, not piled up.
	temp := filepath.Join(dir, name+".new")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
