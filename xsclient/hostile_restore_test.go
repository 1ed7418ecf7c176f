package xsclient

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

// attack is what a school does that no school should, and what it must come to.
type attack struct {
	do   func(*school)
	code Code
	want string // in the error, for the log
}

// withstand runs both kinds of restore against each attack: the Journal, all
// around it and the next backup must not notice.
func withstand(t *testing.T, attacks map[string]attack) {
	t.Helper()
	withstandIn(t, []RestoreOptions{{}, {Replace: true}}, attacks)
}

func withstandIn(t *testing.T, ways []RestoreOptions, attacks map[string]attack) {
	t.Helper()
	old, _ := rawJournal(t, 3, 1)
	mine, _ := rawJournal(t, 2, 2)
	s := newSchool(t, old)
	p := newPupil(t, s, mine)
	before, honest := listing(t, p.journal), s.acts
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			p.t = t
			s.peer.set(func() { s.acts = honest })
			a.do(s)
			for _, opts := range ways {
				_, err := p.Restore(t.Context(), opts, p.progress)
				e := wantCode(t, err, a.code)
				if !strings.Contains(e.Error(), a.want) {
					t.Errorf("%v, want %q", e, a.want)
				}
				p.unharmed(before, false)
			}
		})
	}
}

func TestHostileSnapshots(t *testing.T) {
	attacks := map[string]attack{}
	for _, id := range []string{
		"", ".", "..", "../../x", "latest", "2026-11-23T21-30-05Z/..", "2026-11-23T21-30-05Z\n", "2026-11-23 21:30",
		"2026-02-30T21-30-05Z", "\x1b[2J", "\x00", strings.Repeat("9", 4<<10), "2026-11-23T21-30-05Z; rm -rf /",
	} {
		attacks["id "+fmt.Sprintf("%.20q", id)] = attack{func(s *school) { s.snap.ID = id }, ServerUnavailable, "a snapshot called"}
	}
	attacks["negative"] = attack{func(s *school) { s.snap.Entries = -1 }, ServerUnavailable, "of -1 entries"}
	attacks["none"] = attack{func(s *school) { s.snapshots = []wire.Snapshot{} }, NoSnapshot, ""}
	withstand(t, attacks)
}

func TestHostileEntries(t *testing.T) {
	raw := func(text string) func(*school) {
		return func(s *school) { s.list = func(w io.Writer) { io.WriteString(w, text) } }
	}
	each := func(change func(*wire.Entry)) func(*school) {
		return func(s *school) { s.list = func(w io.Writer) { s.listed(w, change) } }
	}
	uid := func(id string) func(*school) { return each(func(e *wire.Entry) { e.UID = id }) }
	size := func(n int64) func(*school) { return each(func(e *wire.Entry) { e.Size = n }) }
	version := func(v string) func(*school) { return each(func(e *wire.Entry) { e.Version = v }) }
	withstand(t, map[string]attack{
		"climbs":         {uid("../../x"), ServerUnavailable, `an entry called "../../x"`},
		"climbs, 36":     {uid("../../../../../../../../../../../../"), ServerUnavailable, "an entry called"},
		"NUL":            {uid(strings.Repeat("0", 35) + "\x00"), ServerUnavailable, "an entry called"},
		"newline":        {uid(strings.Repeat("0", 35) + "\n"), ServerUnavailable, "an entry called"},
		"empty":          {uid(""), ServerUnavailable, `an entry called ""`},
		"4 kB":           {uid(strings.Repeat("0", 4<<10)), ServerUnavailable, "an entry called"},
		"twice":          {uid(strings.Repeat("0", 36)), ServerUnavailable, "twice"},
		"negative":       {size(-1), ServerUnavailable, "size -1"},
		"most negative":  {size(math.MinInt64), ServerUnavailable, "size -9"},
		"1 TB":           {size(1 << 40), ServerUnavailable, "size 1099511627776"},
		"overflows":      {size(math.MaxInt64), ServerUnavailable, "size 9"},
		"overflows by 2": {size(math.MaxInt64/2 + 1), ServerUnavailable, "size 4"},
		"no version":     {version(""), ServerUnavailable, `version ""`},
		"long version":   {version(strings.Repeat("0", 65)), ServerUnavailable, "version"},
		"one too many": {func(s *school) {
			s.list = func(w io.Writer) {
				s.listed(w, func(*wire.Entry) {})
				wire.WriteLine(w, wire.Entry{UID: strings.Repeat("0", 36), Version: strings.Repeat("0", 64)})
			}
		}, ServerUnavailable, "4 entries in the list"},
		"damaged, climbs": {each(func(e *wire.Entry) { *e = wire.Entry{UID: "../../x", Damaged: "x"} }), ServerUnavailable, "an entry called"},
		"not JSON":        {raw("hello\n"), ServerUnavailable, "entry 0"},
		"wrong type":      {raw("[]\n"), ServerUnavailable, "entry 0"},
		"cut":             {raw(`{"uid":`), ServerUnavailable, ""},
		"size in words":   {raw(`{"size":"1 TB"}` + "\n"), ServerUnavailable, "entry 0"},
		"no end of line":  {raw(strings.Repeat("x", wire.MaxLine+100)), ServerUnavailable, "longer than 1 MiB"},
	})
}

