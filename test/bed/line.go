package bed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sugarlabs/xo-backupd/wire"
)

// Line stands between XOs and a school server: an XO that is pointed at it
// reaches the server through it, so that a test can count what goes over the
// wire and cut it.
type Line struct {
	SSH *Proxy // carries all that matters

	xs    *XS
	front *httptest.Server
	bytes atomic.Int64
}

// NewLine makes a line to a server.
func NewLine(s *XS) (*Line, error) {
	proxy, err := NewProxy(s.SSH)
	if err != nil {
		return nil, err
	}
	l := &Line{SSH: proxy, xs: s}
	behind, err := url.Parse(s.URL())
	if err != nil {
		return nil, err
	}
	l.front = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(behind); l.bytes.Add(sizeOf(r.In.Header)) },
		ModifyResponse: l.answer,
	})
	return l, nil
}

// answer puts our own address in place of the server's ssh listener's.
func (l *Line) answer(r *http.Response) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if strings.TrimSuffix(r.Request.URL.Path, "/") == "/backup/2" && r.StatusCode == http.StatusOK {
		var service wire.Service
		if err := json.Unmarshal(body, &service); err != nil {
			return err
		}
		service.SSH = l.SSH.Addr
		if body, err = json.Marshal(service); err != nil {
			return err
		}
	}
	l.bytes.Add(sizeOf(r.Header) + int64(len(body)))
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

func sizeOf(h http.Header) int64 {
	var b bytes.Buffer
	_ = h.Write(&b)
	return int64(b.Len())
}

// PointAtLine configures the XO for the server at the other end of a line.
func (x *XO) PointAtLine(l *Line) error {
	return x.Configure(fmt.Sprintf("server = %q\nregistration = %q\n", l.front.URL, l.xs.RegistrationURL()))
}

// Bytes is what has gone over the line, both ways: ssh's, and http's headers
// and bodies.
func (l *Line) Bytes() int64 { return l.bytes.Load() + l.SSH.Bytes() }

// Close takes the line away.
func (l *Line) Close() error {
	l.front.Close()
	return l.SSH.Close()
}
