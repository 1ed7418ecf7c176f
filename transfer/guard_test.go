package transfer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmcloughlin/md4"
)

// wire writes rsync's protocol 27, honest or not.
type wire struct{ bytes.Buffer }

func (w *wire) i32(ns ...int32) *wire {
	for _, n := range ns {
		binary.Write(&w.Buffer, binary.LittleEndian, n)
	}
	return w
}

func (w *wire) i64(n int64) *wire {
	if n >= 0 && n <= math.MaxInt32 {
		return w.i32(int32(n))
	}
	w.i32(-1)
	binary.Write(&w.Buffer, binary.LittleEndian, n)
	return w
}

// file is an entry of a file list.
func (w *wire) file(name string, mode int32, size int64) *wire {
	w.WriteByte(longName)
	w.i32(int32(len(name)))
	w.WriteString(name)
	return w.i64(size).i32(1, mode)
}

const (
	dirMode  = modeDir | 0o755
	fileMode = modeRegular | 0o644
	linkMode = 0o120777
)

func top() *wire { return new(wire).file(".", dirMode, 4096) }

// end ends a file list.
func (w *wire) end() *wire { w.WriteByte(0); return w.i32(0) }

// framed is the whole of what a sender says, its data in frames of n bytes.
func (w *wire) framed(n int) []byte {
	var out wire
	out.i32(27, 4711)
	for data := w.Bytes(); len(data) > 0; {
		part := data[:min(n, len(data))]
		data = data[len(part):]
		out.i32(int32(mplex<<24 | len(part)))
		out.Write(part)
	}
	return out.Bytes()
}

func (w *wire) text(s string) *wire { w.WriteString(s); return w }

