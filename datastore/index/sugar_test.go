package index_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/index"
	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// Words of many kinds and languages, which meet often enough to be found.
var words = strings.Fields(`
	dibujo Dibujos niño NIÑA mañana árbol canción ¿qué pingüino
	coração lição avô maçã português
	élève garçon œuvre été l'école aujourd'hui
	مدرسة كتاب ١٢٣ قَلَم
	ትምህርት መጽሐፍ ፩፪
	学校 中文字 漢字かな हिन्दी किताब
	turtle Turtle TURTLE art my drawing drawings the of and AND a I
	AT&T O'Brien isn’t C++ C# c+ U.N.C.L.E. I.B.M. e.g. 3.14 1,000 10:30 2026-11-25
	foo_bar _private someone@example.org http://laptop.org/a?b=c path/to/file x-y x--y
	#escuela río a̧b ﬁne Straße İstanbul
	` + "zero\u200bwidth re\u00adview " + strings.Repeat("x", 64) + " " + strings.Repeat("y", 65) + " " + strings.Repeat("é", 32) + " " + strings.Repeat("é", 33))

var (
	activities = []string{"org.laptop.WebActivity", "org.laptop.TurtleArtActivity", "org.laptop.Oficina", "org.laptop.Calculate", ""}
	mimeTypes  = []string{"text/plain", "image/png", "application/pdf", "text/uri-list", ""}
	ids        = []string{"0000a", "0000b", "abc-def", ""}
)

func someWords(r *rand.Rand, most int) string {
	var b strings.Builder
	for n := range r.IntN(most + 1) {
		if n > 0 {
			b.WriteString([]string{" ", " ", " ", ", ", "-", "/", ". ", "\n", "\u00a0"}[r.IntN(9)])
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

func someProperties(r *rand.Rand, n int) map[string]string {
	p := map[string]string{
		"title":         []string{"", " ", "\t"}[r.IntN(3)] + someWords(r, 5) + []string{"", "  "}[r.IntN(2)],
		"description":   someWords(r, 12),
		"tags":          someWords(r, 3),
		"activity":      activities[r.IntN(len(activities))],
		"activity_id":   ids[r.IntN(len(ids))],
		"mime_type":     mimeTypes[r.IntN(len(mimeTypes))],
		"keep":          fmt.Sprint(r.IntN(2)),
		"timestamp":     fmt.Sprint(1_700_000_000 + r.IntN(150)),
		"creation_time": fmt.Sprint(1_600_000_000 + r.IntN(20)*1000 - r.IntN(2)*1_600_000_000),
		"filesize":      fmt.Sprint(r.IntN(40) * r.IntN(3) * 100),
		"buddies":       `{"1": ["Amara", "#FF0000,#00FF00"]}`,
		"launch-times":  "turtle 12345",
		"preview":       "turtle \x89PNG",
		"share-scope":   "private",
	}
	switch {
	case n%7 == 0:
		p["project_id"] = ids[r.IntN(len(ids))]
	case n%11 == 0:
		delete(p, "title")
	case n%13 == 0:
		delete(p, "keep")
		delete(p, "mime_type")
	}
	return p
}

// layOut writes a Journal that Sugar has not seen yet.
func layOut(t testing.TB, dir string, n int, r *rand.Rand) (uids []string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "version"), []byte("6"), 0o644))
	for i := range n {
		uid := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48))
		metadata := filepath.Join(dir, uid[:2], uid, "metadata")
		must(t, os.MkdirAll(metadata, 0o755))
		properties := someProperties(r, i)
		properties["uid"] = uid
		for name, value := range properties {
			must(t, os.WriteFile(filepath.Join(metadata, name), []byte(value), 0o644))
		}
		uids = append(uids, uid)
	}
	return uids
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// both are Sugar's datastore and our index of the same Journal.
type both struct {
	t       *testing.T
	x       *bed.XO
	journal *index.Journal
	told    func()
}

func newBoth(t *testing.T, entries int) (*both, []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "xo-index-")
	must(t, err)
	x, err := bed.StartXO(t.Context(), filepath.Join(dir, "xo"), bed.Options{Key: "ed25519"})
	must(t, err)
	t.Cleanup(func() {
		must(t, x.Close())
		must(t, os.RemoveAll(dir))
	})
	uids := layOut(t, x.Datastore, entries, rand.New(rand.NewPCG(1, 2)))
	_, err = x.Find(t.Context()) // starts it: it builds its index
	must(t, err)
	b := &both{t: t, x: x}
	b.await()
	client := service.New(x.Conn)
	b.journal = index.NewJournal(filepath.Join(dir, "index"),
		func() (*datastore.Store, error) { return datastore.Open(x.Datastore, nil) },
		func(ctx context.Context) []datastore.UID {
			uids, err := client.Order(ctx)
			must(t, err)
			return uids
		})
	t.Cleanup(func() { must(t, b.journal.Close()) })
	return b, uids
}

