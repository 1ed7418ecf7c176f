package xs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// rsync is what a peer says in protocol 27, honest or not.
type rsync struct{ bytes.Buffer }

func (r *rsync) i32(ns ...int32) *rsync {
	for _, n := range ns {
		r.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	}
	return r
}

// file is an entry of a sender's list.
func (r *rsync) file(name string, mode int32, size int64) *rsync {
	r.WriteByte(0x40)
	r.i32(int32(len(name)))
	r.WriteString(name)
	if size > math.MaxInt32 {
		r.i32(-1, int32(size), int32(size>>32))
	} else {
		r.i32(int32(size))
	}
	return r.i32(1, mode)
}

// end ends a list.
func (r *rsync) end() *rsync { r.WriteByte(0); return r.i32(0) }

func (r *rsync) text(s string) *rsync { r.WriteString(s); return r }

// send writes all of it as a sender does: a handshake, then frames.
func (r *rsync) send(w io.Writer) {
	w.Write(new(rsync).i32(27, 1).Bytes())
	r.frames(w)
}

func (r *rsync) frames(w io.Writer) error {
	var out rsync
	for data := r.Bytes(); len(data) > 0; {
		n := min(4000, len(data))
		out.i32(int32(7<<24 | n))
		out.Write(data[:n])
		data = data[n:]
	}
	_, err := w.Write(out.Bytes())
	return err
}

const (
	rFile, rDir, rLink          = 0o100644, 0o040755, 0o120777
	rChar, rBlock, rPipe, rSock = 0o020644, 0o060644, 0o010644, 0o140644
)

// assail says what say says in a session that the school has answered pull,
// and answers what it makes of it.
func (b *bed) assail(say func(io.Writer)) *wire.Refusal {
	b.t.Helper()
	e := b.announce(wire.BackupRequest{Version: wire.Version, Digest: strings.Repeat("0", 64), Files: 1, Entries: 1, Bytes: 1})
	defer e.Close()
	go io.Copy(io.Discard, e.out)
	go func() {
		say(e.in)
		e.in.Close()
	}()
	r, err := e.end()
	if err != nil {
		b.t.Fatal(err)
	}
	if r.Snapshot != nil {
		b.t.Errorf("taken: %+v", r.Snapshot)
	}
	return r.Error
}

