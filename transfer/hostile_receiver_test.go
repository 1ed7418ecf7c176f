package transfer

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestHostileReceiver(t *testing.T) {
	from := t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "a"), []byte("abc"), 0o644); err != nil {
		t.Fatal(err)
	}
	hello := func() *wire { return new(wire).i32(27, 0) }
	for name, c := range map[string]struct {
		say  *wire
		kind Kind
		want string
	}{
		"nothing":          {new(wire), Cut, "connection ended"},
		"garbage":          {new(wire).text("GET / HTTP/1.1\r\n"), Refused, "protocol"},
		"old protocol":     {new(wire).i32(19), Refused, "protocol 19"},
		"wildcards":        {new(wire).i32(27, 3).text("- *"), Refused, "filter rules"},
		"2 GB of filter":   {new(wire).i32(27, math.MaxInt32), Refused, "filter rules"},
		"file of none":     {hello().i32(7, 0, 0, 0, 0), Refused, "a request for file 7 of 2"},
		"file -2":          {hello().i32(-2), Refused, "a request for file -2"},
		"blocks":           {hello().i32(1, math.MaxInt32, 700, 16, 0), Refused, "2147483647 blocks"},
		"negative blocks":  {hello().i32(1, -1, 700, 16, 0), Refused, "-1 blocks"},
		"block size":       {hello().i32(1, 1, math.MaxInt32, 16, 0), Refused, "2147483647 bytes a block"},
		"no block size":    {hello().i32(1, 1, 0, 16, 0), Refused, "blocks of 0 bytes"},
		"sum size":         {hello().i32(1, 1, 700, 17, 0), Refused, "17 bytes a sum"},
		"remainder":        {hello().i32(1, 1, 700, 16, 701), Refused, "the last of 701"},
		"a folder":         {hello().i32(0, 0, 0, 0, 0), Refused, `the folder "."`},
		"after the end":    {hello().i32(-1, -1, 3), Refused, "a request for file 3"},
		"ends in the list": {new(wire).i32(27), Cut, "connection ended"},
		"ends in a sum":    {hello().i32(1, 1, 700, 16, 0, 99), Cut, "connection ended"},
		"wrong goodbye":    {hello().i32(-1, -1, -2), Refused, "a request for file -2"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, Dir(from, nil))
			_, err := p.Run(t.Context(), bytes.NewReader(c.say.Bytes()), io.Discard)
			wantError(t, err, c.kind, c.want)
		})
	}
	// More blocks than the file has, none of them its: served whole, not a panic.
	ask := hello().i32(1, 100, 700, 16, 0)
	for i := range 100 {
		ask.i32(int32(i)).text("0123456789abcdef")
	}
	p := start(t, Dir(from, nil))
	if _, err := p.Run(t.Context(), bytes.NewReader(ask.i32(-1, -1, -1).Bytes()), io.Discard); err != nil {
		t.Logf("blocks of another file: %v", err)
	}
}
