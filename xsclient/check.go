package xsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// defaultServer is the name that every school server has in its school.
const defaultServer = "http://schoolserver"

const (
	// askTimeout bounds one question over HTTP.
	askTimeout = 15 * time.Second
	// maxAnswer is far above any answer.
	maxAnswer = 64 << 10
)

// Check is what CheckServer learns.
type Check struct {
	Available  bool
	Reason     string // why not, in words
	RetryAfter time.Duration
	Protocols  []int // that the server speaks
}

// found is where a school server is.
type found struct {
	wire.Service
	Server *url.URL
	// SSH and Registration shadow the Service's: as reached from here.
	SSH, Registration string
}

// oldServer is an XS that does not speak our protocol.
type oldServer struct {
	server    *url.URL
	protocols []int
}

func (e *oldServer) Error() string {
	return fmt.Sprintf("%s serves protocols %v", e.server, e.protocols)
}

// CheckServer asks whether the server is there, and whether it would take a
// backup of this laptop now.
func (c *Client) CheckServer(ctx context.Context) (Check, error) {
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	f, err := c.service(ctx)
	var old *oldServer
	if errors.As(err, &old) {
		return c.checkOld(ctx, old)
	}
	if err != nil {
		return Check{}, err
	}
	check := Check{Protocols: f.Protocols}
	if c.account() == "" {
		_, check.Reason = errNotRegistered().(*Error).BackupError()
		return check, nil
	}
	a, err := c.availability(ctx, f.Server)
	if err != nil {
		return Check{}, err
	}
	check.Available = a.Available
	if !a.Available {
		check.Reason, check.RetryAfter = sentence(a.Reason), retryAfter(a.RetryAfter)
	}
	return check, nil
}

// ask answers nil if the server would take a backup now, else why not.
func (c *Client) ask(ctx context.Context) error {
	ctx, cancel := withinAMinute(ctx)
	defer cancel()
	server, err := c.server(ctx)
	if err != nil {
		return err
	}
	a, err := c.availability(ctx, server)
	if err != nil || a.Available {
		return err
	}
	return refused(&wire.Refusal{Code: a.Code, Message: a.Reason, RetryAfter: a.RetryAfter})
}

// availability asks whether the server takes a backup of this account.
func (c *Client) availability(ctx context.Context, server *url.URL) (wire.Availability, error) {
	// The account: it says more than a serial, which several machines may share.
	account := c.account()
	if account == "" {
		return wire.Availability{}, errNotRegistered()
	}
	status, header, body, err := c.fetch(ctx, server.JoinPath("backup/2/available", url.PathEscape(account)))
	if err != nil {
		return wire.Availability{}, err
	}
	var a wire.Availability
	if err := json.Unmarshal(body, &a); err != nil {
		if status == http.StatusOK {
			return wire.Availability{}, badAnswer(fmt.Sprintf("availability: %v", err))
		}
		a = wire.Availability{}
	}
	if status == http.StatusOK {
		return a, nil
	}
	a.Available = false
	plain := plainAvailability(status, header)
	if a.Code == "" {
		a.Code = plain.Code
	}
	if a.Reason == "" {
		a.Reason = plain.Reason
	}
	if a.RetryAfter == 0 {
		a.RetryAfter = plain.RetryAfter
	}
	return a, nil
}

// plainAvailability reads the old check's statuses.
func plainAvailability(status int, header http.Header) wire.Availability {
	switch status {
	case http.StatusOK:
		return wire.Availability{Available: true}
	case http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(header.Get("Retry-After"))
		return wire.Availability{Code: wire.RefusedBusy, Reason: "The school server is busy: please try again later.", RetryAfter: seconds}
	case http.StatusForbidden:
		return wire.Availability{Code: wire.RefusedReadOnly, Reason: "The school server takes no backup of this laptop: choose Register, or ask whoever looks after the server."}
	default:
		return wire.Availability{Code: wire.RefusedFailed, Reason: fmt.Sprintf("The school server cannot say whether it takes a backup (it answers %d): please try again later.", status)}
	}
}

// checkOld asks a server of before. It cannot keep what we would send.
func (c *Client) checkOld(ctx context.Context, old *oldServer) (Check, error) {
	check := Check{
		Protocols: old.protocols,
		Reason:    "The school server is too old for this laptop's backup: please tell whoever looks after it.",
	}
	serial := c.machine().Serial
	for _, v := range old.protocols {
		if v != 1 || serial == "" {
			continue
		}
		status, header, _, err := c.fetch(ctx, old.server.JoinPath("backup/1/available", url.PathEscape(serial)))
		if err != nil {
			return Check{}, err
		}
		if a := plainAvailability(status, header); !a.Available && status != http.StatusNotFound {
			check.RetryAfter = retryAfter(a.RetryAfter)
		}
	}
	return check, nil
}

