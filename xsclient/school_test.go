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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
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
}

// acts is what a test may replace.
type acts struct {
	snap      wire.Snapshot
	snapshots []wire.Snapshot                                                    // nil: snap alone
	path      string                                                             // of a restore; "": honest
	list      func(w io.Writer)                                                  // nil: honest
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
		if strings.HasSuffix(path, "/entries") {
			s.serveEntries(ch)
			return // the answer ends with the channel
		}
		var answer any = wire.Refusal{Code: wire.RefusedNoSnapshot, Message: "There is no such snapshot."}
		status := http.StatusOK
		switch {
		case request.Method == http.MethodPost && path == "keys":
			s.enrol(request)
			answer = nil
		case path == "snapshots":
			s.peer.set(func() {
				answer = s.snapshots
				if s.snapshots == nil {
					answer = []wire.Snapshot{s.snap}
				}
			})
		case strings.HasSuffix(path, "/restore"):
			answer = wire.RestorePath{Path: s.restorePath()}
		default:
			status = http.StatusNotFound
		}
		body, _ := json.Marshal(answer)
		io.Copy(io.Discard, request.Body)
		fmt.Fprintf(ch, "HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
}

func (s *school) serveEntries(ch ssh.Channel) {
	fmt.Fprint(ch, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
	var list func(io.Writer)
	s.peer.set(func() { list = s.list })
	if list == nil {
		list = func(w io.Writer) { s.listed(w, func(*wire.Entry) {}) }
	}
	list(ch)
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
		list = append(list, wire.Entry{UID: string(uid), Version: string(e.Version()), Size: size, Metadata: map[string]string{
			"timestamp": string(e.Metadata["timestamp"]), "keep": string(e.Metadata["keep"]),
		}})
	}
	return list
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
		only = append(only, uid[:2]+"/"+uid+".")
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

// stopped is Sugar's datastore, not running.
type stopped struct {
	mu   sync.Mutex
	held int
	hold error // of the next Hold
}

func (*stopped) Running(context.Context) (bool, error) { return false, nil }
func (*stopped) Update(context.Context, *datastore.Entry, string) error {
	return fmt.Errorf("not running")
}

func (s *stopped) Hold(context.Context) (func() error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		return nil, s.hold
	}
	s.held++
	return func() error { return nil }, nil
}

// pupil is a laptop with a Journal, registered with a school.
type pupil struct {
	*Client
	t       testing.TB
	home    string // all that is the laptop's
	journal string
	service *stopped
	outside map[string]string // the listing of what must never change

	mu     sync.Mutex
	phases []string
}

// newPupil registers a laptop with a school. Its Journal is a copy of journal;
// "" is none.
func newPupil(t testing.TB, s *school, journal string) *pupil {
	t.Helper()
	s.serve()
	cfg := laptop(t, s.peer, "-t", "ed25519")
	p := &pupil{t: t, home: filepath.Dir(cfg.Profile.Dir), journal: cfg.Profile.Datastore(), service: &stopped{}}
	cfg.Datastore = p.service
	if journal != "" {
		must(t, os.CopyFS(p.journal, os.DirFS(journal)))
	}
	p.Client = client(t, cfg)
	must(t, p.Register(t.Context()))
	// What a climbing name would love to hit.
	must(t, os.WriteFile(filepath.Join(p.home, "precious"), []byte("precious"), 0o600))
	p.outside = p.around()
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// around lists all in the temp root but what a restore may write.
func (p *pupil) around() map[string]string {
	p.t.Helper()
	all := listing(p.t, p.home)
	for name := range all {
		for _, ours := range []string{"state", "cache", "profile/datastore", "profile/backup-unreadable", ".config", ".cache"} {
			if name == ours || strings.HasPrefix(name, ours) {
				delete(all, name)
			}
		}
	}
	delete(all, ".")
	delete(all, "profile")
	return all
}

// listing is every file below dir with its content and mode.
func listing(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		out[name] = info.Mode().String()
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out[name] += fmt.Sprintf(" %x", sha256.Sum256(b))
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

// progress notes the phases.
func (p *pupil) progress(now Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.phases); n == 0 || p.phases[n-1] != now.Phase {
		p.phases = append(p.phases, now.Phase)
	}
}

func (p *pupil) sawPhase(phase string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.phases, phase)
}

// unharmed checks that a restore that failed has left the Journal as it was,
// nothing outside, and a record of itself only where it is to go on.
func (p *pupil) unharmed(before map[string]string, goesOn bool) {
	p.t.Helper()
	p.untouched()
	unchanged(p.t, "the Journal", before, listing(p.t, p.journal))
	p.pending(goesOn)
}

func (p *pupil) untouched() {
	p.t.Helper()
	unchanged(p.t, "outside", p.outside, p.around())
}

// pending checks whether a restore is to go on; where it is not, no trace of it
// is left, and nothing blocks a backup.
func (p *pupil) pending(goesOn bool) {
	p.t.Helper()
	if _, ok := p.PendingRestore(); ok != goesOn {
		p.t.Errorf("a restore is to go on: %v", ok)
	}
	if goesOn {
		return
	}
	if _, err := os.Lstat(p.stagingDir()); !os.IsNotExist(err) {
		p.t.Errorf("left behind: %s, %v", p.stagingDir(), err)
	}
}

func unchanged(t testing.TB, what string, want, got map[string]string) {
	t.Helper()
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %q was %s, is %s", what, name, w, got[name])
		}
	}
	for name, g := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q is new: %s", what, name, g)
		}
	}
}

// holds checks that the Journal is, entry for entry, what another is, but for
// the uids named.
func (p *pupil) holds(journal string, but ...string) {
	p.t.Helper()
	want, err := bed.ReadDisk(journal)
	must(p.t, err)
	got, err := bed.ReadDisk(p.journal)
	must(p.t, err)
	for uid, w := range want {
		if !slices.Contains(but, uid) && fmt.Sprint(got[uid]) != fmt.Sprint(w) {
			p.t.Errorf("entry %s is not what it was", uid)
		}
	}
	for uid := range got {
		if _, ok := want[uid]; !ok && !slices.Contains(but, uid) {
			p.t.Errorf("entry %s is nobody's", uid)
		}
	}
}

// rawJournal writes a Journal of n entries.
func rawJournal(t testing.TB, n int, seed uint64) (dir string, uids []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "journal")
	uids, err := bed.WriteRaw(dir, n, 0, seed)
	must(t, err)
	slices.Sort(uids)
	return dir, uids
}

// soon fails a test whose operation does not end when it should.
func soon(t testing.TB, since time.Time) {
	t.Helper()
	if d := time.Since(since); d > 3*time.Second {
		t.Errorf("it took %v", d)
	}
}
