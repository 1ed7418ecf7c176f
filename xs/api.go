package xs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

const (
	// maxVersions is more than any Journal has entries, and maxBody holds them.
	maxVersions = 1 << 16
	maxBody     = 8 << 20
	// maxBodies of that size are in memory at once.
	maxBodies = 8
	// bodyTime is how long a request's body may take, after which our own
	// laptops have given up.
	bodyTime = time.Minute
	// chunkTime is how long the next 32 kB of an answer may take.
	chunkTime = time.Minute
)

// api speaks HTTP/1.1 over the channel.
func (s *session) api(ctx context.Context) error {
	var hello wire.Hello
	if err := s.open(&hello, &hello.Version); err != nil {
		return err
	}
	if !s.apis.enter(s.account) {
		return s.refuse(s.room.busy(fmt.Sprintf("The school server is busy with %d other questions about this Journal.", apisOfOne)))
	}
	defer s.apis.leave(s.account)
	if err := s.answer(wire.Answer{Action: wire.ActionServe}); err != nil {
		return err
	}
	// A pipe, because http.Server wants deadlines and a channel has none.
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { ours.Close() })
	defer stop()
	wg.Go(func() {
		io.Copy(ours, s.in)
		ours.Close()
	})
	wg.Go(func() {
		io.Copy(s.ch, ours)
		s.hangUp() // and with it the copying in
	})
	listener := &oneConn{conn: theirs, closed: make(chan struct{})}
	server := &http.Server{
		Handler:           s.apiHandler(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: s.Config.IdleTimeout,
		IdleTimeout:       s.Config.IdleTimeout,
		WriteTimeout:      s.Config.IdleTimeout, // of a short answer; see send
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				listener.Close()
			}
		},
	}
	// A laptop keeps its connection for its next question: the server does not wait
	// for that when it ends.
	ended := make(chan struct{})
	stopEnding := context.AfterFunc(s.ending, func() { defer close(ended); server.Shutdown(ctx) })
	err := server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) {
		<-ended
	}
	stopEnding()
	// A peer that does not read what it has asked for keeps nothing waiting.
	timer := time.AfterFunc(closingTime, s.hangUp)
	defer timer.Stop()
	ours.Close()
	wg.Wait()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// oneConn is a listener that has one connection to give.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
	given  bool
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.given {
		l.given = true
		return l.conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

func (s *session) apiHandler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request, *store.Folder) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) { s.handle(w, req, f) })
	}
	handle("GET /snapshots", s.getSnapshots)
	handle("GET /snapshots/{id}", withSnapshot(func(w http.ResponseWriter, _ *http.Request, snap *store.Snapshot) error {
		writeJSON(w, http.StatusOK, snap.Record)
		return nil
	}))
	handle("GET /snapshots/{id}/restore", withSnapshot(func(w http.ResponseWriter, _ *http.Request, snap *store.Snapshot) error {
		writeJSON(w, http.StatusOK, wire.RestorePath{Path: snap.Ref()})
		return nil
	}))
	handle("GET /snapshots/{id}/entries", withSnapshot(getEntries))
	handle("GET /snapshots/{id}/entries/{file}", withSnapshot(getFile))
	handle("POST /keys", s.postKeys)
	handle("POST /saved", s.postSaved)
	handle("POST /pins", s.postPins)
	handle("/", func(_ http.ResponseWriter, req *http.Request, _ *store.Folder) error {
		return &notFound{req.Method + " " + req.URL.Path}
	})
	return mux
}

type notFound struct{ what string }

func (e *notFound) Error() string { return "there is nothing at " + strconv.Quote(cut(e.what)) }

func cut(s string) string { return s[:min(len(s), 80)] }

// handle opens the folder, and translates errors.
func (s *session) handle(w http.ResponseWriter, req *http.Request, f func(http.ResponseWriter, *http.Request, *store.Folder) error) {
	req.Body = http.MaxBytesReader(w, req.Body, maxBody)
	folder, err := s.Store.Folder(s.account)
	if err == nil {
		defer folder.Close()
		err = f(w, req, folder)
	}
	if err == nil {
		return
	}
	no := s.refusal(err)
	var nothing *notFound
	if errors.As(err, &nothing) || errors.Is(err, fs.ErrNotExist) {
		no = &wire.Refusal{Code: wire.RefusedNoSnapshot, Message: err.Error()}
	}
	s.log.Warn("api", "request", req.Method+" "+cut(req.URL.Path), "error", err)
	writeJSON(w, statusOf(no), no)
}

func withSnapshot(f func(http.ResponseWriter, *http.Request, *store.Snapshot) error) func(http.ResponseWriter, *http.Request, *store.Folder) error {
	return func(w http.ResponseWriter, req *http.Request, folder *store.Folder) error {
		snap, err := folder.Snapshot(req.PathValue("id"))
		if err != nil {
			return err
		}
		defer snap.Close()
		return f(w, req, snap)
	}
}

