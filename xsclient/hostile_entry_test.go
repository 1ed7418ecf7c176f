package xsclient

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// A server that answers what no school should: the Journal and all around it do
// not notice.
func TestHostileEntry(t *testing.T) {
	old, uids := rawJournal(t, 3, 1)
	mine, _ := rawJournal(t, 2, 2)
	s := newSchool(t, old)
	p := newPupil(t, s, mine)
	before, honest := listing(t, p.journal), s.acts
	raw := func(text string) func(*school) {
		return func(s *school) {
			s.answer = func(w io.Writer, _ string) {
				fmt.Fprintf(w, "HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			}
		}
	}
	record := func(change func(*wire.Snapshot)) func(*school) {
		return func(s *school) {
			s.record = func(string) any { snap := s.snap; change(&snap); return snap }
		}
	}
	another := must1(os.ReadFile(s.file(uids[1], ".cjson")))(t)
	for name, a := range map[string]attack{
		"another's":       {raw(string(another)), Damaged, "is of the entry " + uids[1]},
		"not canonical":   {raw(`{ "metadata":{"t":"x"},"uid":"` + uids[0] + `"}`), Damaged, "canonical JSON"},
		"nothing":         {raw(""), Damaged, "canonical JSON"},
		"too long":        {raw(strings.Repeat("x", datastore.MaxFile+1)), ServerUnavailable, "more than"},
		"endless":         {func(s *school) { s.answer = endlessFile }, ServerUnavailable, "more than"},
		"another, listed": {record(func(r *wire.Snapshot) { r.ID = "2020-01-01T00-00-00Z" }), ServerUnavailable, "to a question for"},
		"no snapshot":     {record(func(r *wire.Snapshot) { r.ID = "../../x" }), ServerUnavailable, "a snapshot called"},
		"other metadata at first": {func(s *school) {
			s.answer = func(w io.Writer, name string) {
				b := []byte(strings.Replace(string(must1(os.ReadFile(s.file(uids[0], ".cjson")))(t)), `"keep":"`, `"keep":"7`, 1))
				fmt.Fprintf(w, "HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
			}
		}, Damaged, "is not what its list says"},
		"wrong file": {func(s *school) { s.tree = damagedTree(t, s.tree, uids[0]) }, Damaged, "sha256 of its data"},
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			s.peer.set(func() { s.acts = honest })
			tree := s.tree
			a.do(s)
			_, err := p.RestoreEntry(t.Context(), s.snap.ID, uids[0], p.progress)
			if e := wantCode(t, err, a.code); !strings.Contains(e.Error(), a.want) {
				t.Errorf("%v, want %q", e, a.want)
			}
			s.tree = tree
			p.unharmed(before, false)
		})
	}
}

func endlessFile(w io.Writer, _ string) {
	chunks, _ := inChunks(w)
	for block := make([]byte, 32<<10); ; {
		if _, err := chunks.Write(block); err != nil {
			return
		}
	}
}

// damagedTree is a tree in which one bit of an entry's file is another, of the
// same size and time.
func damagedTree(t *testing.T, tree, uid string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, os.CopyFS(dir, os.DirFS(tree)))
	path := filepath.Join(dir, uid[:1], uid+".data")
	before, err := os.Stat(filepath.Join(tree, uid[:1], uid+".data"))
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	b[0] ^= 1
	must(t, os.WriteFile(path, b, 0o644))
	must(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
	return dir
}
