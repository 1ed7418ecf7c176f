package bed

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy stands between two programs on a TCP port of its own: it counts the
// bytes that go either way, and can cut the line or let it stand still.
type Proxy struct {
	Addr string // where to connect

	to       string
	listener net.Listener
	bytes    atomic.Int64
	opened   atomic.Int64
	left     atomic.Int64 // until the cut, once cutting is set
	cutting  atomic.Bool

	mu     sync.Mutex
	still  *standstill
	closed bool
	conns  map[net.Conn]bool
	wg     sync.WaitGroup
}

// NewProxy listens on a loopback port and connects on to an address.
func NewProxy(to string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Addr: l.Addr().String(), to: to, listener: l, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Bytes is what has passed, both ways.
func (p *Proxy) Bytes() int64 { return p.bytes.Load() }

// Opened is how many lines were opened.
func (p *Proxy) Opened() int { return int(p.opened.Load()) }

// Open is how many are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}

// CutAfter cuts every line once n more bytes have passed, both ways together,
// and every line that is opened after that, until Mend.
func (p *Proxy) CutAfter(n int64) {
	p.left.Store(n)
	p.cutting.Store(true)
}

// Mend lets lines through again.
func (p *Proxy) Mend() { p.cutting.Store(false) }

// standstill is where lines stop, and go on later.
type standstill struct {
	left    atomic.Int64 // until it begins
	reached func()       // once
	over    chan struct{}
}

// StandStill lets n more bytes pass, both ways together; then nothing moves any
// more until GoOn. What it answers is closed when that has come.
func (p *Proxy) StandStill(n int64) (reached <-chan struct{}) {
	p.GoOn()
	c := make(chan struct{})
	s := &standstill{reached: sync.OnceFunc(func() { close(c) }), over: make(chan struct{})}
	s.left.Store(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.still = s
	return c
}

// GoOn ends a standstill, also one that has not begun.
func (p *Proxy) GoOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.still != nil {
		close(p.still.over)
		p.still = nil
	}
}

// stand keeps n bytes back while nothing moves.
func (p *Proxy) stand(n int) {
	p.mu.Lock()
	s := p.still
	p.mu.Unlock()
	if s != nil && s.left.Add(-int64(n)) < 0 {
		s.reached()
		<-s.over
	}
}

// Close ends the proxy with all its lines.
func (p *Proxy) Close() error {
	p.GoOn()
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.HangUp()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.cutting.Load() && p.left.Load() <= 0 {
			_ = in.Close()
			continue
		}
		p.opened.Add(1)
		p.wg.Go(func() { p.join(in) })
	}
}

// join is one line, from its opening to its end.
func (p *Proxy) join(in net.Conn) {
	defer p.drop(in)
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer p.drop(out)
	if !p.hold(in, out) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { p.carry(out, in) })
	p.carry(in, out)
	back.Wait()
}

// carry copies one way; the end of one way is passed on, an error ends both.
func (p *Proxy) carry(from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.bytes.Add(int64(n))
		p.stand(n)
		if p.cutting.Load() && p.left.Add(-int64(n)) <= 0 {
			p.HangUp()
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				p.drop(from, to)
				return
			}
		}
		if errors.Is(err, io.EOF) {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
		if err != nil {
			p.drop(from, to)
			return
		}
	}
}

func (p *Proxy) hold(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
	return !p.closed
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// HangUp ends every line that is open; new ones can be opened.
func (p *Proxy) HangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}
