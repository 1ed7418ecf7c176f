package xs

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// protocols served, as the old check lists them.
const protocols = "1,2"

// checkHandler serves the http listener: no secrets, nothing changes.
func (r *running) checkHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /backup/1/available/{serial}", r.available1)
	mux.HandleFunc("GET /backup/2/available/{serial}", r.available2)
	mux.HandleFunc("GET /backup/2", r.service)
	mux.HandleFunc("/backup/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusNotFound)
		w.Write([]byte(protocols))
	})
	return mux
}

// available1 is the check of the old ds-backup: the status says it all.
func (r *running) available1(w http.ResponseWriter, req *http.Request) {
	no := r.available(req.Context(), req.PathValue("serial"))
	r.retryAfter(w, no)
	w.WriteHeader(statusOf(no))
}

func (r *running) available2(w http.ResponseWriter, req *http.Request) {
	no := r.available(req.Context(), req.PathValue("serial"))
	a := wire.Availability{Available: no == nil}
	if no != nil {
		a.Code, a.Reason, a.RetryAfter = no.Code, no.Message, no.RetryAfter
	}
	r.retryAfter(w, no)
	writeJSON(w, statusOf(no), a)
}

func (r *running) retryAfter(w http.ResponseWriter, no *wire.Refusal) {
	if statusOf(no) == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(r.room.seconds()))
	}
}

// available tells why a backup of that serial, or account, would not be taken.
func (r *running) available(ctx context.Context, name string) *wire.Refusal {
	_, err := r.Store.Find(ctx, name)
	var bad *store.NameError
	switch {
	case errors.As(err, &bad):
		return &wire.Refusal{Code: wire.RefusedInput, Message: bad.Error()}
	case errors.Is(err, store.ErrNoAccount):
		return notRegistered()
	case errors.Is(err, context.DeadlineExceeded):
		return r.room.busy("The school server is busy with other laptops.")
	case err != nil:
		r.Log.Error("availability", "name", name, "error", err)
		return &wire.Refusal{Code: wire.RefusedFailed, Message: "The school server cannot read its accounts.", RetryAfter: r.room.seconds()}
	}
	return r.room.check()
}

func notRegistered() *wire.Refusal {
	return &wire.Refusal{Code: wire.RefusedNotRegistered,
		Message: "This laptop is not registered at this school server: choose Register on the laptop."}
}

// statusOf is the one place where a refusal becomes an HTTP status.
func statusOf(no *wire.Refusal) int {
	if no == nil {
		return http.StatusOK
	}
	switch no.Code {
	case wire.RefusedInput:
		return http.StatusBadRequest
	case wire.RefusedReadOnly, wire.RefusedNotRegistered:
		return http.StatusForbidden
	case wire.RefusedNoSnapshot, wire.RefusedNoEntry:
		return http.StatusNotFound
	case wire.RefusedBusy, wire.RefusedInUse, wire.RefusedFull:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (r *running) service(w http.ResponseWriter, req *http.Request) {
	host := hostOf(req)
	s := wire.Service{
		Protocols:    []int{1, 2},
		SSH:          net.JoinHostPort(host, r.sshPort),
		HostKey:      authorizedKey(r.hostKey.PublicKey()),
		Registration: net.JoinHostPort(host, r.regPort),
	}
	if r.hostCert != nil {
		s.HostCertificate = authorizedKey(r.hostCert)
	}
	writeJSON(w, http.StatusOK, s)
}

// hostOf is how whoever asks calls this server, without the port. A name that
// is none gives way to the address that was connected to.
func hostOf(req *http.Request) string {
	host := req.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	plain := func(c rune) bool {
		return c == '.' || c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	if net.ParseIP(host) != nil || host != "" && len(host) <= 253 && strings.IndexFunc(host, func(c rune) bool { return !plain(c) }) < 0 {
		return host
	}
	if a, ok := req.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return a.IP.String()
	}
	return "schoolserver"
}

func authorizedKey(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}
