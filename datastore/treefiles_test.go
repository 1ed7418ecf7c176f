package datastore

import (
	"io/fs"
	"strings"
	"testing"
)

func TestCheckFile(t *testing.T) {
	uid := someUID
	for _, c := range []struct {
		name string
		dir  bool
		size int64
		perm fs.FileMode
		ok   bool
	}{
		{".", true, 4096, 0o755, true},
		{"0", true, 0, 0o755, true},
		{"0", true, 0, fs.ModeDir | 0o755, true},
		{"journal.cjson", false, 100, 0o644, true},
		{"0/" + uid + ".cjson", false, 1, 0o644, true},
		{"0/" + uid + ".cjson", false, MaxFile, 0o644, true},
		{"0/" + uid + ".data", false, 0, 0o644, true},
		{"0/" + uid + ".data", false, PartSize, 0o644, true},
		{"0/" + uid + ".data.0000", false, PartSize, 0o644, true},
		{"0/" + uid + ".data.9999", false, 1, 0o644, true},

		{"0/" + uid + ".cjson", false, 0, 0o644, false},
		{"0/" + uid + ".cjson", false, MaxFile + 1, 0o644, false},
		{"0/" + uid + ".data", false, PartSize + 1, 0o644, false},
		{"0/" + uid + ".data", false, 1 << 40, 0o644, false},
		{"0/" + uid + ".data", false, -1, 0o644, false},
		{"0/" + uid + ".data.0000", false, 0, 0o644, false},
		{"0/" + uid + ".data.000", false, 1, 0o644, false},
		{"0/" + uid + ".data.00000", false, 1, 0o644, false},
		{"0/" + uid + ".data.00x0", false, 1, 0o644, false},
		{"0/" + uid + ".data.+001", false, 1, 0o644, false},
		{"0/" + uid + ".data", false, 1, 0o600, false},
		{"0/" + uid + ".data", false, 1, 0o644 | fs.ModeSetuid, false},
		{"0/" + uid + ".data", false, 1, 0o644 | fs.ModeSymlink, false},
		{"0/" + uid + ".data", true, 1, 0o755, false},
		{"0", true, 0, 0o777, false},
		{"0", true, 0, 0o755 | fs.ModeSticky, false},
		{"0", false, 1, 0o644, false},
		{".", false, 1, 0o644, false},
		{"journal.cjson", true, 0, 0o755, false},
		{"1/" + uid + ".cjson", false, 1, 0o644, false},
		{uid + ".cjson", false, 1, 0o644, false},
		{"0/" + uid, false, 1, 0o644, false},
		{"0/" + uid + ".cjson/x", false, 1, 0o644, false},
		{"0/" + uid + "/metadata", true, 1, 0o755, false},
		{"0/../" + uid, false, 1, 0o644, false},
		{"..", true, 0, 0o755, false},
		{"./", true, 0, 0o755, false},
		{"", true, 0, 0o755, false},
		{"/", true, 0, 0o755, false},
		{"/etc", true, 0, 0o755, false},
		{"../x", false, 1, 0o644, false},
		{"00", true, 0, 0o755, false},
		{"é", true, 0, 0o755, false},
		{"\x00", true, 0, 0o755, false},
		{"index", true, 0, 0o755, false},
		{"journal.cjson\x00", false, 1, 0o644, false},
		{strings.Repeat("a/", 5000), true, 0, 0o755, false},
	} {
		err := CheckFile(c.name, c.dir, c.size, c.perm)
		if (err == nil) != c.ok {
			t.Errorf("CheckFile(%.60q, %v, %d, %v): %v", c.name, c.dir, c.size, c.perm, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	}
}

func TestModTime(t *testing.T) {
	for sum, want := range map[[32]byte]int64{
		{}:                           1,
		{0x80}:                       1,
		{0x80, 0, 0, 2}:              2,
		{0xff, 0xff, 0xff, 0xff, 1}:  0x7fffffff,
		{0x12, 0x34, 0x56, 0x78, 99}: 0x12345678,
	} {
		if got := ModTime(sum).Unix(); got != want {
			t.Errorf("ModTime(%x): %d, want %d", sum[:5], got, want)
		}
	}
}

func TestParts(t *testing.T) {
	for size, want := range map[int64][]File{
		0:            {{"0/" + someUID + ".data", 0}},
		1:            {{"0/" + someUID + ".data", 1}},
		PartSize - 1: {{"0/" + someUID + ".data", PartSize - 1}},
		PartSize:     {{"0/" + someUID + ".data", PartSize}},
		PartSize + 1: {{"0/" + someUID + ".data.0000", PartSize}, {"0/" + someUID + ".data.0001", 1}},
		2 * PartSize: {{"0/" + someUID + ".data.0000", PartSize}, {"0/" + someUID + ".data.0001", PartSize}},
		20 << 20:     {{"0/" + someUID + ".data.0000", PartSize}, {"0/" + someUID + ".data.0001", PartSize}, {"0/" + someUID + ".data.0002", 4 << 20}},
	} {
		got := (&Entry{UID: someUID, Data: &Data{Size: size}}).Files()
		if len(got) != len(want) || parts(size) != len(want) {
			t.Errorf("%d: %v", size, got)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%d: %v", size, got)
			}
		}
	}
	if got := (&Entry{UID: someUID}).Files(); got != nil {
		t.Error(got)
	}
}
