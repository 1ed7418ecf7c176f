package sugar

import (
	"strconv"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// castle and the others are what the tests look for: the newest entries.
var ours = []string{"My castle", "A poem about rain", "Mi dibujo", "Turtle & <spiral>", "Dibujos del mar"}

// school is an XO with a Journal, and a school server that has it too.
type school struct {
	*bed.XO
	XS      *bed.XS
	UIDs    map[string]string // of ours, by title
	Journal bed.Journal       // as it was backed up
}

func schoolFor(t *testing.T, more int) *school {
	t.Helper()
	s := &school{XO: bed.XOFor(t, bed.Options{}), XS: bed.XSFor(t, bed.ServerOptions{}), UIDs: map[string]string{}}
	must(0, s.PointAt(s.XS))(t)
	must(0, s.Register(t.Context()))(t)
	must(s.FillJournal(t.Context(), more, 7))(t)
	for i, title := range ours {
		sample := bed.Samples(20, 3)[i]
		sample.Props["title"] = []byte(title)
		sample.Props["description"], sample.Props["tags"] = nil, nil
		sample.Props["timestamp"] = strconv.AppendInt(nil, time.Now().Unix()-int64(i)*3600, 10)
		s.UIDs[title] = must(s.Create(t.Context(), sample))(t)
	}
	must(0, s.Settle(t.Context()))(t)
	s.Journal = must(s.ReadJournal(t.Context()))(t)
	s.backUp(t)
	return s
}

func (s *school) backUp(t *testing.T) {
	t.Helper()
	must(0, must(s.Job(t.Context(), "Backup"))(t).OK())(t)
}

// lose deletes entries, as a child does.
func (s *school) lose(t *testing.T, titles ...string) {
	t.Helper()
	for _, title := range titles {
		must(0, s.Delete(t.Context(), s.UIDs[title]))(t)
	}
}

// has checks that the Journal is as it was, but for the entries of those titles.
func (s *school) has(t *testing.T, without ...string) {
	t.Helper()
	want := bed.Journal{}
	for uid, entry := range s.Journal {
		want[uid] = entry
	}
	for _, title := range without {
		delete(want, s.UIDs[title])
	}
	if err := want.Diff(must(s.ReadJournal(t.Context()))(t)); err != nil {
		t.Error(err)
	}
}

func TestJournal(t *testing.T) {
	s := schoolFor(t, 40)
	shell := shellFor(t, s.XO, bed.ShellOptions{})
	s.lose(t, "My castle")
	drive(t, shell, "journal_one")
	s.has(t)
}
