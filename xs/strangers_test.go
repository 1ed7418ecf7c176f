package xs

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// The bug: nothing bounded how many connections the listeners for strangers
// served at once.
func TestConnectionsOfStrangers(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxConnections = 4 })
	http.DefaultClient.CloseIdleConnections()
	var first net.Conn
	for range 4 {
		c, err := net.Dial("tcp", b.http)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		first = c
	}
	answered := make(chan error, 1)
	begun := time.Now()
	go func() {
		resp, err := http.Get("http://" + b.http + "/backup/2")
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a fifth was served at once: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	first.Close()
	if err := <-answered; err != nil || time.Since(begun) > 8*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}