// A list without an end costs the laptop no more memory than a large one.
func TestEndlessEntries(t *testing.T) {
	withstandIn(t, []RestoreOptions{{}}, map[string]attack{"": {func(s *school) {
		s.list = func(w io.Writer) {
			b := bufio.NewWriter(w)
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(b, `{"uid":"%036d","version":"%064d"}`+"\n", i, i); err != nil {
					return
				}
			}
		}
	}, ServerUnavailable, "more than 65536 entries"}})
}

func TestHostilePath(t *testing.T) {
	attacks := map[string]attack{}
	for _, path := range []string{
		"snapshots/x\nbackup", "snapshots/a b", "x;\trm", "; rm -rf /", "\x00", "snapshots/é", strings.Repeat("a", 1<<20),
	} {
		attacks[fmt.Sprintf("%.20q", path)] = attack{func(s *school) { s.path = path }, ServerUnavailable, "as the path of a restore"}
	}
	withstand(t, attacks)
}

// rsync is what a sender says in protocol 27, honest or not.
type rsync struct{ bytes.Buffer }

func (r *rsync) i32(ns ...int32) *rsync {
	for _, n := range ns {
		binary.Write(&r.Buffer, binary.LittleEndian, n)
	}
	return r
}

func (r *rsync) file(name string, mode int32, size int64) *rsync {
	r.WriteByte(0x40)
	r.i32(int32(len(name)))
	r.WriteString(name)
	if size > math.MaxInt32 {
		r.i32(-1)
		binary.Write(&r.Buffer, binary.LittleEndian, size)
	} else {
		r.i32(int32(size))
	}
	return r.i32(1, mode)
}

// framed is all of it, in frames of 4,000 bytes.
func (r *rsync) framed() []byte {
	var out rsync
	out.i32(27, 1)
	for data := r.Bytes(); len(data) > 0; {
		n := min(4000, len(data))
		out.i32(int32(7<<24 | n))
		out.Write(data[:n])
		data = data[n:]
	}
	return out.Bytes()
}

func TestHostileTree(t *testing.T) {
	const file, dir = 0o100644, 0o040755
	id := strings.Repeat("0", 36)
	top := func() *rsync { return new(rsync).file(".", dir, 0) }
	in := func() *rsync { return top().file("0", dir, 0) }
	many := in()
	for i := range 50_000 { // it is refused long before
		many.file(fmt.Sprintf("0/00%034d.data", i), file, 0)
	}
	attacks := map[string]attack{}
	for name, c := range map[string]struct {
		say  *rsync
		want string
	}{
		"climbs":         {top().file("../../precious", file, 1), "../../precious"},
		"absolute":       {top().file("/tmp/precious", file, 1), "/tmp/precious"},
		"of no tree":     {top().file("precious", file, 1), "precious"},
		"link":           {in().file("0/"+id+".data", 0o120777, 1), "neither a file nor a folder"},
		"folder's link":  {top().file("0", 0o120777, 1), "neither a file nor a folder"},
		"device":         {in().file("0/"+id+".data", 0o020644, 0), "neither a file nor a folder"},
		"setuid":         {in().file("0/"+id+".data", 0o104755, 1), "mode"},
		"wrong mode":     {in().file("0/"+id+".data", 0o100600, 1), "mode"},
		"writable":       {top().file("0", 0o040777, 0), "mode"},
		"folder of file": {in().file("0/"+id+".data", dir, 0), "folder"},
		"1 TB":           {in().file("0/"+id+".data", file, 1<<40), "1099511627776 bytes"},
		"a million":      {many, "more than"},
		"garbage":        {nil, "protocol"},
	} {
		raw := []byte(strings.Repeat("GET / HTTP/1.1\r\n", 20))
		if c.say != nil {
			raw = c.say.framed()
		}
		attacks[name] = attack{func(s *school) { s.restore = s.say(raw) }, ServerRefused, c.want}
	}
	withstand(t, attacks)
}

// An answer that is none, and one that does not come.
func TestHostileAnswer(t *testing.T) {
	answer := func(text string) func(*school) {
		return func(s *school) {
			s.restore = func(ch ssh.Channel, _ *bufio.Reader, _ wire.RestoreRequest) { io.WriteString(ch, text) }
		}
	}
	withstand(t, map[string]attack{
		"pull":            {answer(`{"version":2,"action":"pull"}` + "\n"), ServerUnavailable, `action "pull"`},
		"another version": {answer(`{"version":3,"action":"send"}` + "\n"), ServerUnavailable, "version 3"},
		"not JSON":        {answer("hello\n"), ServerUnavailable, "invalid character"},
		"no end":          {answer(strings.Repeat("x", wire.MaxLine+100)), ServerUnavailable, "longer than 1 MiB"},
		"nothing":         {answer(""), ServerUnavailable, ""},
		"busy":            {answer(`{"version":2,"error":{"code":"busy","message":"m","retry_after":9}}` + "\n"), ServerBusy, "m"},
		"refused":         {answer(`{"version":2,"error":{"code":"input","message":"m\u0000\n"}}` + "\n"), ServerRefused, "m"},
		"of no kind":      {answer(`{"version":2,"error":{"code":"\u001b[2J"}}` + "\n"), Failed, "did not say why"},
	})
}
