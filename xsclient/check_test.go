package xsclient

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

func TestCheckServer(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	check, err := c.CheckServer(t.Context())
	if err != nil || !check.Available || check.Reason != "" || fmt.Sprint(check.Protocols) != "[1 2]" {
		t.Errorf("%+v, %v", check, err)
	}
	if err := c.WouldTake(t.Context()); err != nil {
		t.Error(err)
	}
	p.set(func() {
		p.serves = wire.Availability{Code: wire.RefusedBusy, Reason: "Many laptops at once.", RetryAfter: 77}
	})
	check, err = c.CheckServer(t.Context())
	if err != nil || check.Available || check.Reason != "Many laptops at once." || check.RetryAfter != 77*time.Second {
		t.Errorf("%+v, %v", check, err)
	}
	if e := wantCode(t, c.WouldTake(t.Context()), ServerBusy); e.RetryAfter != 77*time.Second {
		t.Errorf("%+v", e)
	}

	for _, hostile := range []struct {
		name string
		http http.HandlerFunc
		code Code
	}{
		{"a login page", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>Welcome to Wi-Fi") }, ServerUnavailable},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, ServerUnavailable},
		{"a 404 page", http.NotFound, ServerUnavailable},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, ServerUnavailable},
		{"no ssh address", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"protocols":[2]}`) }, ServerUnavailable},
		{"closes", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, ServerUnavailable},
		{"503", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, ServerBusy},
	} {
		p.set(func() { p.check = hostile.http })
		_, err := c.CheckServer(t.Context())
		e := wantCode(t, err, hostile.code)
		if hostile.code == ServerUnavailable && !strings.Contains(e.Message, "127.0.0.1") {
			t.Errorf("%s: does not name the host: %v", hostile.name, e)
		}
	}
}

// A server of before is recognised, and believed about when to come again.
func TestOldServer(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	var status atomic.Int32
	p.set(func() {
		p.check = func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/backup/1/available/") {
				w.Header().Set("Retry-After", "120")
				w.WriteHeader(int(status.Load()))
				return
			}
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "1\n")
		}
	})
	for _, s := range []struct {
		status int32
		retry  time.Duration
	}{{200, 0}, {403, 0}, {404, 0}, {503, 120 * time.Second}} {
		status.Store(s.status)
		check, err := c.CheckServer(t.Context())
		if err != nil || check.Available || check.Reason == "" || check.RetryAfter != s.retry || fmt.Sprint(check.Protocols) != "[1]" {
			t.Errorf("%d: %+v, %v", s.status, check, err)
		}
	}
	wantCode(t, client(t, laptop(t, p)).Register(t.Context()), ServerRefused)
}