var hostileSenders = map[string]struct {
	say  []byte
	kind Kind
	want string
}{
	"nothing":             {nil, Cut, "connection ended"},
	"garbage":             {[]byte(strings.Repeat("GET / HTTP/1.1\r\n", 10)), Refused, "protocol"},
	"old protocol":        {new(wire).i32(20, 0).Bytes(), Refused, "protocol 20"},
	"climbs":              {top().file("../evil", fileMode, 1).framed(100), Refused, `"../evil": not a name`},
	"climbs in the midst": {top().file("a/../../evil", fileMode, 1).framed(100), Refused, "not a name"},
	"absolute":            {top().file("/etc/passwd", fileMode, 1).framed(100), Refused, `"/etc/passwd": not a name`},
	"not clean":           {top().file("a//b", fileMode, 1).framed(100), Refused, "not a name"},
	"empty name":          {top().file("", fileMode, 1).framed(100), Refused, "not a name"},
	"NUL":                 {top().file("a\x00b", fileMode, 1).framed(100), Refused, `"a\x00b": not a name`},
	"long name":           {top().file(strings.Repeat("n", 5000), fileMode, 1).framed(100), Refused, "a name of 5000 bytes"},
	"negative name":       {new(wire).text("\x40").i32(-1).framed(100), Refused, "a name of -1 bytes"},
	"inherits too much":   {new(wire).text("\x20\xff\x01x").framed(100), Refused, "from the name before"},
	"link":                {top().file("link", linkMode, 1).framed(100), Refused, `"link": neither a file nor a folder`},
	"device":              {top().file("null", 0o020666, 0).framed(100), Refused, `"null": neither`},
	"pipe":                {top().file("fifo", 0o010666, 0).framed(100), Refused, `"fifo": neither`},
	"socket":              {top().file("sock", 0o140666, 0).framed(100), Refused, `"sock": neither`},
	"setuid":              {top().file("su", modeRegular|0o4755, 0).framed(100), Refused, `"su": mode 104755`},
	"negative mode":       {top().file("x", -1, 0).framed(100), Refused, `"x": `},
	"negative size":       {top().file("x", fileMode, -5).framed(100), Refused, "a size of -5"},
	"1 TB":                {top().file("x", fileMode, 1<<40).framed(100), Refused, `"x": 1099511627776 bytes are more`},
	"sum of sizes":        {top().file("x", fileMode, 6<<20).file("y", fileMode, 6<<20).framed(100), Refused, `"y": 6291456 bytes are more`},
	"sizes that overflow": {top().file("x", fileMode, math.MaxInt64).framed(100), Refused, "are more"},
	"twice":               {top().file("x", fileMode, 1).file("x", fileMode, 1).framed(100), Refused, "out of order or twice"},
	"out of order":        {top().file("y", fileMode, 1).file("x", fileMode, 1).framed(100), Refused, "out of order or twice"},
	"no top":              {new(wire).file("x", fileMode, 1).framed(100), Refused, "out of order or twice"},
	"top is a file":       {new(wire).file(".", fileMode, 1).framed(100), Refused, "not a folder"},
	"not allowed":         {top().file("forbidden", fileMode, 1).framed(100), Refused, `"forbidden": is forbidden`},
	"file below a file":   {top().file("x", fileMode, 1).file("x/y", fileMode, 1).framed(100), Refused, `"x/y": in a folder that is not listed`},
	"below nothing":       {top().file("x/y", fileMode, 1).framed(100), Refused, `"x/y": in a folder that is not listed`},
	"unknown message":     {append(new(wire).i32(27, 1).Bytes(), 0, 0, 0, 99), Refused, "unknown kind"},
	"error message":       {append(new(wire).i32(27, 1).i32(8<<24|4).Bytes(), "oops"...), Failed, `the other side failed: "oops"`},
	"file of none":        {top().end().i32(0x7fffffff).framed(100), Refused, "file 2147483647 of 1"},
	"file -7":             {top().end().i32(-7).framed(100), Refused, "file -7 of 1"},
	"a folder's data":     {top().end().i32(0).framed(100), Refused, `".": a folder`},
	"more than announced": {top().file("x", fileMode, 3).end().i32(1, 0, 700, 16, 0, 4).text("evil").framed(100), Refused, `"x": more than the 3 bytes`},
	"2 GB at once":        {top().file("x", fileMode, 3).end().i32(1, 0, 700, 16, 0, math.MaxInt32).framed(100), Refused, "2147483647 bytes at once"},
	"blocks":              {top().file("x", fileMode, 3).end().i32(1, math.MaxInt32).framed(100), Refused, "2147483647 blocks"},
	"block size":          {top().file("x", fileMode, 3).end().i32(1, 1, 1<<29).framed(100), Refused, "536870912 bytes a block"},
	"sum size":            {top().file("x", fileMode, 3).end().i32(1, 1, 700, 99).framed(100), Refused, "99 bytes a sum"},
	"block of none":       {top().file("x", fileMode, 3).end().i32(1, 1, 700, 16, 0, -9).framed(100), Refused, "block 8 of 1"},
	"block that is large": {top().file("x", fileMode, 3).end().i32(1, 1, 700, 16, 0, -1).framed(100), Refused, "more than the 3 bytes"},
	"no such block":       {top().file("x", fileMode, 700).end().i32(1, 1, 700, 16, 0, -1).framed(100), Failed, ""},
	"wrong sum":           {top().file("x", fileMode, 1).end().i32(1, 0, 700, 16, 0, 1).text("x").i32(0).text(strings.Repeat("s", 16)).framed(100), Failed, "corruption"},
	"sent twice": {top().file("x", fileMode, 0).end().i32(1, 0, 700, 16, 0, 0).text(emptySum).
		i32(1, 0, 700, 16, 0, 0).text(emptySum).framed(100), Refused, "sent twice"},
}

// emptySum is the sum of nothing by the seed that framed gives.
var emptySum = func() string {
	h := md4.New()
	binary.Write(h, binary.LittleEndian, int32(4711))
	return string(h.Sum(nil))
}()