// service asks a server what it is and where its listeners are.
func (c *Client) service(ctx context.Context) (*found, error) {
	server, err := c.server(ctx)
	if err != nil {
		return nil, err
	}
	status, _, body, err := c.fetch(ctx, server.JoinPath("backup/2"))
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		protocols := parseProtocols(string(body))
		if len(protocols) == 0 {
			return nil, notXS(server, errors.New("404 without a list of protocols"))
		}
		return nil, &Error{
			Code:    ServerRefused,
			Message: fmt.Sprintf("The school server %s is too old for this laptop's backup: please tell whoever looks after it.", server.Host),
			Err:     &oldServer{server, protocols},
		}
	case status == http.StatusServiceUnavailable:
		return nil, &Error{Code: ServerBusy, Message: "The school server is busy: please try again later."}
	case status != http.StatusOK:
		return nil, notXS(server, fmt.Errorf("status %d", status))
	}
	f := &found{Server: server}
	if err := json.Unmarshal(body, &f.Service); err != nil {
		return nil, notXS(server, err)
	}
	if f.SSH, err = onHost(f.Service.SSH, server.Hostname()); err != nil {
		return nil, notXS(server, fmt.Errorf("ssh address %.80q: %w", f.Service.SSH, err))
	}
	if f.Registration, err = c.registrationURL(f); err != nil {
		return nil, notXS(server, err)
	}
	return f, nil
}

func (c *Client) registrationURL(f *found) (string, error) {
	switch {
	case c.cfg.Registration != "":
		return c.cfg.Registration, nil
	case f.Service.Registration == "":
		return "http://" + net.JoinHostPort(f.Server.Hostname(), "8080") + "/", nil
	}
	addr, err := onHost(f.Service.Registration, f.Server.Hostname())
	if err != nil {
		return "", fmt.Errorf("registration address %.80q: %w", f.Service.Registration, err)
	}
	return "http://" + addr + "/", nil
}

// notXS is something else that answers where the school server should.
func notXS(server *url.URL, err error) error {
	return unavailable(fmt.Sprintf("What answers at %s is not a school server: is this the school's network?", server.Host), err)
}

// parseProtocols reads a comma list of versions, the body of an XS's 404.
func parseProtocols(s string) []int {
	var out []int
	for word := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n <= 0 {
			return nil
		}
		out = append(out, n)
	}
	return out
}

// server answers where the school server is, as Sugar would look for it.
func (c *Client) server(ctx context.Context) (*url.URL, error) {
	text := c.cfg.Server
	if text == "" {
		var err error
		if text, err = c.discover(ctx); err != nil {
			return nil, err
		}
	}
	c.found.Store(&text)
	return parseURL(text)
}

func (c *Client) discover(ctx context.Context) (string, error) {
	backup, err := c.cfg.Profile.BackupURL(ctx)
	if err != nil {
		return "", err
	}
	jabber, err := c.cfg.Profile.JabberServer(ctx)
	if err != nil {
		return "", err
	}
	st := c.state.get()
	_, host, _ := splitBackupURL(backup)
	for _, candidate := range []string{"http://" + host, "http://" + jabber, st.Server} {
		u, err := parseURL(candidate)
		if err != nil {
			continue
		}
		// Where the settings and our registration agree on the host, ours
		// knows the port too.
		if known, err := parseURL(st.Server); err == nil && known.Hostname() == u.Hostname() {
			return st.Server, nil
		}
		return candidate, nil
	}
	return defaultServer, nil
}

// knownServer answers the server as far as it is known without asking.
func (c *Client) knownServer() string {
	if c.cfg.Server != "" {
		return c.cfg.Server
	}
	if f := c.found.Load(); f != nil {
		return *f
	}
	if st := c.state.get(); st.Server != "" {
		return st.Server
	}
	return defaultServer
}

// newHTTPClient makes a client for the questions that are asked in the open:
// through no proxy, and following nobody elsewhere, as the login page of some
// network would like it to.
func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxAnswer,
			DialContext:            (&net.Dialer{}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetch asks one question.
func (c *Client) fetch(ctx context.Context, u *url.URL) (status int, header http.Header, body []byte, err error) {
	request, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, nil, nil, err
	}
	return c.roundTrip(ctx, request)
}

func (c *Client) roundTrip(ctx context.Context, request *http.Request) (int, http.Header, []byte, error) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request.Header.Set("User-Agent", "xo-backupd")
	response, err := c.http.Do(request.WithContext(asking))
	if err != nil {
		return 0, nil, nil, askError(ctx, request.URL.Host, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, nil, askError(ctx, request.URL.Host, err)
	}
	if len(body) > maxAnswer {
		return 0, nil, nil, notXS(request.URL, fmt.Errorf("an answer of more than %d bytes", maxAnswer))
	}
	return response.StatusCode, response.Header, body, nil
}

func askError(ctx context.Context, host string, err error) error {
	if cancelled(ctx) != nil {
		return cancelled(ctx)
	}
	return unavailable(notThere(host, err), err)
}

// sleep waits, or answers why not.
func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
