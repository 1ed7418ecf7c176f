package xsclient

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

func TestMain(m *testing.M) {
	TransferChild().Main()
	os.Exit(m.Run())
}

// school is a peer that has one snapshot and sends it: honest as it stands,
// hostile where a test replaces one of its parts.
type school struct {
	*peer
	tree string // the snapshot's folder
	acts
	restores []wire.RestoreRequest // that were asked for
	asked    []string              // over the api
	pins     []wire.PinAnswer      // that were told
}

// acts is what a test may replace.
type acts struct {
	snap      wire.Snapshot
	snapshots []wire.Snapshot                                                    // nil: snap alone
	path      string                                                             // of a restore; "": honest
	list      func(w io.Writer)                                                  // nil: honest
	record    func(ref string) any                                               // of a snapshot; nil: honest
	answer    func(w io.Writer, name string)                                     // of an entry, UID.cjson or UID.data; nil: honest
	restore   func(ch ssh.Channel, r *bufio.Reader, request wire.RestoreRequest) // nil: honest
	backup    func(ch ssh.Channel, r *bufio.Reader, request wire.BackupRequest)
}

// newSchool makes a school whose snapshot is what the folder of a Journal holds.
func newSchool(t testing.TB, journal string) *school {
	t.Helper()
	s := &school{peer: newPeer(t), tree: filepath.Join(t.TempDir(), "tree")}
	summary := travel(t, journal, s.tree)
	s.snap = wire.Snapshot{
		ID: "2026-11-23T21-30-05Z", Seq: 7, Time: 1795469405, Account: "a",
		Entries: summary.Entries, Bytes: summary.Bytes, Digest: summary.Digest,
	}
	return s
}

// travel writes the travelling tree of a Journal to a folder.
func travel(t testing.TB, journal, to string) datastore.Summary {
	t.Helper()
	tree := lookAt(t, journal)
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return orElse(err, func() error { return os.MkdirAll(filepath.Join(to, name), 0o755) })
		}
		b, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		return writeTimed(filepath.Join(to, name), b)
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree.Summary()
}

func orElse(err error, do func() error) error {
	if err != nil {
		return err
	}
	return do()
}

// writeTimed writes a file of a tree with the time that its content gives it.
func writeTimed(path string, b []byte) error {
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return err
	}
	when := datastore.ModTime(sha256.Sum256(b))
	return os.Chtimes(path, when, when)
}

func lookAt(t testing.TB, journal string) *datastore.Tree {
	t.Helper()
	store, err := datastore.Open(journal, nil)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := store.Look(t.Context(), datastore.LookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// serve makes the peer a school.
func (s *school) serve() {
	s.peer.set(func() {
		s.exec = func(command string, ch ssh.Channel) {
			defer ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
			r := bufio.NewReader(ch)
			word, path, _ := strings.Cut(command, " ")
			switch word {
			case wire.CommandAPI:
				s.serveAPI(ch, r)
			case wire.CommandRestore:
				var request wire.RestoreRequest
				if wire.ReadLine(r, &request) != nil {
					return
				}
				var restore func(ssh.Channel, *bufio.Reader, wire.RestoreRequest)
				s.peer.set(func() {
					s.restores = append(s.restores, request)
					restore = s.restore
				})
				if restore == nil {
					if path != s.restorePath() {
						s.t.Errorf("asked for %q", path)
					}
					restore = s.honestRestore
				}
				restore(ch, r, request)
			case wire.CommandBackup:
				var request wire.BackupRequest
				if wire.ReadLine(r, &request) != nil {
					return
				}
				var backup func(ssh.Channel, *bufio.Reader, wire.BackupRequest)
				s.peer.set(func() { backup = s.backup })
				backup(ch, r, request)
			}
		}
	})
}

func (s *school) restorePath() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != "" {
		return s.path
	}
	return "snapshots/" + s.snap.ID
}

func (s *school) serveAPI(ch ssh.Channel, r *bufio.Reader) {
	if wire.ReadLine(r, &wire.Hello{}) != nil ||
		wire.WriteLine(ch, wire.Answer{Version: wire.Version, Action: wire.ActionServe}) != nil {
		return
	}
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		path := strings.TrimPrefix(request.URL.Path, "/")
		s.peer.set(func() { s.asked = append(s.asked, path) })
		if snapshot, name, ok := strings.Cut(path, "/entries/"); ok && (strings.HasSuffix(snapshot, s.snap.ID) || snapshot == "snapshots/latest") {
			s.serveFile(ch, name)
			continue
		}
		if strings.HasSuffix(path, "/entries") {
			s.serveEntries(ch)
			continue
		}
		var answer any = wire.Refusal{Code: wire.RefusedNoSnapshot, Message: "There is no such snapshot."}
		status := http.StatusOK
		switch {
		case request.Method == http.MethodPost && path == "keys":
			s.enrol(request)
			answer = nil
		case request.Method == http.MethodPost && path == "pins":
			var pin wire.PinAnswer
			if err := json.NewDecoder(request.Body).Decode(&pin); err != nil {
				s.t.Error(err)
			}
			s.peer.set(func() { s.pins = append(s.pins, pin) })
			answer = nil
		case path == "snapshots":
			s.peer.set(func() {
				answer = s.snapshots
				if s.snapshots == nil {
					answer = []wire.Snapshot{s.snap}
				}
			})
		case path == "snapshots/latest", path == "snapshots/"+s.snap.ID:
			s.peer.set(func() {
				answer = s.snap
				if s.record != nil {
					answer = s.record(strings.TrimPrefix(path, "snapshots/"))
				}
			})
		case strings.HasSuffix(path, "/restore"):
			answer = wire.RestorePath{Path: s.restorePath()}
		default:
			status = http.StatusNotFound
		}
		io.Copy(io.Discard, request.Body)
		say(ch, status, answer)
	}
}

