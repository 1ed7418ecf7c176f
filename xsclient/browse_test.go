package xsclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
	"github.com/sugarlabs/xo-backupd/wire"
)

// throughALine puts a proxy between a laptop and the real school server, on ssh's
// way.
func throughALine(t *testing.T, s *bed.XS, c *Client) *bed.Proxy {
	t.Helper()
	proxy, err := bed.NewProxy(s.SSH)
	must(t, err)
	t.Cleanup(func() { must(t, proxy.Close()) })
	must(t, c.update(func(st *state) { st.SSH = proxy.Addr }))
	return proxy
}

// await waits until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// A page of entries with their previews, several readers at once, and their
// files: as they were backed up, over one connection; that is dialled again when
// it is broken, and gone when nobody has asked for a while.
func TestLookIntoASnapshot(t *testing.T) {
	journal, uids := rawJournal(t, 60, 1)
	must(t, os.Truncate(filepath.Join(journal, uids[7][:2], uids[7], "data"), 17<<20)) // three parts
	must(t, os.Remove(filepath.Join(journal, uids[8][:2], uids[8], "data")))
	for _, name := range []string{"filesize", "checksum"} {
		must(t, os.Remove(filepath.Join(journal, uids[8][:2], uids[8], "metadata", name)))
	}
	s := bed.XSFor(t, bed.ServerOptions{})
	c := atSchool(t, s, journal)
	t.Cleanup(c.Close)
	line := throughALine(t, s, c)
	snap := backUp(t, c).Snapshot
	await(t, "the backup's connection is gone", func() bool { return line.Open() == 0 })
	before := line.Opened()
	opened := func() int { return line.Opened() - before }

	store, err := datastore.Open(c.cfg.Profile.Datastore(), nil)
	must(t, err)
	want := map[string]*datastore.Entry{}
	for _, uid := range uids {
		want[uid], err = store.Entry(t.Context(), datastore.UID(uid))
		must(t, err)
	}
	begun := time.Now()
	var readers errgroup.Group
	readers.SetLimit(8)
	for i, uid := range uids {
		readers.Go(func() error {
			e, err := c.SnapshotEntry(t.Context(), []string{snap.ID, ""}[i%2], uid)
			if err == nil && (e.Version() != want[uid].Version() || len(e.Metadata["preview"]) == 0) {
				err = fmt.Errorf("entry %s is not what it was", uid)
			}
			return err
		})
		readers.Go(func() error {
			var b bytes.Buffer
			err := c.SnapshotData(t.Context(), snap.ID, uid, &b)
			if e := (*Error)(nil); uid == uids[8] && errors.As(err, &e) && e.Code == NoEntry {
				return nil
			}
			if was, readErr := os.ReadFile(filepath.Join(journal, uid[:2], uid, "data")); err == nil && !bytes.Equal(b.Bytes(), was) {
				err = fmt.Errorf("the file of %s is of %d bytes, not %d, %v", uid, b.Len(), len(was), readErr)
			}
			return err
		})
	}
	must(t, readers.Wait())
	t.Logf("60 previews and files in %v", time.Since(begun).Round(time.Millisecond))
	var listed []string
	must(t, c.SnapshotEntries(t.Context(), "", func(e wire.Entry) error {
		listed = append(listed, e.UID)
		if _, there := e.Metadata["preview"]; there || e.Version != string(want[e.UID].Version()) {
			t.Errorf("%+v", e)
		}
		return nil
	}))
	if !slices.Equal(listed, uids) || opened() != 1 {
		t.Errorf("%d entries over %d connections", len(listed), opened())
	}
	enough := errors.New("enough")
	if err := c.SnapshotEntries(t.Context(), snap.ID, func(wire.Entry) error { return enough }); err != enough {
		t.Error(err)
	}
	if got, err := c.Snapshot(t.Context(), ""); err != nil || got != snap || opened() != 1 {
		t.Errorf("%+v, %v, over %d connections", got, err, opened())
	}

	nobody := strings.Repeat("0", 36)
	for _, ask := range []func(snapshot, uid string) error{
		func(snapshot, uid string) error { _, err := c.SnapshotEntry(t.Context(), snapshot, uid); return err },
		func(snapshot, uid string) error { return c.SnapshotData(t.Context(), snapshot, uid, io.Discard) },
	} {
		wantCode(t, ask("", nobody), NoEntry)
		wantCode(t, ask("2020-01-01T00-00-00Z", uids[0]), NoSnapshot)
		wantCode(t, ask("../../x", uids[0]), NoSnapshot)
		wantCode(t, ask("", "../x"), InvalidArgument)
	}

	line.HangUp()
	if _, err := c.SnapshotEntry(t.Context(), snap.ID, uids[0]); err != nil || opened() != 2 {
		t.Errorf("after the line was cut: %v, over %d connections", err, opened())
	}
	line.CutAfter(0)
	line.HangUp()
	_, err = c.SnapshotEntry(t.Context(), snap.ID, uids[0])
	wantCode(t, err, ServerUnavailable)
	line.Mend()
	c.kept.idle = 50 * time.Millisecond
	if _, err := c.SnapshotEntry(t.Context(), snap.ID, uids[0]); err != nil {
		t.Error(err)
	}
	await(t, "a connection that nobody uses is gone", func() bool { return line.Open() == 0 })
	n := opened()
	if _, err := c.SnapshotEntry(t.Context(), snap.ID, uids[0]); err != nil || opened() != n+1 {
		t.Errorf("%v, over %d connections", err, opened()-n)
	}

	// Damage at school is no entry, and no file.
	tree := filepath.Join(s.Root, c.account(), "snapshots", snap.ID)
	must(t, os.WriteFile(filepath.Join(tree, uids[0][:1], uids[0]+".cjson"), []byte(`{"metadata":{"t":"x"},"uid":"`+uids[0]+`"}`), 0o644))
	_, err = c.SnapshotEntry(t.Context(), snap.ID, uids[0])
	wantCode(t, err, Damaged)
	must(t, os.WriteFile(filepath.Join(tree, uids[1][:1], uids[1]+".data"), bytes.Repeat([]byte{7}, int(want[uids[1]].Data.Size)), 0o644))
	wantCode(t, c.SnapshotData(t.Context(), snap.ID, uids[1], io.Discard), Damaged)
	_, err = c.RestoreEntry(t.Context(), snap.ID, uids[0], silent)
	wantCode(t, err, Damaged)
	must(t, os.RemoveAll(filepath.Join(c.cfg.Profile.Datastore(), uids[1][:2], uids[1])))
	_, err = c.RestoreEntry(t.Context(), snap.ID, uids[1], silent)
	wantCode(t, err, Damaged)

	c.Close()
	await(t, "nothing is open after Close", func() bool { return line.Open() == 0 })
	_, err = c.SnapshotEntry(t.Context(), snap.ID, uids[2])
	wantCode(t, err, Failed)
}

