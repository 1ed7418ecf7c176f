package xsclient

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

const (
	// pingEvery is how often the XS is asked for a sign of life.
	pingEvery = 10 * time.Second
	// silence is how long nothing may move while a ping is not answered. It is
	// counted in silence, not since the ping: on a slow link the answer waits
	// behind megabytes that are on their way. With a ping's time it is less than
	// the minute that a person waits.
	silence = 30 * time.Second
)

// link is the TCP connection below a session. It notices when anything moves,
// and is given up when nothing does: Wi-Fi drops without saying so.
type link struct {
	net.Conn
	pingEvery, silence time.Duration

	// born is what movements are counted from: only time.Since is safe from
	// clocks that are set, and XOs' are.
	born    time.Time
	moved   atomic.Int64 // the last movement, in nanoseconds since born
	pinging atomic.Bool
	gaveUp  atomic.Bool
	once    sync.Once
	err     error
}

func newLink(conn net.Conn) *link {
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Where the peer's kernel is gone, ours ends the connection itself.
		// Linux knows TCP_USER_TIMEOUT since 2.6.37; without it, pings do.
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
			})
		}
	}
	return &link{Conn: conn, pingEvery: pingEvery, silence: silence, born: time.Now()}
}

func (l *link) touch()               { l.moved.Store(int64(time.Since(l.born))) }
func (l *link) quiet() time.Duration { return time.Since(l.born) - time.Duration(l.moved.Load()) }

func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		l.touch()
	}
	return n, err
}

func (l *link) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	if n > 0 {
		l.touch()
	}
	return n, err
}

// Close ends the connection, once.
func (l *link) Close() error {
	l.once.Do(func() { l.err = l.Conn.Close() })
	return l.err
}

// giveUp ends a connection that does not answer.
func (l *link) giveUp() {
	l.gaveUp.Store(true)
	l.Close()
}

func (l *link) dead() bool { return l.gaveUp.Load() }

// ping asks the XS for a sign of life until done or the connection ends. Any
// answer is one, a refusal too.
func (l *link) ping(conn ssh.Conn, done <-chan struct{}) {
	ticker := time.NewTicker(l.pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		l.pinging.Store(true)
		if _, _, err := conn.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			return
		}
		l.pinging.Store(false)
	}
}

// watch gives the link up when a ping is not answered and nothing moves.
func (l *link) watch(done <-chan struct{}) {
	ticker := time.NewTicker(l.pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			if l.pinging.Load() && l.quiet() > l.silence {
				l.giveUp()
				return
			}
		}
	}
}