func (s *school) serveEntries(ch ssh.Channel) {
	w, end := inChunks(ch)
	defer end()
	var list func(io.Writer)
	s.peer.set(func() { list = s.list })
	if list == nil {
		list = func(w io.Writer) { s.listed(w, func(*wire.Entry) {}) }
	}
	list(w)
}

// inChunks begins an answer of which the length is not known.
func inChunks(w io.Writer) (chunks io.Writer, end func()) {
	fmt.Fprint(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	c := httputil.NewChunkedWriter(w)
	return c, func() { c.Close(); io.WriteString(w, "\r\n") }
}

// listed writes the snapshot's entries, each changed as a test likes.
func (s *school) listed(w io.Writer, change func(*wire.Entry)) {
	for _, e := range s.entries() {
		change(&e)
		if wire.WriteLine(w, e) != nil {
			return
		}
	}
}

func (s *school) entries() []wire.Entry {
	tree := os.DirFS(s.tree)
	uids, err := datastore.UIDs(tree)
	if err != nil {
		s.t.Error(err)
	}
	var list []wire.Entry
	for _, uid := range uids {
		e, b, err := datastore.ReadEntry(tree, uid)
		if err != nil {
			s.t.Error(err)
			continue
		}
		size := int64(len(b))
		if e.Data != nil {
			size += e.Data.Size
		}
		metadata := map[string]string{}
		for name, value := range e.Metadata {
			if name != "preview" && utf8.Valid(value) {
				metadata[name] = string(value)
			}
		}
		list = append(list, wire.Entry{UID: string(uid), Version: string(e.Version()), Size: size, Metadata: metadata})
	}
	return list
}

// serveFile sends a file of an entry.
func (s *school) serveFile(ch io.Writer, name string) {
	var answer func(io.Writer, string)
	s.peer.set(func() { answer = s.answer })
	if answer == nil {
		answer = s.honestFile
	}
	answer(ch, name)
}

func (s *school) honestFile(w io.Writer, name string) {
	id, kind, _ := strings.Cut(name, ".")
	tree := os.DirFS(s.tree)
	e, body, err := datastore.ReadEntry(tree, datastore.UID(id))
	if err == nil && kind == "data" {
		var data io.ReadCloser
		if data, err = datastore.OpenData(tree, e); err == nil {
			defer data.Close()
			body, err = io.ReadAll(data)
		}
	}
	if err != nil {
		say(w, http.StatusNotFound, wire.Refusal{Code: wire.RefusedNoEntry, Message: "No such entry."})
		return
	}
	fmt.Fprintf(w, "HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// say answers with JSON.
func say(w io.Writer, status int, v any) {
	body, _ := json.Marshal(v)
	fmt.Fprintf(w, "HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func (s *school) enrol(request *http.Request) {
	var k wire.KeyRequest
	if err := json.NewDecoder(request.Body).Decode(&k); err != nil {
		s.t.Error(err)
		return
	}
	key := parseHostKey(k.Key)
	s.peer.set(func() {
		for _, keys := range s.keys {
			keys[string(key.Marshal())] = "backup"
		}
	})
}

// files are the prefixes of what a request asks for.
func files(uids []string) []string {
	only := []string{"journal.cjson"}
	for _, uid := range uids {
		only = append(only, strings.TrimSuffix(datastore.UID(uid).Path(), "cjson"))
	}
	return only
}

func (s *school) honestRestore(ch ssh.Channel, r *bufio.Reader, request wire.RestoreRequest) {
	s.send(ch, r, transfer.Dir(s.tree, files(request.UIDs)), &wire.Report{End: true, Snapshot: &s.snap})
}

// send answers with a tree, and ends as told; nil: without a word.
func (s *school) send(ch ssh.Channel, r *bufio.Reader, job transfer.Job, end *wire.Report) {
	if wire.WriteLine(ch, wire.Answer{Version: wire.Version, Action: wire.ActionSend}) != nil {
		return
	}
	p, err := transfer.Start(context.Background(), job, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer p.Close()
	_, _ = p.Run(context.Background(), r, ch) // how it ends is the client's to say
	if end != nil {
		wire.WriteLine(ch.Stderr(), end)
	}
}

// say answers with raw bytes instead of rsync's.
func (s *school) say(raw []byte) func(ssh.Channel, *bufio.Reader, wire.RestoreRequest) {
	return func(ch ssh.Channel, r *bufio.Reader, _ wire.RestoreRequest) {
		if wire.WriteLine(ch, wire.Answer{Version: wire.Version, Action: wire.ActionSend}) != nil {
			return
		}
		ch.Write(raw)
		io.Copy(io.Discard, r)
	}
}
