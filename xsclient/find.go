package xsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sugarlabs/xo-backupd/wire"
)

// defaultServer is the name that every school server has in its school.
const defaultServer = "http://schoolserver"

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
