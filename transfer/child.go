package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
)

// marker in the environment tells a child what it is.
const marker = "XO_BACKUPD_TRANSFER"

// control is the child's end of the socket to its parent: the Job comes down,
// messages go up, and its end is the parent's.
const control = 3

// message is one line that goes up.
type message struct {
	Report json.RawMessage `json:"report,omitempty"`
	Ready  bool            `json:"ready,omitempty"`
	Stats  *Stats          `json:"stats,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// Child is what a program's transfer children know how to do.
type Child struct {
	Sources map[string]Source
	// Allow guards what is received. Nil: any plain tree.
	Allow Allow
}

// Main is to be called first thing in main and in TestMain. In a transfer
// child it does the Job and does not return; else it does nothing.
func (c Child) Main() {
	if os.Getenv(marker) == "" {
		return
	}
	os.Clearenv()
	// The parent ends us, nobody else: a signal to the whole terminal or
	// service leaves it to the parent what becomes of the transfer.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGXFSZ)
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(softMemory)
	up := &upstream{f: os.NewFile(control, "control")}
	if err := c.run(up); err != nil {
		up.send(message{Error: translate(err)})
		os.Exit(1)
	}
	os.Exit(0)
}

// The collector's settings, for an XO of 256 MB. gokrazy's sender leaves half a
// megabyte of garbage for each file: with Go's own settings a third of the work
// is collecting it, with these the child stays below 30 MB.
const (
	gcPercent  = 200
	softMemory = 24 << 20
)

func (c Child) run(up *upstream) error {
	down := bufio.NewReader(up.f)
	line, err := down.ReadBytes('\n')
	if err != nil {
		return err
	}
	var job Job
	if err := json.Unmarshal(line, &job); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, down)
		os.Exit(1) // the parent is gone
	}()

	status, _ := os.Open("/proc/self/status") // while it can be opened
	confined, err := confine(job)
	if err != nil {
		return err
	}
	ctx := context.Background()
	w := newWriter(os.Stdout)
	var stats Stats
	if job.Send != "" {
		var tree fs.FS
		if tree, err = c.source(ctx, job, up); err != nil {
			return err
		}
		up.send(message{Ready: true})
		stats, err = send(ctx, tree, job, os.Stdin, w)
	} else {
		up.send(message{Ready: true})
		stats, err = receive(ctx, job, c.Allow, os.Stdin, w)
	}
	if err != nil {
		return err
	}
	stats.Memory, stats.Confined = peak(status), confined
	return up.send(message{Stats: &stats})
}

func (c Child) source(ctx context.Context, job Job, up *upstream) (fs.FS, error) {
	source := c.Sources[job.Send]
	if job.Send == SourceDir {
		source = openDir
	}
	if source == nil {
		return nil, &Error{Kind: Failed, Message: "no source is called " + quote(job.Send)}
	}
	return source(ctx, job.Spec, func(v any) {
		if b, err := json.Marshal(v); err == nil {
			up.send(message{Report: b})
		}
	})
}

type upstream struct {
	mu sync.Mutex
	f  *os.File
}

func (u *upstream) send(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	_, err = u.f.Write(append(b, '\n'))
	return err
}

// translate finds out what kind of error it is. gokrazy's hold their cause as
// text only.
func translate(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return &Error{Kind: e.Kind, Message: err.Error()}
	}
	kind, text := Failed, err.Error()
	for _, c := range []struct {
		kind  Kind
		cause error
	}{
		{Full, syscall.ENOSPC},
		{Full, syscall.EDQUOT},
		{Limit, syscall.EFBIG},
		{Cut, syscall.EPIPE},
		{Cut, syscall.ECONNRESET},
		{Cut, io.ErrUnexpectedEOF},
	} {
		if errors.Is(err, c.cause) || strings.HasSuffix(text, c.cause.Error()) {
			kind = c.kind
			break
		}
	}
	return &Error{Kind: kind, Message: text}
}