// An XO that speaks rsync with its own tongue is told what is wrong, and nothing
// changes but its own current.
func TestHostileTree(t *testing.T) {
	const most = 50_000 // under the race detector 200,000 take more memory than a child has
	b := newBed(t, func(c *Config) { c.MaxFiles = most })
	outside := filepath.Dir(b.root)
	canary := filepath.Join(outside, "canary")
	if err := os.WriteFile(canary, []byte("sings"), 0o644); err != nil {
		t.Fatal(err)
	}
	good, otherKey := journal(t, 5), newKey(t)
	if o := b.backup(b.client(), good); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	other := b.register("SHC00000002", "u2", otherKey.PublicKey())
	oc, err := b.dial(other, otherKey)
	if err != nil {
		t.Fatal(err)
	}
	defer oc.Close()
	if o := b.backup(oc, journal(t, 4)); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	own := "root/" + b.account + "/current"
	before := listing(t, outside, own)

	id := strings.Repeat("0", 36)
	data := "0/" + id + ".data"
	top := func() *rsync { return new(rsync).file(".", rDir, 0) }
	in := func() *rsync { return top().file("0", rDir, 0) }
	one := func(size int64) *rsync { return in().file(data, rFile, size).end() } // file 2 of 3
	not := func(name, why string) string { return fmt.Sprintf("%q: %s", name, why) }
	for name, c := range map[string]struct {
		say  *rsync
		want string
	}{
		"climbs":           {top().file("../x", rFile, 1), not("../x", "not a name")},
		"climbs to folder": {top().file("..", rDir, 0), not("..", "not a name")},
		"climbs inside":    {in().file("0/../../x", rFile, 1), not("0/../../x", "not a name")},
		"to a neighbour":   {top().file("../../"+other+"/account.json", rFile, 1), not("../../"+other+"/account.json", "not a name")},
		"to the server":    {top().file("../../.xs/x", rFile, 1), not("../../.xs/x", "not a name")},
		"to the canary":    {top().file("../../../canary", rFile, 1), not("../../../canary", "not a name")},
		"absolute":         {top().file("/x", rFile, 1), not("/x", "not a name")},
		"NUL":              {in().file("0/"+id[:35]+"\x00.data", rFile, 1), not("0/"+id[:35]+"\x00.data", "not a name")},
		"NUL at the end":   {in().file(data+"\x00", rFile, 1), not(data+"\x00", "not a name")},
		"control":          {in().file("0/"+id[:35]+"\n.data", rFile, 1), `00\n.data": `},
		"4 kB":             {top().file(strings.Repeat("n", 4<<10), rFile, 1), "a name of 4096 bytes"},
		"no uid":           {in().file("0/passwd", rFile, 1), not("0/passwd", "no such file belongs")},
		"hidden":           {top().file(".ssh", rDir, 0), not(".ssh", "no such file belongs")},
		"link":             {in().file(data, rLink, 10), not(data, "neither a file nor a folder")},
		"folder's link":    {top().file("0", rLink, 4), not("0", "neither a file nor a folder")},
		"char device":      {in().file(data, rChar, 0), not(data, "neither a file nor a folder")},
		"block device":     {in().file(data, rBlock, 0), not(data, "neither a file nor a folder")},
		"pipe":             {in().file(data, rPipe, 0), not(data, "neither a file nor a folder")},
		"socket":           {in().file(data, rSock, 0), not(data, "neither a file nor a folder")},
		"setuid":           {in().file(data, 0o104755, 1), not(data, "mode 104755")},
		"writable":         {top().file("0", 0o040777, 0), not("0", "its mode is")},
		"1 TB":             {in().file(data, rFile, 1<<40), not(data, "1099511627776 bytes are more than")},
		"negative":         {in().file(data, rFile, -5), not(data, "a size of -5")},
		"of no folder":     {top().file(data, rFile, 1), not(data, "in a folder that is not listed")},
		"file's file":      {in().file(data, rFile, 1).file(data+"/x", rFile, 1), not(data+"/x", "in a folder that is not listed")},
		"twice":            {in().file(data, rFile, 1).file(data, rFile, 1), not(data, "listed after")},
		"file 7":           {one(3).i32(7), "file 7 of 3"},
		"file -7":          {one(3).i32(-7), "file -7 of 3"},
		"folder's data":    {one(3).i32(1), not("0", "a folder")},
		"too much":         {one(3).i32(2, 0, 700, 16, 0, 4).text("evil"), not(data, "more than the 3 bytes")},
		"2 GB at once":     {one(3).i32(2, 0, 700, 16, 0, math.MaxInt32), not(data, "2147483647 bytes at once")},
		"no such block":    {one(3).i32(2, 1, 700, 16, 0, -9), not(data, "block 8 of 1")},
	} {
		t.Run(name, func(t *testing.T) {
			refusedAs(t, b.assail(c.say.send), wire.RefusedInput, c.want)
		})
	}
	t.Run("a million", func(t *testing.T) {
		refusedAs(t, b.assail(million), wire.RefusedInput, not("0/"+fmt.Sprintf("%036d", most-2)+".data", "more than 50000 files"))
	})
	if diff := differ(before, listing(t, outside, own)); diff != "" {
		t.Errorf("not only its own current has changed:%s", diff)
	}
	writeEntry(t, good, 9, "goes on", nil)
	if o := b.backup(b.client(), good); o.refusal != nil {
		t.Errorf("%+v", o.refusal)
	}
}

// million lists as many empty files, or as many as the school wants to hear of.
func million(w io.Writer) {
	new(rsync).file(".", rDir, 0).file("0", rDir, 0).send(w)
	var some rsync
	for i := range 1_000_000 {
		some.file(fmt.Sprintf("0/%036d.data", i), rFile, 0)
		if some.Len() > 1<<16 {
			if some.frames(w) != nil {
				return
			}
			some.Reset()
		}
	}
	some.end().frames(w)
}