// await waits until Sugar's index is whole: until then it answers everything.
func (b *both) await() {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(b.x.Datastore, "index_updated")); err == nil {
			if _, n := b.sugar(map[string]any{"uid": "none"}); n == 0 {
				return
			}
		}
		if time.Now().After(end) {
			b.t.Fatal("Sugar's index does not get ready")
		}
	}
}

func (b *both) sugar(query map[string]any) (uids []string, count uint32) {
	b.t.Helper()
	variants := map[string]dbus.Variant{}
	for key, value := range query {
		if r, ok := value.([]any); ok {
			value = struct{ From, To any }{r[0], r[1]}
			if from, ok := r[0].(int32); ok {
				value = struct{ From, To int32 }{from, r[1].(int32)}
			}
		}
		variants[key] = dbus.MakeVariant(value)
	}
	var found []map[string]dbus.Variant
	if err := b.x.DataStore().CallWithContext(b.t.Context(), bed.DataStoreName+".find", 0, variants, []string{"uid"}).Store(&found, &count); err != nil {
		b.t.Fatalf("Sugar: %v: %v", query, err)
	}
	for _, e := range found {
		uids = append(uids, e["uid"].Value().(string))
	}
	return uids, count
}

func (b *both) ours(query map[string]any) (uids []string, count int) {
	b.t.Helper()
	q, err := index.ParseQuery(query)
	if err != nil {
		b.t.Fatalf("ours: %v: %v", query, err)
	}
	hits, count, err := b.journal.Find(b.t.Context(), q)
	must(b.t, err)
	for _, h := range hits {
		uids = append(uids, string(h.UID))
	}
	return uids, count
}

// same compares the answers; it tells whether they are the same.
func (b *both) same(query map[string]any) bool {
	b.t.Helper()
	want, exact := b.sugar(query)
	got, count := b.ours(query)
	if _, paged := query["limit"]; paged { // then it is an estimate
		whole := maps.Clone(query)
		delete(whole, "limit")
		delete(whole, "offset")
		_, exact = b.sugar(whole)
	}
	if slices.Equal(got, want) && count == int(exact) {
		return true
	}
	b.t.Errorf("%q: %d of %d, want %d of %d", query, len(got), count, len(want), exact)
	return false
}

// TestSameAnswersAsSugar asks both thousands of times.
func TestSameAnswersAsSugar(t *testing.T) {
	b, uids := newBoth(t, 300)
	r := rand.New(rand.NewPCG(3, 4))
	wrong := 0
	for n := range 3000 {
		if !b.same(someQuery(r, n, uids)) {
			if wrong++; wrong > 20 {
				t.Fatal("and so on")
			}
		}
	}
	for _, text := range texts {
		b.same(map[string]any{"query": text})
	}
}

// someQuery is about every key, alone and together with others.
func someQuery(r *rand.Rand, n int, uids []string) map[string]any {
	q := map[string]any{}
	set := func(one int, key string, value func() any) {
		if n%12 == one || r.IntN(8) == 0 {
			q[key] = value()
		}
	}
	oneOrMore := func(values []string) func() any {
		return func() any {
			if r.IntN(2) == 0 {
				return values[r.IntN(len(values))]
			}
			list := []string{}
			for range r.IntN(4) {
				list = append(list, values[r.IntN(len(values))])
			}
			return list
		}
	}
	set(0, "query", func() any { return someText(r, 0) })
	set(1, "query", func() any { return someText(r, 0) })
	set(2, "query", func() any { return someText(r, 2) })
	set(3, "activity", oneOrMore(activities))
	set(4, "mime_type", oneOrMore(mimeTypes))
	set(5, "keep", func() any { return []any{"0", "1", int32(1), true, ""}[r.IntN(5)] })
	set(6, "uid", oneOrMore(append([]string{"none", strings.Repeat("z", 300)}, uids[:5]...)))
	set(7, "activity_id", oneOrMore(ids))
	set(8, "project_id", oneOrMore(ids))
	set(9, "timestamp", func() any { return someRange(r, 1_700_000_000, 150) })
	set(10, "filesize", func() any { return someRange(r, 0, 8000) })
	set(11, "creation_time", func() any { return someRange(r, 1_600_000_000, 20_000) })
	if r.IntN(3) == 0 {
		q["order_by"] = []string{[]string{"+timestamp", "-timestamp", "+title", "-title", "+filesize", "-filesize", "+creation_time", "-creation_time"}[r.IntN(8)]}
	}
	if r.IntN(3) == 0 {
		q["limit"] = int32(r.IntN(30))
		q["offset"] = int32(r.IntN(40))
	}
	if r.IntN(20) == 0 {
		q["unknown"] = "key"
	}
	return q
}