func (s *session) getSnapshots(w http.ResponseWriter, _ *http.Request, folder *store.Folder) error {
	list, err := folder.Snapshots()
	if err != nil {
		return err
	}
	if list == nil {
		list = []wire.Snapshot{}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func getEntries(w http.ResponseWriter, req *http.Request, snap *store.Snapshot) error {
	r, err := snap.Entries(req.Context())
	if err != nil {
		return err
	}
	defer r.Close()
	w.Header().Set("Content-Type", "application/jsonl")
	send(w, r)
	return nil
}

// mediaTypes of the files of an entry.
var mediaTypes = map[string]string{
	".cjson": "application/json",
	".data":  "application/octet-stream",
	".xoj":   "application/vnd.olpc-journal-entry",
}

// tested is how much of a file is there before a word of it is said: damage of a
// small one is then told in words, and that of a large one by how it ends.
const tested = 128 << 10

func getFile(w http.ResponseWriter, req *http.Request, snap *store.Snapshot) error {
	name := req.PathValue("file")
	f, size, err := snap.File(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, tested)
	if _, err := r.Peek(tested); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	w.Header().Set("Content-Type", mediaTypes[path.Ext(name)])
	if size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	send(w, r)
	return nil
}

// send ends the connection where the content cannot be read to its end: the
// other side must not take what it has for all there is. However long it takes,
// it has to go on.
func send(w http.ResponseWriter, r io.Reader) {
	if _, err := io.Copy(paced{w, http.NewResponseController(w)}, r); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// paced gives each piece of an answer, as io.Copy cuts them, some time of its own.
type paced struct {
	w       io.Writer
	control *http.ResponseController
}

func (p paced) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(chunkTime)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

func readBody(w http.ResponseWriter, req *http.Request, v any) error {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTime)); err != nil {
		return err
	}
	if err := json.NewDecoder(req.Body).Decode(v); err != nil {
		return &wire.Refusal{Code: wire.RefusedInput, Message: "The request cannot be read: " + err.Error()}
	}
	return control.SetReadDeadline(time.Time{})
}

// postPins is told that a person has answered the offer of what is pinned.
func (s *session) postPins(w http.ResponseWriter, req *http.Request, _ *store.Folder) error {
	var body wire.PinAnswer
	req.Body = http.MaxBytesReader(w, req.Body, wire.MaxLine)
	if err := readBody(w, req, &body); err != nil {
		return err
	}
	_, via, err := s.find()
	if err != nil {
		return err
	}
	if err := s.Store.AnswerPin(req.Context(), s.account, via, body); err != nil {
		return err
	}
	s.log.Info("pins answered", "answer", body.Answer, "snapshot", cut(body.Snapshot))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *session) postSaved(w http.ResponseWriter, req *http.Request, folder *store.Folder) error {
	uids, err := s.saved(w, req, folder)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, wire.SavedAnswer{UIDs: uids})
	return nil
}

// saved holds a whole Journal's versions in memory, so not everybody does at once.
func (s *session) saved(w http.ResponseWriter, req *http.Request, folder *store.Folder) ([]string, error) {
	leave, err := s.enterBody(req.Context())
	if err != nil {
		return nil, err
	}
	defer leave()
	var body struct{ Entries versions }
	if err := readBody(w, req, &body); err != nil {
		return nil, err
	}
	snap, err := folder.Snapshot(store.Latest)
	if errors.Is(err, store.ErrNoSnapshot) {
		return []string{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	return snap.Saved(req.Context(), body.Entries)
}

func (s *session) enterBody(ctx context.Context) (leave func(), err error) {
	ctx, done := context.WithTimeout(ctx, openingTime)
	defer done()
	select {
	case s.bodies <- struct{}{}:
		return func() { <-s.bodies }, nil
	case <-ctx.Done():
		return nil, s.room.busy("The school server is busy with other laptops' questions.")
	}
}

// versions are those of a wire.SavedRequest, and no more of them than a Journal
// has: the same bytes could hold a million small ones.
type versions map[string]string

func (v *versions) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	switch t, err := dec.Token(); {
	case err != nil || t == nil: // null
		return err
	case t != json.Delim('{'):
		return errors.New("entries: an object is wanted")
	}
	for *v = (versions{}); dec.More(); {
		if len(*v) == maxVersions {
			return fmt.Errorf("more than %d entries", maxVersions)
		}
		uid, err := dec.Token()
		if err != nil {
			return err
		}
		var version string
		if err := dec.Decode(&version); err != nil {
			return err
		}
		(*v)[uid.(string)] = version // an object's key always is one
	}
	return nil
}