func TestHostileSender(t *testing.T) {
	for name, c := range hostileSenders {
		t.Run(name, func(t *testing.T) {
			outer := t.TempDir()
			to := filepath.Join(outer, "to")
			if err := os.Mkdir(to, 0o755); err != nil {
				t.Fatal(err)
			}
			p := start(t, Job{Receive: to, Delete: true, Limits: Limits{Total: 10 << 20}})
			_, err := p.Run(t.Context(), bytes.NewReader(c.say), io.Discard)
			wantError(t, err, c.kind, c.want)
			if got := snapshot(t, outer); len(got) > 3 { // ".", "to", and perhaps a half file
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

func wantError(t *testing.T, err error, kind Kind, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Message, text) {
		t.Errorf("got error %#v, want kind %s with %q", err, kind, text)
	}
}

// TestMillionFiles: the list is refused while it comes, not when it is over.
func TestMillionFiles(t *testing.T) {
	p := start(t, Job{Receive: t.TempDir(), Limits: Limits{Files: 1000}})
	endless := &endlessList{next: top()}
	_, err := p.Run(t.Context(), endless, io.Discard)
	wantError(t, err, Refused, "more than 1000 files")
}

// endlessList is a sender that lists empty files for ever.
type endlessList struct {
	begun bool
	n     int32
	next  *wire
	out   bytes.Reader
}

func (e *endlessList) Read(p []byte) (int, error) {
	if e.out.Len() == 0 {
		for range 100 {
			e.n++
			e.next.file(fmt.Sprintf("%08x", e.n), fileMode, 0)
		}
		said := e.next.framed(1 << 15)
		if e.begun {
			said = said[8:]
		}
		e.begun, e.next = true, new(wire)
		e.out.Reset(said)
	}
	return e.out.Read(p)
}

// TestCutAnywhere: however little of an honest transfer arrives, it is not taken
// for all of it.
func TestCutAnywhere(t *testing.T) {
	said := honest().framed(7)
	for n := range len(said) {
		g := newGuardReceive(bytes.NewReader(said[:n]), nil, Limits{}.withDefaults(), func(*list, bool) error { return nil })
		_, err := io.Copy(io.Discard, g)
		if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != Cut {
			t.Errorf("%d of %d bytes: %v", n, len(said), err)
		}
	}
	g := newGuardReceive(bytes.NewReader(said), nil, Limits{}.withDefaults(), func(*list, bool) error { return nil })
	if _, err := io.Copy(io.Discard, g); err != nil {
		t.Error(err)
	}
}

// honest is a transfer of one file of three bytes, without its sum being right.
func honest() *wire {
	return top().file("x", fileMode, 3).end().i32(1, 0, 700, 16, 0, 3).text("abc").i32(0).
		text(strings.Repeat("s", 16)).i32(-1, -1).i64(1).i64(1 << 40).i64(3)
}

// TestFramesPass: whatever the frames are like, the same comes out.
func TestFramesPass(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 64, 1 << 20} {
		g := newGuardReceive(bytes.NewReader(honest().framed(n)), nil, Limits{}.withDefaults(), func(*list, bool) error { return nil })
		out, err := io.ReadAll(g)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(&frames{r: bufio.NewReader(bytes.NewReader(out[8:]))}) // behind the handshake
		if err != nil || !bytes.Equal(rest, honest().Bytes()) {
			t.Errorf("frames of %d: %v, got %q", n, err, rest)
		}
	}
}

func TestFollows(t *testing.T) {
	order := []string{"", ".", "a", "a/a", "a/a/a", "a/b", "a-b", "a.b", "a.b/c", "ab", "b", "b/a"}
	for i, a := range order {
		for j, b := range order {
			if got := follows(a, b); got != (i < j && (i > 0 || j == 1)) {
				t.Errorf("follows(%q, %q) = %v", a, b, got)
			}
		}
	}
}
