package sugar

import (
	"strconv"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// keeper is an XO whose Journal a school server has.
type keeper struct {
	*bed.XO
	XS      *bed.XS
	UIDs    map[string]string // of keeperTitles
	Journal bed.Journal       // as it was backed up
}

// keeperTitles are those of the newest entries, which the tests look for.
var keeperTitles = []string{"My castle", "A poem about rain", "Mi dibujo", "Turtle & <spiral>", "Dibujos del mar"}

// keeperFor starts one with these entries and n more. It is not registered yet.
func keeperFor(t *testing.T, n int) *keeper {
	t.Helper()
	k := &keeper{XO: bed.XOFor(t, bed.Options{}), XS: bed.XSFor(t, bed.ServerOptions{}), UIDs: map[string]string{}}
	must(0, k.PointAt(k.XS))(t)
	for i, sample := range bed.Samples(n+len(keeperTitles), 7) {
		if i >= n {
			i -= n
			sample.Props["title"] = []byte(keeperTitles[i])
			sample.Props["timestamp"] = strconv.AppendInt(nil, time.Now().Unix()-int64(i)*3600, 10)
			sample.Props["description"], sample.Props["tags"] = nil, nil
			k.UIDs[keeperTitles[i]] = must(k.Create(t.Context(), sample))(t)
		} else {
			must(k.Create(t.Context(), sample))(t)
		}
	}
	must(0, k.Settle(t.Context()))(t)
	k.Journal = must(k.ReadJournal(t.Context()))(t)
	return k
}

func (k *keeper) register(t *testing.T) {
	t.Helper()
	must(0, k.Register(t.Context()))(t)
}

func (k *keeper) backUp(t *testing.T) {
	t.Helper()
	must(0, must(k.Job(t.Context(), "Backup"))(t).OK())(t)
}

// lose deletes entries of ours, as a child does.
func (k *keeper) lose(t *testing.T, titles ...string) {
	t.Helper()
	for _, title := range titles {
		must(0, k.Delete(t.Context(), k.UIDs[title]))(t)
	}
}

// has checks that the Journal is byte for byte as it was, but for those entries.
func (k *keeper) has(t *testing.T, without ...string) {
	t.Helper()
	want := bed.Journal{}
	for uid, entry := range k.Journal {
		want[uid] = entry
	}
	for _, title := range without {
		delete(want, k.UIDs[title])
	}
	if err := want.Diff(must(k.ReadJournal(t.Context()))(t)); err != nil {
		t.Error(err)
	}
}

// strange adds entries that the Journal's own list cannot show, or not without their
// files, and answers their titles; the laptop's Journal is to lose them.
func (k *keeper) strange(t *testing.T) (titles []string) {
	t.Helper()
	for title, props := range map[string][2]string{
		"An activity":    {"mime_type", "application/vnd.olpc-sugar"},
		"A project":      {"activity", "org.sugarlabs.Project"},
		"Strange people": {"buddies", "[1, 2]"},
		"Other people":   {"buddies", `{"a": 1, "b": ["Amara"]}`},
	} {
		sample := bed.Samples(1, 5)[0]
		sample.Props["title"], sample.Props[props[0]] = []byte(title), []byte(props[1])
		sample.Props["timestamp"] = strconv.AppendInt(nil, time.Now().Unix()+100, 10)
		k.UIDs[title] = must(k.Create(t.Context(), sample))(t)
		titles = append(titles, title)
	}
	must(0, k.Settle(t.Context()))(t)
	k.Journal = must(k.ReadJournal(t.Context()))(t)
	return titles
}

func journalSteps(t *testing.T, s *bed.Shell, steps string) {
	t.Helper()
	drive(t, s, "journal_steps", steps)
}

// From a laptop that the school server does not know, to an entry and several that
// are back.
func TestJournal(t *testing.T) {
	t.Parallel()
	k := keeperFor(t, 40)
	shell := shellFor(t, k.XO, bed.ShellOptions{})
	journalSteps(t, shell, `
		open
		shoot journal-button
		press Restore from school server
		see not registered with the school server yet
		shoot journal-unregistered
		press Close
		closed`)
	k.register(t)
	journalSteps(t, shell, `
		press Restore from school server
		see has no backup of this Journal yet`)
	k.backUp(t)
	k.lose(t, "My castle", "Mi dibujo", "Turtle & <spiral>")
	journalSteps(t, shell, `
		press Retry
		see which day
		shoot journal-days
		day – 45 entries
		entry A poem about rain
		entry My castle
		shoot journal-entries
		search cast
		noentry A poem about rain
		choose My castle
		see 1 of 45 entries
		shoot journal-search
		press Bring back
		closed
		see 1 entry is back
		shoot journal-one-back
		journal My castle`)
	k.has(t, "Mi dibujo", "Turtle & <spiral>")
	journalSteps(t, shell, `
		press Restore from school server
		day entries
		tick Mi dibujo
		see 1 of 45 entries
		choose A poem
		see 2 of 45 entries
		choose Turtle & <spiral>
		see 3 of 45 entries
		choose A poem
		see 2 of 45 entries
		search poem
		noentry My castle
		press Select all
		see 3 of 45 entries
		press Select all
		see 2 of 45 entries
		choose A poem
		see 3 of 45 entries
		search nothingofthekind
		see No matching entries
		shoot journal-nothing
		press Clear search
		entry My castle
		shoot journal-chosen
		press Bring back
		closed
		see 3 entries are back
		journal Mi dibujo
		journal Turtle`)
	k.has(t)
	journalQuiet(t, shell)
}

// Everything comes back, on a small screen.
func TestJournalAll(t *testing.T) {
	long(t)
	t.Parallel()
	k := keeperFor(t, 10)
	k.register(t)
	strange := k.strange(t)
	k.backUp(t)
	k.lose(t, append(strange, "My castle", "Mi dibujo", "Dibujos del mar")...)
	shell := shellFor(t, k.XO, bed.ShellOptions{Screen: "800x600", Scaling: "100"})
	journalSteps(t, shell, `
		open
		shoot journal-small-button
		press Restore from school server
		see which day
		shoot journal-small-days
		key Escape
		closed
		press Restore from school server
		see which day
		key Return
		entry My castle
		shoot journal-small-entries
		key Down Down Return
		see 1 of 19 entries
		key Return
		see What should come back
		press Select all
		see 19 of 19 entries
		shoot journal-small-chosen
		press Select all
		see What should come back
		press Back
		day 19 entries
		entry My castle`)
	journalQuiet(t, shell)
	journalSteps(t, shell, `
		press Bring everything back
		closed
		see Everything is back
		shoot journal-small-back`)
	k.has(t)
}

// From right to left.
func TestJournalArabic(t *testing.T) {
	long(t)
	t.Parallel()
	k := keeperFor(t, 10)
	k.register(t)
	k.backUp(t)
	k.lose(t, "My castle")
	shell := shellFor(t, k.XO, bed.ShellOptions{Screen: "800x600", Scaling: "100", Env: []string{"LANGUAGE=ar"}})
	journalSteps(t, shell, `
		open
		shoot journal-ar-button
		press Restore from school server
		see which day
		shoot journal-ar-days
		day 15 entries
		choose My castle
		choose Mi dibujo
		see 2 of 15 entries
		shoot journal-ar-chosen
		press Bring back
		closed
		see 2 entries are back
		shoot journal-ar-back
		journal My castle`)
	k.has(t)
	journalQuiet(t, shell)
}