// looking is a laptop that looks into a school's snapshot, and has no patience.
func looking(t *testing.T) (*school, *pupil, []string) {
	t.Helper()
	old, uids := rawJournal(t, 3, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, "")
	p.apiTimeout = time.Second
	t.Cleanup(p.Close)
	return s, p, uids
}

// Whatever a server sends as a file, no more of it is passed on than there should
// be, it ends in good time, and it is no success.
func TestHostileData(t *testing.T) {
	s, p, uids := looking(t)
	whole := must1(os.ReadFile(s.file(uids[0], ".data")))(t)
	head := func(length int) string { return fmt.Sprintf("HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n", length) }
	chunks := func(w io.Writer, text string, ends bool) {
		c, end := inChunks(w)
		io.WriteString(c, text)
		if ends {
			end()
		}
	}
	hang := func(w io.Writer) { io.Copy(io.Discard, w.(io.Reader)) }
	for name, c := range map[string]struct {
		data func(w io.Writer)
		code Code
	}{
		"other":                {func(w io.Writer) { fmt.Fprintf(w, "%sx%s", head(len(whole)), whole[1:]) }, Damaged},
		"announced as longer":  {func(w io.Writer) { fmt.Fprintf(w, "%s%sx", head(len(whole)+1), whole) }, Damaged},
		"announced as shorter": {func(w io.Writer) { fmt.Fprintf(w, "%s%s", head(len(whole)-1), whole[1:]) }, Damaged},
		"longer":               {func(w io.Writer) { chunks(w, string(whole)+"x", true) }, Damaged},
		"shorter":              {func(w io.Writer) { chunks(w, string(whole[1:]), true) }, Damaged},
		"cut":                  {func(w io.Writer) { fmt.Fprintf(w, "%s%s", head(len(whole)), whole[1:]); w.(io.Closer).Close() }, ServerUnavailable},
		"without an end":       {func(w io.Writer) { fmt.Fprintf(w, "HTTP/1.1 200 x\r\n\r\n%s", whole); w.(io.Closer).Close() }, ServerUnavailable},
		"endless":              {func(w io.Writer) { endlessFile(w, "") }, Damaged},
		"stalls":               {func(w io.Writer) { fmt.Fprintf(w, "%s%s", head(len(whole)), whole[1:]); hang(w) }, ServerUnavailable},
		"stalls at the end":    {func(w io.Writer) { chunks(w, string(whole), false); hang(w) }, ServerUnavailable},
		"says nothing":         {hang, ServerUnavailable},
		"not there":            {func(w io.Writer) { say(w, 404, wire.Refusal{Code: wire.RefusedNoEntry, Message: "x"}) }, NoEntry},
		"damaged":              {func(w io.Writer) { say(w, 500, wire.Refusal{Code: wire.RefusedDamaged, Message: "x"}) }, Damaged},
		"nonsense":             {func(w io.Writer) { fmt.Fprint(w, "HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\noops") }, ServerUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s.peer.set(func() {
				s.answer = func(w io.Writer, name string) {
					if strings.HasSuffix(name, ".data") {
						c.data(w)
					} else {
						s.honestFile(w, name)
					}
				}
			})
			var got bytes.Buffer
			begun := time.Now()
			wantCode(t, p.SnapshotData(t.Context(), "", uids[0], &got), c.code)
			if took := time.Since(begun); took > 10*time.Second || got.Len() > len(whole) {
				t.Errorf("%d bytes in %v", got.Len(), took)
			}
			target := filepath.Join(t.TempDir(), "a.xoj")
			_, err := p.ExportEntry(t.Context(), s.snap.ID, uids[0], target, silent)
			wantCode(t, err, c.code)
			if left := listing(t, filepath.Dir(target)); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
			s.peer.set(func() { s.answer = nil })
			if err := p.SnapshotData(t.Context(), "", uids[0], io.Discard); err != nil {
				t.Errorf("and then: %v", err)
			}
		})
	}
	full := errors.New("no room")
	if err := p.SnapshotData(t.Context(), "", uids[0], noRoomAt{full}); !errors.Is(err, full) {
		t.Errorf("the writer's own error is %v", err)
	}
}

