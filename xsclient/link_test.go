package xsclient

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// deaf answers no request and hides that the link is dead.
type deaf struct {
	ssh.Conn
	end chan struct{}
}

func (d deaf) SendRequest(string, bool, []byte) (bool, []byte, error) {
	<-d.end
	return false, nil, io.EOF
}

// A link on which nothing moves is given up; one on which something does is
// not, however long the answer to a ping takes.
func TestLink(t *testing.T) {
	for _, moves := range []bool{false, true} {
		here, there := net.Pipe()
		go io.Copy(io.Discard, there)
		l := &link{Conn: here, pingEvery: 10 * time.Millisecond, silence: 300 * time.Millisecond, born: time.Now()}
		conn := deaf{end: make(chan struct{})}
		done, stopped := make(chan struct{}), make(chan struct{}, 2)
		go func() { l.ping(conn, done); stopped <- struct{}{} }()
		go func() { l.watch(done); stopped <- struct{}{} }()
		limit := time.Now().Add(time.Second)
		for !l.dead() && time.Now().Before(limit) {
			if moves {
				if _, err := l.Write([]byte("x")); err != nil {
					break
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		if l.dead() == moves {
			t.Errorf("moves %v, dead %v", moves, l.dead())
		}
		close(done)
		close(conn.end)
		<-stopped
		<-stopped
		l.Close()
		there.Close()
	}
}