// listing is what is in dir, names, modes, sizes and contents, but for what is
// in the folder except.
func listing(t testing.TB, dir, except string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if rel == except {
			return fs.SkipDir
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		all[rel] = fi.Mode().String()
		switch {
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(name)
			all[rel] += fmt.Sprintf(" %d %x", fi.Size(), sha256.Sum256(b))
			return err
		case fi.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(name)
			all[rel] += " " + to
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// differ answers the lines by which two listings differ.
func differ(before, after map[string]string) string {
	var diff strings.Builder
	for name, was := range before {
		if after[name] != was {
			fmt.Fprintf(&diff, "\n%s: %s, now %s", name, was, after[name])
		}
	}
	for name, is := range after {
		if _, ok := before[name]; !ok {
			fmt.Fprintf(&diff, "\n%s: new, %s", name, is)
		}
	}
	return diff.String()
}

// deadly is a name that kills the child which reads it, as a panic of gokrazy's
// would.
const deadly = "deadly"

// allow is the server's own, but for that.
func allow(name string, dir bool, size int64, perm fs.FileMode) error {
	if name == deadly {
		panic("a hostile peer")
	}
	return datastore.CheckFile(name, dir, size, perm)
}

// What a hostile XO brings on itself, and be it that its child at the server
// dies, another one's backup that runs at the same time does not notice.
func TestHostileNeighbour(t *testing.T) {
	b := newBed(t)
	dir := journal(t, 5)
	if o := b.backup(b.client(), dir); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	request := func(index int32) []byte { return new(rsync).i32(27, 0, index, 0, 0, 0, 0).Bytes() }
	top := func() *rsync { return new(rsync).file(".", rDir, 0) }
	restore := func(say []byte) func() *wire.Refusal {
		return func() *wire.Refusal { return b.fetch("snapshots/latest", say) }
	}
	n := 2
	for name, c := range map[string]struct {
		attack func() *wire.Refusal
		want   string
	}{
		"sender":       {func() *wire.Refusal { return b.assail(top().end().i32(math.MaxInt32).send) }, "file 2147483647 of 1"},
		"sender kills": {func() *wire.Refusal { return b.assail(top().file(deadly, rFile, 1).send) }, "broke rsync's protocol: a hostile peer"},
		"receiver":     {restore(request(math.MaxInt32)), "a request for file 2147483647"},
		"negative":     {restore(request(-7)), "a request for file -7"},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			other, err := b.dial(b.register(fmt.Sprintf("SHC%08d", n), fmt.Sprintf("u%d", n), key.PublicKey()), key)
			n++
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			theirs := journal(t, 8)
			begun, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan outcome, 1)
			go func() {
				o, err := b.tryBackupThrough(t.Context(), other, theirs, func(w io.Writer) io.Writer { return &gate{w, begun, goOn} })
				if err != nil {
					t.Error(err)
				}
				ended <- o
			}()
			<-begun
			refusedAs(t, c.attack(), wire.RefusedInput, c.want)
			close(goOn)
			if o := <-ended; o.refusal != nil || o.snapshot == nil || o.snapshot.Digest != sums(t, theirs).Digest() {
				t.Errorf("the other one: %+v", o)
			}
			if o := b.backup(b.client(), dir); !o.confirmed {
				t.Errorf("its own next: %+v", o)
			}
		})
	}
}

// fetch says what say is in a restore, and answers what the school makes of it.
func (b *bed) fetch(path string, say []byte) *wire.Refusal {
	b.t.Helper()
	e := b.exec(b.client(), "restore "+path)
	defer e.Close()
	if a, err := e.ask(wire.RestoreRequest{Version: wire.Version}); err != nil || a.Error != nil {
		b.t.Fatalf("%+v %v", a, err)
	}
	go io.Copy(io.Discard, e.out)
	if _, err := e.in.Write(say); err != nil {
		b.t.Fatal(err)
	}
	r, err := e.end()
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Error
}

// gate lets the first bytes through, says so, and waits before it takes more.
type gate struct {
	io.Writer
	begun, goOn chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	n, err := g.Writer.Write(p)
	select {
	case <-g.begun:
	default:
		close(g.begun)
	}
	<-g.goOn
	return n, err
}
