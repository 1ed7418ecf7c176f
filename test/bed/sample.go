package bed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Sample is an entry as an activity would hand it to the datastore.
type Sample struct {
	Props map[string][]byte
	Data  []byte // nil: no file
}

// Samples answers n varied entries, the same ones for the same seed: titles in
// several scripts, previews, tags, buddies, empty values, entries without a
// file, texts, pictures, doubles, and one file of more than one part.
func Samples(n int, seed uint64) []Sample {
	r := rand.New(rand.NewPCG(seed, 20061116))
	samples := make([]Sample, n)
	for i := range samples {
		samples[i] = sample(r, i)
	}
	if n >= 20 {
		// An optimizer's delight: the datastore links these two to one inode.
		samples[n/2].Data = samples[n/3].Data
		samples[n/2].Props["mime_type"] = samples[n/3].Props["mime_type"]
		big := make([]byte, 9<<20+123)
		fill(r, big)
		samples[n-1].Data = big
		samples[n-1].Props["mime_type"] = []byte("video/ogg")
	}
	return samples
}

var titles = []string{
	"My drawing", "Mi dibujo número %d", "Меніњ суретім %d", "Рисунок %d", "我的图画 %d", "ورقتي %d", "रेखाचित्र %d", "ሥዕል %d",
	"Iyo \"foto\" ya %d", "A tale of \\ and /, part %d", "🐢 Turtle %d", "%d", " spaces around ", "two\nlines\tand a tab", "ឯកសារ %d",
}

var activities = []struct{ id, mime string }{
	{"org.laptop.AbiWordActivity", "application/vnd.oasis.opendocument.text"},
	{"org.laptop.Oficina", "image/png"},
	{"org.laptop.RecordActivity", "image/jpeg"},
	{"org.laptop.TurtleArtActivity", "application/x-turtle-art"},
	{"org.laptop.Calculate", "application/json"},
	{"org.laptop.WebActivity", "text/uri-list"},
	{"", "text/plain"},
}

var buddies = []string{"Amara", "José", "Айгүл", "李明", "فاطمة", "Priya"}

func sample(r *rand.Rand, i int) Sample {
	activity := activities[r.IntN(len(activities))]
	created := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).Unix() + int64(r.IntN(200*86400))
	title := titles[r.IntN(len(titles))]
	if strings.Contains(title, "%d") {
		title = fmt.Sprintf(title, i)
	}
	props := map[string][]byte{}
	set := func(name, value string) { props[name] = []byte(value) }
	set("title", title)
	set("title_set_by_user", strconv.Itoa(r.IntN(2)))
	set("activity", activity.id)
	set("activity_id", fmt.Sprintf("%040x", r.Uint64()))
	set("mime_type", activity.mime)
	set("keep", strconv.Itoa(r.IntN(5)/4))
	set("timestamp", strconv.FormatInt(created+int64(r.IntN(86400)), 10))
	set("creation_time", strconv.FormatInt(created, 10))
	set("mtime", time.Unix(created, 0).UTC().Format("2006-01-02T15:04:05"))
	set("icon-color", fmt.Sprintf("#%06X,#%06X", r.IntN(1<<24), r.IntN(1<<24)))
	set("share-scope", []string{"private", "public", ""}[r.IntN(3)])
	set("tags", strings.Repeat("#escuela río ", r.IntN(4)))
	set("description", strings.Repeat("Lorem ipsum, ¿qué tal? ", r.IntN(6)))
	set("buddies", friends(r))
	set("spent-times", series(r, 600))
	set("launch-times", series(r, 1_800_000_000))
	set("comments", "[]")
	switch r.IntN(10) {
	case 0: // never seen on a screen
	case 1:
		set("preview", "")
	default:
		props["preview"] = preview(r)
	}
	s := Sample{Props: props}
	switch r.IntN(8) {
	case 0: // no file at all: a chat, a visited page
	case 1:
		s.Data = []byte{}
	case 2, 3, 4:
		s.Data = []byte(strings.Repeat(title+"\n", 1+r.IntN(200)))
	case 5:
		s.Data = preview(r)
	default:
		s.Data = make([]byte, 1+r.IntN(60_000))
		fill(r, s.Data)
	}
	return s
}

// friends is the JSON that Sugar keeps of those who took part.
func friends(r *rand.Rand) string {
	with := map[string][2]string{}
	for range r.IntN(4) {
		with[fmt.Sprintf("%040x", r.Uint64())] = [2]string{buddies[r.IntN(len(buddies))], "#FF8F00,#00588C"}
	}
	if len(with) == 0 {
		return ""
	}
	b, _ := json.Marshal(with)
	return string(b)
}

func series(r *rand.Rand, below int) string {
	words := make([]string, 1+r.IntN(8))
	for i := range words {
		words[i] = strconv.Itoa(r.IntN(below))
	}
	return strings.Join(words, ", ")
}

// preview is a PNG of some kB, as the shell takes them of activities.
func preview(r *rand.Rand) []byte {
	picture := image.NewPaletted(image.Rect(0, 0, 150, 112), color.Palette{
		color.White, color.Black, color.RGBA{0xFF, 0x2B, 0x34, 0xFF}, color.RGBA{0, 0xA0, 0xFF, 0xFF},
	})
	for range 60 + r.IntN(200) {
		x, y, c := r.IntN(140), r.IntN(104), uint8(r.IntN(4))
		for dx := range 10 {
			picture.SetColorIndex(x+dx, y+r.IntN(8), c)
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, picture)
	return b.Bytes()
}

// fill fills b with noise.
func fill(r *rand.Rand, b []byte) {
	for len(b) >= 8 {
		v := r.Uint64()
		for i := range 8 {
			b[i] = byte(v >> (8 * i))
		}
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}
