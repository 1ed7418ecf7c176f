package dbus

import (
	"bufio"
	"net"
	"strings"
	"sync"

	godbus "github.com/godbus/dbus/v5"
)

// Connect joins the bus at an address.
//
// Where it can it gives godbus a connection that the service can write to itself:
// godbus makes a message by reflection, byte by byte and twice, which takes 20 to
// 40 ms for a page of entries with their previews. Sugar's datastore needs 8 ms
// for the whole answer.
func (s *Service) Connect(address string) (*godbus.Conn, error) {
	line := dialUnix(address)
	if line == nil {
		return godbus.Connect(address, s.ConnOptions()...) // tcp and the like; or it says what is wrong
	}
	conn, err := godbus.NewConn(line, s.ConnOptions()...)
	if err != nil {
		line.Close()
		return nil, err
	}
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	s.line = line
	return conn, nil
}

// line is a connection to the bus that two write to. Each Write is one message:
// godbus keeps to that, and so do we.
type line struct {
	net.Conn
	in *bufio.Reader // godbus reads in small pieces

	mu sync.Mutex
}

func (l *line) Read(b []byte) (int, error) { return l.in.Read(b) }

func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Conn.Write(b)
}

// dialUnix dials the first of the addresses that is a socket where somebody
// listens, if there is one.
func dialUnix(addresses string) *line {
	for address := range strings.SplitSeq(addresses, ";") {
		keys, ok := strings.CutPrefix(address, "unix:")
		if !ok {
			continue
		}
		name := socketName(keys)
		if name == "" {
			continue
		}
		if conn, err := net.Dial("unix", name); err == nil {
			return &line{Conn: conn, in: bufio.NewReader(conn)}
		}
	}
	return nil
}

// socketName of an address of the form path=/run/user/1000/bus,guid=…
func socketName(keys string) string {
	for pair := range strings.SplitSeq(keys, ",") {
		key, value, _ := strings.Cut(pair, "=")
		name, err := godbus.UnescapeBusAddressValue(value)
		switch {
		case err != nil:
		case key == "path":
			return name
		case key == "abstract":
			return "@" + name
		}
	}
	return ""
}
