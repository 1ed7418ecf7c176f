package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running child.
type Process struct {
	cmd     *exec.Cmd
	limits  Limits
	control *os.File // our end of the socket
	in, out *os.File // our ends of its standard streams
	stderr  *tail

	ready chan struct{} // closed when the child is ready
	ended chan struct{} // closed when it is gone; stats and err are final then
	stats *Stats
	err   error

	sent, received atomic.Int64
}

// Start starts a child. If it sends, its Source begins at once, and each of its
// reports comes to onReport, one at a time; onReport may be nil. When ctx ends,
// so does the child. Close it in any case.
func Start(ctx context.Context, job Job, onReport func(json.RawMessage)) (*Process, error) {
	job.Limits = job.Limits.withDefaults()
	line, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	p := &Process{limits: job.Limits, stderr: &tail{}, ready: make(chan struct{}), ended: make(chan struct{})}
	if err := p.exec(); err != nil {
		return nil, fmt.Errorf("starting a transfer: %w", err)
	}
	stop := context.AfterFunc(ctx, p.kill)
	go func() {
		defer close(p.ended)
		defer stop()
		// In a goroutine of its own, since a line may be larger than what the
		// socket holds while the child has not begun to read.
		write := make(chan struct{})
		go func() {
			defer close(write)
			_, _ = p.control.Write(append(line, '\n')) // a failure shows as the child's end
		}()
		p.watch(onReport)
		<-write
		if ctx.Err() != nil && p.stats == nil {
			p.err = context.Cause(ctx)
		}
	}()
	return p, nil
}

// childEnv is all of a child's environment. Two threads at once suffice: one
// reads, one hashes. Each costs memory.
var childEnv = []string{marker + "=1", "GOMAXPROCS=2"}

// exec starts the program again, as a child.
func (p *Process) exec() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	err = unix.SetNonblock(pair[0], true) // for Go's poller
	p.control = os.NewFile(uintptr(pair[0]), "control")
	if err != nil {
		p.closeAll()
		return err
	}
	childIn, in, err := os.Pipe()
	if err != nil {
		p.closeAll()
		return err
	}
	defer childIn.Close()
	p.in = in
	out, childOut, err := os.Pipe()
	if err != nil {
		p.closeAll()
		return err
	}
	defer childOut.Close()
	p.out = out

	// Not os.Executable: this is the program that runs, even when another has
	// been installed in its place since.
	p.cmd = exec.Command("/proc/self/exe")
	p.cmd.Args = []string{"transfer"}
	p.cmd.Env = childEnv
	p.cmd.Dir = "/"
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = childIn, childOut, p.stderr
	p.cmd.ExtraFiles = []*os.File{theirs}
	if err := p.cmd.Start(); err != nil {
		p.closeAll()
		return err
	}
	return nil
}

// watch reads the child's messages until it ends, and finds out how it ended.
func (p *Process) watch(onReport func(json.RawMessage)) {
	lines := bufio.NewReader(p.control)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			break
		}
		switch {
		case m.Report != nil && onReport != nil:
			onReport(m.Report)
		case m.Ready:
			close(p.ready)
		case m.Stats != nil:
			p.stats = m.Stats
		case m.Error != nil:
			p.err = m.Error
		}
	}
	state := p.cmd.Wait()
	if p.stats == nil && p.err == nil {
		p.err = p.stderr.explain(state)
	}
}

// Ready waits until the child's Source has made its tree, or says why not.
func (p *Process) Ready(ctx context.Context) error {
	select {
	case <-p.ready:
		return nil
	case <-p.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-p.ready:
		return nil
	default:
		return p.err
	}
}