func someRange(r *rand.Rand, from, length int32) any {
	a, b := from+r.Int32N(length), from+r.Int32N(length)
	switch r.IntN(6) {
	case 0:
		return a
	case 1:
		return []any{a, b}
	case 2:
		return map[string]any{"start": min(a, b), "end": max(a, b)}
	case 3:
		return map[string]any{"start": a}
	case 4:
		return []int32{a, b, from}
	}
	return []any{min(a, b), max(a, b)}
}

// someText is text as somebody types it, with all that Xapian knows.
func someText(r *rand.Rand, deep int) string {
	word := func() string { return words[r.IntN(len(words))] }
	var b strings.Builder
	for n := range 1 + r.IntN(4) {
		if n > 0 {
			b.WriteString([]string{" ", " ", " AND ", " OR ", " NOT ", " XOR ", " AND NOT ", " NEAR ", " NEAR/3 ", " ADJ ", " +", " -", "-", "/", "@"}[r.IntN(15)])
		}
		switch r.IntN(10) {
		case 0:
			fmt.Fprintf(&b, "%q", word()+" "+word())
		case 1:
			runes := []rune(word())
			b.WriteString(string(runes[:1+r.IntN(len(runes))]) + "*")
		case 2:
			b.WriteString([]string{"mime_type", "activity", "keep", "uid", "project_id", "activity_id", "title"}[r.IntN(7)] + ":" +
				[]string{word(), "1", "text", "png", `"text plain"`, "text/plain", "org.laptop.WebActivity", "(text OR image)", "te*"}[r.IntN(9)])
		case 3:
			if deep < 3 {
				b.WriteString("(" + someText(r, deep+1) + ")")
			}
		case 4:
			b.WriteString([]string{"+", "-", "\"", "(", ")", "*", "'", ":", ""}[r.IntN(9)] + word())
		default:
			b.WriteString(word())
		}
	}
	return b.String()
}

// texts are queries that somebody thought of.
var texts = []string{
	"", " ", "turtle", "Turtle*", "dibu*", "dibu* tur*", "NIÑO", "nin*", "*", "* turtle", "turtle*art", "a*", "1*",
	"turtle AND art", "turtle and art", "turtle OR art", "turtle NOT art", "NOT art", "turtle AND NOT art", "turtle XOR art", "turtle XOR art XOR my",
	"turtle AND", "AND turtle", "turtle OR OR art", "+turtle art", "+turtle -art", "-art", "turtle -art", "+ turtle", "- turtle", "turtle +",
	`"my drawing"`, `"drawing my"`, `"my drawing`, `""`, `" "`, `"my" "drawing"`, `my "of and" drawing`, `"my drawing" AND turtle`, `mime_type:"text plain"`,
	"(turtle OR art) AND my", "(turtle", "turtle)", "((turtle))", "()", "( )", "turtle AND (art OR (my NOT of))", "mime_type:(text OR image)",
	"mime_type:text/plain", "mime_type:text", "mime_type:tex*", "mime_type:", "mime_type: text", "keep:1", "keep:0 turtle", "title:turtle", "activity:org.laptop.WebActivity",
	"activity:WebActivity", "org.laptop.WebActivity", "laptop", "webactivity", "uid:0*", "AT&T", "at&t", "isn't", "isn’t", "isnt", "O'Brien", "o brien",
	"C++", "c++", "C#", "C", "c+", "c+++", "c++++", "U.N.C.L.E", "uncle", "u.n.c.l.e", "I.B.M", "ibm", "3.14", "3 14", "1,000", "1000", "10:30", "2026-11-25", "2026 11 25",
	"foo_bar", "foo bar", "_private", "private", "someone@example.org", "someone", "example.org", "http://laptop.org/a?b=c", "path/to/file", "x-y", "x--y", "x y",
	"مدرسة", "كتاب*", "١٢٣", "123", "قلم", "قَلَم", "ትምህርት", "መጽ*", "፩፪", "学校", "中*", "中文字", "漢字かな", "हिन्दी", "किताब*",
	"Straße", "STRASSE", "straße", "İstanbul", "istanbul", "ﬁne", "fine", "zerowidth", "zero\u200bwidth", "œuvre", "OEUVRE", "ÉTÉ", "ete",
	strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("y", 65), strings.Repeat("é", 32), strings.Repeat("é", 33), strings.Repeat("x", 300) + "*", strings.Repeat("x", 63) + "*",
	"turtle NEAR art", "turtle NEAR/2 art", "turtle ADJ art", "turtle ADJ/2 art", "a NEAR a", "turtle NEAR turtle", "my NEAR drawing NEAR turtle", "mime_type:text NEAR plain", "turtle art NEAR my",
	"turtle..art", "1..5", "a:b", "a::b", "~turtle", "turtle~2", "tur?le", "turtle^2", "\\", "\"\\\"", "!!!", "\x01", "a\x01b", "the AND of", "the of AND", "I", "i", "A", "AND", "OR", "and",
	"1700000000", "0", "1600000000", "100", "true", "private", "Amara", "ff0000", "12345", "PNG",
}
