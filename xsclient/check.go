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
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

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
		check.Reason = inWords(errNotRegistered())
		return check, nil
	}
	a, err := c.availability(ctx, f.Server)
	var e *Error
	if errors.As(err, &e) && e.Code == NotRegistered {
		check.Reason = e.Message
		return check, nil
	}
	if err != nil {
		return Check{}, err
	}
	check.Available = a.Available
	if !a.Available {
		check.Reason, check.RetryAfter = sentence(a.Reason), retryAfter(a.RetryAfter)
	}
	return check, nil
}

// WouldTake answers nil if the server would take a backup now, else why not.
func (c *Client) WouldTake(ctx context.Context) error {
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

// availability asks whether the server takes a backup of this account. An
// answer over HTTP proves nothing: where it says that this laptop has no
// business here, it may well be another server's than ours.
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
	if status == http.StatusForbidden || !c.state.get().Enrolled {
		s, err := c.dialAnew(ctx)
		if err != nil {
			return wire.Availability{}, err
		}
		s.Close()
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