// Run does the transfer with the peer at the other end of r and w, once. It
// ends when the child does; when ctx ends, so does the child, at once. One Read
// of r may still be pending then: it ends when the caller closes r, and what it
// reads is lost. Likewise a Write to w, after an error.
func (p *Process) Run(ctx context.Context, r io.Reader, w io.Writer) (Stats, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.limits.Time,
		&Error{Kind: Limit, Message: fmt.Sprintf("the transfer took longer than %v", p.limits.Time)})
	defer cancel()
	defer context.AfterFunc(ctx, p.kill)()

	go func() {
		defer p.in.Close()
		// What cannot be written is the child's end, which says why itself.
		_, _ = io.Copy(p.in, counted{r, &p.received})
	}()
	delivered := make(chan error, 1)
	go func() {
		_, err := io.Copy(counter{w, &p.sent}, p.out)
		if err != nil {
			p.kill()
		}
		delivered <- err
	}()
	lost := p.wait(ctx, delivered)
	<-p.ended
	p.closeAll()

	stats := Stats{}
	if p.stats != nil {
		stats = *p.stats
	}
	stats.Sent, stats.Received = p.Progress()
	switch {
	case ctx.Err() != nil:
		return stats, context.Cause(ctx)
	case lost != nil:
		return stats, &Error{Kind: Cut, Message: fmt.Sprintf("the connection ended before the transfer did: %v", lost)}
	case p.stats == nil:
		return stats, p.err
	}
	return stats, nil
}

// lastWords is how long what a child that failed has left in the pipe may take to
// reach the peer.
const lastWords = 2 * time.Second

// wait waits until all that the child writes has been delivered. What is left of
// a child that failed, or was ended, waits for no peer that does not read.
func (p *Process) wait(ctx context.Context, delivered <-chan error) error {
	var enough <-chan time.Time
	for ended := p.ended; ; {
		select {
		case lost := <-delivered:
			return lost
		case <-ctx.Done():
			return nil
		case <-enough:
			return nil
		case <-ended:
			if ended = nil; p.stats == nil {
				enough = time.After(lastWords)
			}
		}
	}
}

// Progress answers the bytes written to and read from the peer so far.
func (p *Process) Progress() (sent, received int64) {
	return p.sent.Load(), p.received.Load()
}

// Close ends the child if it still runs, and waits for its end.
func (p *Process) Close() error {
	p.kill()
	<-p.ended
	p.closeAll()
	return nil
}

func (p *Process) kill() {
	_ = p.cmd.Process.Kill() // gone already: as wanted
}

// closeAll is for when the child is gone, or never was. Closing twice, or what
// is nil, does nothing.
func (p *Process) closeAll() {
	p.control.Close()
	p.in.Close()
	p.out.Close()
}

type counted struct {
	r io.Reader
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

type counter struct {
	w io.Writer
	n *atomic.Int64
}

func (c counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// tail keeps the beginning of what a child says when it dies: Go's runtime puts
// the reason first.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 4 << 10
	t.text = append(t.text, b[:min(len(b), most-len(t.text))]...)
	return len(b), nil
}

// explain makes an error of how a child died.
func (t *tail) explain(state error) *Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	first, _, _ := strings.Cut(strings.TrimSpace(string(t.text)), "\n")
	// How Go's runtime, or its race detector, ends when it gets no more memory. It
	// may also fault over it, on 32 bit, before it finds the words.
	starved := slices.ContainsFunc([]string{"out of memory", "cannot allocate memory", "failed to allocate", "pthread_create failed", "SIGSEGV: "},
		func(words string) bool { return strings.Contains(first, words) })
	switch {
	case starved:
		return &Error{Kind: Limit, Message: "the transfer needed more memory than it may have"}
	case strings.HasPrefix(first, "panic: ") && strings.Contains(string(t.text), "gokrazy/rsync"):
		// In a goroutine of its own, by what the peer sent.
		return refusef("the other side broke rsync's protocol: %s", strings.TrimPrefix(first, "panic: "))
	case first != "":
		return &Error{Kind: Failed, Message: "the transfer ended: " + first}
	case state == nil:
		return &Error{Kind: Failed, Message: "the transfer ended without a word"}
	}
	return &Error{Kind: Failed, Message: fmt.Sprintf("the transfer ended, perhaps for want of memory: %v", state)}
}