type noRoomAt struct{ err error }

func (n noRoomAt) Write([]byte) (int, error) { return 0, n.err }

// What has been passed on is not passed on again when the connection breaks.
func TestBrokenWhilePassedOn(t *testing.T) {
	s, p, uids := looking(t)
	_, err := p.SnapshotEntry(t.Context(), "", uids[0]) // so that the connection is an old one
	must(t, err)
	answers := 0
	s.peer.set(func() {
		s.answer = func(w io.Writer, name string) {
			if !strings.HasSuffix(name, ".data") {
				s.honestFile(w, name)
				return
			}
			answers++
			chunks, _ := inChunks(w)
			io.WriteString(chunks, "some")
			s.cut()
		}
		s.list = func(w io.Writer) {
			answers++
			wire.WriteLine(w, s.entries()[0])
			s.cut()
		}
	})
	var got bytes.Buffer
	wantCode(t, p.SnapshotData(t.Context(), "", uids[0], &got), ServerUnavailable)
	if got.String() != "some" || answers != 1 {
		t.Errorf("%q of %d answers", got.String(), answers)
	}
	_, err = p.SnapshotEntry(t.Context(), "", uids[0])
	must(t, err)
	listed := 0
	err = p.SnapshotEntries(t.Context(), s.snap.ID, func(wire.Entry) error { listed++; return nil })
	wantCode(t, err, ServerUnavailable)
	if listed != 1 || answers != 2 {
		t.Errorf("%d entries of %d answers", listed, answers)
	}
}

// Who gives up while the connection is being opened is no matter for whoever else
// waits for it.
func TestGivesUpWhileDialled(t *testing.T) {
	s, p, uids := looking(t)
	dialled, goOn := make(chan bool, 10), make(chan bool)
	s.peer.set(func() { s.accept = func(net.Conn) bool { dialled <- true; <-goOn; return true } })
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := p.SnapshotEntry(ctx, "", uids[0]); first <- err }()
	<-dialled
	go func() { _, err := p.SnapshotEntry(t.Context(), "", uids[0]); second <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(goOn)
	if err := <-second; err != nil || len(dialled) > 0 {
		t.Errorf("%v; dialled %d times more", err, len(dialled))
	}
}

// Over a connection that is kept nobody is asked whom this laptop does not trust
// any more, nor as another account.
func TestKeptWithWhomWeTrust(t *testing.T) {
	s, p, uids := looking(t)
	_, err := p.SnapshotEntry(t.Context(), "", uids[0])
	must(t, err)
	other := newSigner(t)
	s.peer.set(func() { s.shown = other })
	_, err = p.SnapshotEntry(t.Context(), "", uids[0])
	must(t, err) // the one that is kept
	must(t, p.update(func(st *state) { st.HostKey = hostKeyLine(newSigner(t).PublicKey()) }))
	_, err = p.SnapshotEntry(t.Context(), "", uids[0])
	wantCode(t, err, WrongServer)
	must(t, p.update(func(st *state) { st.HostKey = hostKeyLine(other.PublicKey()) }))
	_, err = p.SnapshotEntry(t.Context(), "", uids[0])
	must(t, err)
	must(t, p.update(func(st *state) { st.Account = "somebody" }))
	_, err = p.SnapshotEntry(t.Context(), "", uids[0])
	wantCode(t, err, NotRegistered)
}
