package xsclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

const (
	// apiTimeout bounds the wait for the head of an answer: listing a large
	// snapshot takes a slow server its time.
	apiTimeout = 40 * time.Second
	// maxAPIAnswer bounds an answer that is one JSON value: a snapshot's
	// record is about 300 bytes, and 10,000 of them are more than a school
	// keeps.
	maxAPIAnswer = 8 << 20
	// maxEntries bounds how many entries a snapshot may claim: each costs the
	// laptop some 300 bytes of memory, and a Journal of 10,000 is a large one.
	maxEntries = 1 << 16
	// maxPath bounds the path of a restore.
	maxPath = 1 << 10
)

// apiClient asks the XS over an "api" channel of a session.
type apiClient struct {
	session *session
	http    *http.Client
}

// api opens the channel and says hello; requests that follow run over it, one
// after the other.
func (s *session) api(ctx context.Context) (*apiClient, error) { return s.apiOver(ctx, 1) }

// apiOver is api over several channels, as they are needed, for as many requests
// at once.
func (s *session) apiOver(ctx context.Context, channels int) (*apiClient, error) {
	first, err := s.openAPI(ctx)
	if err != nil {
		return nil, err
	}
	conns := make(chan net.Conn, 1)
	conns <- first
	transport := &http.Transport{
		DisableCompression:     true,
		MaxConnsPerHost:        channels,
		MaxIdleConnsPerHost:    channels,
		MaxResponseHeaderBytes: maxAnswer,
		ResponseHeaderTimeout:  s.client.apiTimeout,
		// A further channel is opened where the first one is spent, as after
		// an answer that was not read to its end.
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case conn := <-conns:
				return conn, nil
			default:
				return s.openAPI(ctx)
			}
		},
	}
	return &apiClient{session: s, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (s *session) openAPI(ctx context.Context) (net.Conn, error) {
	// The channel lives as long as the session, whichever request opens it.
	c, err := s.exec(s.ctx, wire.CommandAPI)
	if err != nil {
		return nil, err
	}
	answer, err := c.open(ctx, wire.Hello{Version: wire.Version})
	if err == nil && answer.Action != wire.ActionServe {
		err = badAnswer(fmt.Sprintf("action %.40q to an api hello", answer.Action))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return channelConn{c}, nil
}

// Close ends the channel; the session stays.
func (a *apiClient) Close() { a.http.CloseIdleConnections() }

// Snapshots lists what the XS keeps of this account, newest first.
func (a *apiClient) Snapshots(ctx context.Context) ([]wire.Snapshot, error) {
	var out []wire.Snapshot
	if err := a.get(ctx, &out, "snapshots"); err != nil {
		return nil, err
	}
	for i := range out {
		if err := checkSnapshot(&out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkSnapshot refuses what cannot be a snapshot's record. Its id becomes part
// of paths, and all of it is shown to people.
func checkSnapshot(s *wire.Snapshot) error {
	if !isSnapshotID(s.ID) || s.Entries < 0 || s.Bytes < 0 {
		return badAnswer(fmt.Sprintf("a snapshot called %.60q of %d entries, %d bytes", s.ID, s.Entries, s.Bytes))
	}
	s.Account, s.Machine = sentence(s.Account), sentence(s.Machine)
	return nil
}

// RestorePath answers the path by which a restore asks for a snapshot.
func (a *apiClient) RestorePath(ctx context.Context, id string) (string, error) {
	var out wire.RestorePath
	if err := a.get(ctx, &out, "snapshots", id, "restore"); err != nil {
		return "", err
	}
	// It goes back in a command's line.
	unfit := func(r rune) bool { return r <= ' ' || r > '~' }
	if out.Path == "" || len(out.Path) > maxPath || strings.ContainsFunc(out.Path, unfit) {
		return "", badAnswer(fmt.Sprintf("%.60q as the path of a restore", out.Path))
	}
	return out.Path, nil
}

// Entries calls each with every entry of a snapshot, as they come. An error of
// each ends it and is answered.
func (a *apiClient) Entries(ctx context.Context, id string, each func(wire.Entry) error) error {
	response, err := a.do(ctx, http.MethodGet, nil, "snapshots", id, "entries")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	r := bufio.NewReaderSize(response.Body, 16<<10)
	for n := 0; ; n++ {
		var e wire.Entry
		switch err := wire.ReadLine(r, &e); {
		case errors.Is(err, io.EOF):
			return nil
		case cancelled(ctx) != nil:
			return cancelled(ctx)
		case isJSON(err):
			return badAnswer(fmt.Sprintf("entry %d of snapshot %.60q: %v", n, id, err))
		case err != nil:
			return a.session.explain(err) // a line that ends too early, say
		case n == maxEntries:
			return badAnswer(fmt.Sprintf("snapshot %.60q of more than %d entries", id, maxEntries))
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// Saved answers those of the entries that the latest snapshot holds in just
// this version.
func (a *apiClient) Saved(ctx context.Context, versions map[string]string) ([]string, error) {
	var out wire.SavedAnswer
	if err := a.post(ctx, wire.SavedRequest{Entries: versions}, &out, "saved"); err != nil {
		return nil, err
	}
	saved := make([]string, 0, len(out.UIDs))
	for _, uid := range out.UIDs {
		if _, asked := versions[uid]; asked {
			saved = append(saved, uid)
		}
	}
	return saved, nil
}

// AddKey lets a further key into the account, for the machine of that serial.
func (a *apiClient) AddKey(ctx context.Context, key ssh.Signer, serial string) error {
	k := wire.KeyRequest{Key: hostKeyLine(key.PublicKey()), Serial: serial}
	proof, err := key.Sign(rand.Reader, wire.KeyProof(a.session.conn.SessionID(), a.session.account, k.Key))
	if err != nil {
		return fmt.Errorf("proving the key: %w", err)
	}
	k.Proof = base64.StdEncoding.EncodeToString(ssh.Marshal(proof))
	return a.post(ctx, k, nil, "keys")
}

// AnswerPin tells what a person has said to the offer of a pinned snapshot.
func (a *apiClient) AnswerPin(ctx context.Context, answer wire.PinAnswer) error {
	return a.post(ctx, answer, nil, "pins")
}

func (a *apiClient) get(ctx context.Context, out any, path ...string) error {
	response, err := a.do(ctx, http.MethodGet, nil, path...)
	if err != nil {
		return err
	}
	return a.decode(ctx, response, out)
}

func (a *apiClient) post(ctx context.Context, in, out any, path ...string) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	response, err := a.do(ctx, http.MethodPost, body, path...)
	if err != nil {
		return err
	}
	return a.decode(ctx, response, out)
}

// decode reads the one value of an answer; out nil: none is wanted.
func (a *apiClient) decode(ctx context.Context, response *http.Response, out any) error {
	body, err := readAnswer(ctx, response, maxAPIAnswer)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return badAnswer(fmt.Sprintf("%s: %v", response.Request.URL.Path, err))
	}
	return nil
}

// readAnswer reads all of an answer that may be of at most that many bytes.
func readAnswer(ctx context.Context, response *http.Response, most int64) ([]byte, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case cancelled(ctx) != nil:
		return nil, cancelled(ctx)
	case err != nil:
		return nil, err
	case int64(len(body)) > most:
		return nil, badAnswer(fmt.Sprintf("%s: more than %d bytes", response.Request.URL.Path, most))
	}
	return body, nil
}

// do sends a request; an answer that refuses is an error. What comes of an
// answer's body is an error in words, too.
func (a *apiClient) do(ctx context.Context, method string, body []byte, path ...string) (*http.Response, error) {
	u := &url.URL{Scheme: "http", Host: "xs", Path: "/"}
	for _, part := range path {
		u = u.JoinPath(url.PathEscape(part))
	}
	asking, giveUp := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(asking, method, u.String(), bytes.NewReader(body))
	if err != nil {
		giveUp()
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := a.http.Do(request)
	if err != nil {
		giveUp()
		if cancelled(ctx) != nil {
			return nil, cancelled(ctx)
		}
		return nil, a.session.explain(err)
	}
	response.Body = &answerBody{ReadCloser: response.Body, ctx: ctx, session: a.session, giveUp: giveUp}
	if response.StatusCode/100 != 2 {
		defer response.Body.Close()
		return nil, apiRefusal(response)
	}
	if response.ContentLength < 0 && len(response.TransferEncoding) == 0 {
		// It would end where the connection does, whatever is still to come.
		response.Body.Close()
		return nil, badAnswer(response.Request.URL.Path + ": an answer without an end")
	}
	return response, nil
}

// answerBody is the content of an answer. It is given up when nothing of it comes
// any more, however alive the link below is.
type answerBody struct {
	io.ReadCloser
	ctx     context.Context // of who asked
	session *session
	giveUp  context.CancelFunc
}

func (b *answerBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.session.client.apiTimeout, b.giveUp)
	n, err := b.ReadCloser.Read(p)
	gaveUp := !timer.Stop() // what that looks like from here may be an end
	switch {
	case err == nil, !gaveUp && errors.Is(err, io.EOF):
		return n, err
	case cancelled(b.ctx) != nil:
		return n, cancelled(b.ctx)
	}
	return n, b.session.explain(err)
}

func (b *answerBody) Close() error {
	b.giveUp()
	return b.ReadCloser.Close()
}

func apiRefusal(response *http.Response) error {
	var refusal wire.Refusal
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil && json.Unmarshal(body, &refusal) == nil && refusal.Code != "" {
		return refused(&refusal)
	}
	return badAnswer(fmt.Sprintf("%s: status %d: %.200q", response.Request.URL.Path, response.StatusCode, body))
}

// channelConn makes a net.Conn of a channel, for net/http. Its deadlines do
// nothing: the link below has its own.
type channelConn struct{ *channel }

func (c channelConn) Read(b []byte) (int, error)       { return c.Stdout.Read(b) }
func (c channelConn) Write(b []byte) (int, error)      { return c.Stdin.Write(b) }
func (c channelConn) LocalAddr() net.Addr              { return c.session.link.LocalAddr() }
func (c channelConn) RemoteAddr() net.Addr             { return c.session.link.RemoteAddr() }
func (c channelConn) SetDeadline(time.Time) error      { return nil }
func (c channelConn) SetReadDeadline(time.Time) error  { return nil }
func (c channelConn) SetWriteDeadline(time.Time) error { return nil }
