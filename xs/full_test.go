package xs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

// smallBed is a school whose root is a disk of its own.
func smallBed(t *testing.T, disk string, change ...func(*Config)) *bed {
	t.Helper()
	b := &bed{t: t, root: filepath.Join(t.TempDir(), "disk"), owner: newKey(t)}
	if err := os.Mkdir(b.root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", b.root, "tmpfs", 0, disk); err != nil {
		t.Skipf("mounting is refused here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(b.root, syscall.MNT_DETACH) })
	b.start(change...)
	b.account = b.register("SHC00000001", "u1", b.owner.PublicKey())
	return b
}

// serve has the tree in dir pulled by a session that has answered so, and
// answers how that ended.
func (b *bed) serve(e *exec, dir string) wire.Report {
	b.t.Helper()
	p, err := transfer.Start(b.t.Context(), transfer.Dir(dir, nil), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer p.Close()
	p.Run(b.t.Context(), e.out, e.in) // what came of it, the report says
	r, err := e.end()
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// announce opens a backup that the school takes.
func (b *bed) announce(req wire.BackupRequest) *exec {
	b.t.Helper()
	e := b.exec(b.client(), "backup")
	if a, err := e.ask(req); err != nil || a.Action != wire.ActionPull {
		b.t.Fatalf("%+v %v", a, err)
	}
	return e
}

// refusedAs asserts the reason, and that the message says what it is about.
func refusedAs(t *testing.T, no *wire.Refusal, code, text string) {
	t.Helper()
	if no == nil || no.Code != code || !strings.Contains(no.Message, text) {
		t.Errorf("got %+v, want %s with %q", no, code, text)
	}
}

// A disk that is full, or fills up while the Journal comes in: refused, and the
// former snapshot is as it was.
func TestFullDisk(t *testing.T) {
	b := smallBed(t, "size=16m")
	dir := journal(t, 5)
	if o := b.backup(b.client(), dir); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	large := journal(t, 5)
	writeEntry(t, large, 9, "large", make([]byte, 30<<20))
	refusedAs(t, b.backup(b.client(), large).refusal, wire.RefusedFull, "this Journal needs 31 MB, and there is room for 17 MB")

	// One that says it is small, and is not: it hears of the file that is too much.
	req := offer(t, large)
	req.Bytes = 5
	part := strings.TrimSuffix(uid(9).Path(), "cjson") + "data.0001"
	refusedAs(t, b.serve(b.announce(req), large).Error, wire.RefusedInput, part+`": 8388608 bytes are more than`)

	// One for which there is room, until somebody else takes it.
	fits := journal(t, 5)
	writeEntry(t, fits, 9, "fits", make([]byte, 10<<20))
	e := b.announce(offer(t, fits))
	filler := filepath.Join(b.root, ".filler")
	if err := os.WriteFile(filler, make([]byte, 20<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	refusedAs(t, b.serve(e, fits).Error, wire.RefusedFull, "disk is full")

	got := filepath.Join(t.TempDir(), "x")
	if _, no := b.restore(b.client(), "snapshots/latest", got); no != nil {
		t.Fatal(no)
	}
	same(t, got, dir)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if o := b.backup(b.client(), fits); o.refusal != nil || o.snapshot.Digest != sums(t, fits).Digest() {
		t.Errorf("with room again: %+v", o)
	}
}

// Files are counted before they come: a first backup of many does not eat the
// reserve of inodes. (On a tmpfs the snapshot's hard links count too.)
func TestFullOfInodes(t *testing.T) {
	const inodes, reserve = 500, 200
	b := smallBed(t, fmt.Sprintf("size=64m,nr_inodes=%d", inodes), func(c *Config) { c.MinFreeInodes = reserve })
	free := func() int {
		var st unix.Statfs_t
		if err := unix.Statfs(b.root, &st); err != nil {
			t.Fatal(err)
		}
		return int(st.Ffree)
	}
	small, many := journal(t, 5), journal(t, 200)
	files := len(sums(t, many))
	b.backup(b.client(), many) // makes the folders that an account has
	left := free() - reserve
	if files <= left || files >= left+reserve {
		t.Fatalf("%d files where there is room for %d prove nothing", files, left)
	}
	refusedAs(t, b.backup(b.client(), many).refusal, wire.RefusedFull, fmt.Sprintf(
		"disk is full: this Journal needs %d files and folders, and there is room for %d.", files+2*(1+64)+6, left))

	// One that says it has few.
	req := offer(t, many)
	req.Files = 5
	refusedAs(t, b.serve(b.announce(req), many).Error, wire.RefusedInput, fmt.Sprintf(`": more than %d files`, left))
	if n := free(); n != left+reserve {
		t.Errorf("%d inodes are left of %d", n, left+reserve)
	}

	// One for which there is room, until somebody else takes it.
	e := b.announce(offer(t, small))
	for n := 0; ; n++ {
		if err := os.WriteFile(filepath.Join(b.root, fmt.Sprintf(".filler%d", n)), nil, 0o600); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	refusedAs(t, b.serve(e, small).Error, wire.RefusedFull, "disk is full")

	fillers, err := filepath.Glob(filepath.Join(b.root, ".filler*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range fillers {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if o := b.backup(b.client(), small); o.refusal != nil {
		t.Errorf("with room again: %+v", o.refusal)
	}
}
