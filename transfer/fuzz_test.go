package transfer

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gokrazy/rsync/rsyncclient"
)

// FuzzGuard lets gokrazy's client have whatever the guard lets through. In this
// process: a panic of gokrazy's is a failure here.
func FuzzGuard(f *testing.F) {
	for _, c := range hostileSenders {
		f.Add(c.say)
	}
	f.Add(honest().framed(5))
	f.Add(top().file("a", dirMode, 4096).file("a/b", fileMode, 5).file("c", fileMode, 1<<20).end().
		i32(2, 0, 700, 16, 0, 5).text("hello").i32(0).text(strings.Repeat("s", 16)).framed(9))
	f.Fuzz(func(t *testing.T, said []byte) {
		to := t.TempDir()
		root, err := os.OpenRoot(to)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		limits := Limits{Files: 50, Total: 1 << 20}.withDefaults()
		g := newGuardReceive(bytes.NewReader(said), nil, limits, func(l *list, incomplete bool) error {
			for i := range l.entries {
				if name := l.name(&l.entries[i]); path.Clean(name) != name || strings.HasPrefix(name, "../") || strings.HasPrefix(name, "/") {
					t.Errorf("passed: %q", name)
				}
			}
			_, err := tidy(root, l, !incomplete)
			return err
		})
		client, err := rsyncclient.New([]string{"-rtp"}, rsyncclient.DontRestrict(), rsyncclient.WithStderr(io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Run(t.Context(), readWriter{g, io.Discard}, []string{to}); err == nil && g.err != nil && !errors.Is(g.err, io.EOF) {
			t.Errorf("gokrazy is content with what the guard is not: %v", g.err)
		}
	})
}

// FuzzGuardSend: the same for a receiver's requests.
func FuzzGuardSend(f *testing.F) {
	f.Add(new(wire).i32(27, 0, 1, 0, 0, 0, 0, -1, -1, -1).Bytes())
	f.Add(new(wire).i32(27, 0, 1, 1, 700, 16, 3, 99).text("0123456789abcdef").i32(-1, -1, -1).Bytes())
	f.Add(new(wire).i32(27, 0, 1, 2, 700, 2, 0, 1).text("ab").i32(2).text("cd").Bytes())
	f.Add(new(wire).i32(27, 3).text("- *").Bytes())
	dir := f.TempDir()
	if err := os.WriteFile(dir+"/x", bytes.Repeat([]byte("0123456789"), 300), 0o644); err != nil {
		f.Fatal(err)
	}
	fsys, err := openDir(f.Context(), Dir(dir, nil).Spec, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		_, err := send(t.Context(), fsys, Job{}, bytes.NewReader(said), newWriter(io.Discard))
		if err == nil && !bytes.HasSuffix(bytes.TrimRight(said, "\x00"), []byte{255}) && len(said) < 20 {
			t.Errorf("%q is no whole conversation", said)
		}
	})
}

func FuzzParseArgs(f *testing.F) {
	for _, args := range parsed {
		f.Add(strings.Join(args.args, " "))
	}
	f.Fuzz(func(t *testing.T, line string) {
		options, name, _, err := ParseArgs(strings.Split(line, " "))
		if err != nil {
			return
		}
		if !fs.ValidPath(name) && utf8.ValidString(name) {
			t.Errorf("path %q", name)
		}
		if !strings.Contains(strings.Join(options, " "), "--server") {
			t.Errorf("options %q", options)
		}
	})
}

var parsed = []struct {
	args    []string
	options string
	name    string
	dir     bool
	bad     string
}{
	{strings.Fields("--server --sender -logDtpre.iLsfxCIvu . snapshots/1/"), "--server --sender -logDtpr", "snapshots/1", true, ""},
	{strings.Fields("--server --sender -vvlogDtpre.iLsfxCIvu --timeout=60 . a/./b"), "--server --sender -logDtpr", "a/b", false, ""},
	{strings.Fields("--server --sender -e.LsfxCIvu . ."), "--server --sender", ".", true, ""},
	{strings.Fields("--server -logDtpre.iLsfxCIvu . a"), "", "", false, "may only read"},
	{strings.Fields("--sender -r . a"), "", "", false, "may only read"},
	{strings.Fields("--daemon ."), "", "", false, `"--daemon" is not`},
	{strings.Fields("--server --sender --daemon . a"), "", "", false, "--daemon"},
	{strings.Fields("--server --sender -lz . a"), "", "", false, "-z"},
	{strings.Fields("--server --sender -es . a"), "", "", false, "-e"},
	{strings.Fields("--server --sender -r --gokr.listen=:80 . a"), "", "", false, "gokr"},
	{strings.Fields("--server --sender -r --remove-source-files . a"), "", "", false, "remove"},
	{strings.Fields("--server --sender -r . a b"), "", "", false, "2 paths"},
	{strings.Fields("--server --sender -r . --delete"), "--server --sender -r", "--delete", false, ""}, // a name, behind the dot
	{strings.Fields("--server --sender -r ."), "", "", false, "0 paths"},
	{strings.Fields("--server --sender -r . ../a"), "", "", false, "not a path"},
	{strings.Fields("--server --sender -r . a/.."), "", "", false, "not a path"},
	{strings.Fields("--server --sender -r . /a"), "", "", false, "not a path"},
	{strings.Fields("--server --sender -r . *"), "", "", false, "not a path"},
	{[]string{"--server", "--sender", "-r", ".", ""}, "--server --sender -r", ".", true, ""},
	{[]string{"--server", "--sender", "-r", ".", "a\x00b"}, "", "", false, "not a path"},
	{[]string{"--server", "--sender", "-r", ".", strings.Repeat("n", 5000)}, "", "", false, "5000 bytes"},
	{nil, "", "", false, "may only read"},
}

func TestParseArgs(t *testing.T) {
	for _, c := range parsed {
		options, name, dir, err := ParseArgs(c.args)
		if c.bad != "" {
			wantError(t, err, Refused, c.bad)
			continue
		}
		if err != nil || strings.Join(options, " ") != c.options || name != c.name || dir != c.dir {
			t.Errorf("%q: got %q %q %v %v", c.args, options, name, dir, err)
		}
	}
}
