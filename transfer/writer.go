package transfer

import (
	"io"
	"sync"
	"time"
)

// writer gathers gokrazy's thousands of small writes. It hands them on when it
// has enough, when told to, and in any case after a moment: the receiver writes
// in one goroutine and reads in another, so that nobody is left to tell it.
type writer struct {
	mu    sync.Mutex
	w     io.Writer
	buf   []byte
	timer *time.Timer // runs while buf has something
	err   error
}

const (
	enough = 32 << 10
	moment = time.Millisecond
)

func newWriter(w io.Writer) *writer {
	b := &writer{w: w, buf: make([]byte, 0, enough)}
	b.timer = time.AfterFunc(time.Hour, func() { b.Flush() })
	b.timer.Stop()
	return b
}

func (b *writer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.buf)+len(p) > cap(b.buf) {
		b.flush()
	}
	if b.err != nil {
		return 0, b.err
	}
	if len(p) >= cap(b.buf) {
		_, b.err = b.w.Write(p)
		return len(p), b.err
	}
	if len(b.buf) == 0 {
		b.timer.Reset(moment)
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}

func (b *writer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
	return b.err
}

func (b *writer) flush() {
	if len(b.buf) == 0 || b.err != nil {
		return
	}
	b.timer.Stop()
	_, b.err = b.w.Write(b.buf)
	b.buf = b.buf[:0]
}

// answerer flushes w before each read of r that may block. It is for the
// sender, which does one thing after the other. A receiver must never wait to
// write before it reads: the sender may be waiting for it to read.
type answerer struct {
	r io.Reader
	w *writer
}

func (a answerer) Read(p []byte) (int, error) {
	if err := a.w.Flush(); err != nil {
		return 0, err
	}
	return a.r.Read(p)
}
