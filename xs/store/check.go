package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/sugarlabs/xo-backupd/datastore"
)

func sumOf(b []byte) Sum { return sha256.Sum256(b) }

func compare(a, b string) int { return strings.Compare(a, b) }

// checked is what the look into one entry of current found.
type checked struct {
	sums   map[string][32]byte
	reason string // why it is not whole
	err    error  // what kept us from looking
}

// entries checks each entry of current and decides which version the snapshot
// gets. Entries are read side by side, since most of the time goes into sums.
func (t *taking) entries(ctx context.Context, progress func(done, total int)) error {
	current, err := t.root.OpenRoot(currentDir)
	if err != nil {
		return err
	}
	defer current.Close()
	var changed []datastore.UID
	for _, uid := range slices.Sorted(maps.Keys(t.have.entries)) {
		if !t.unchanged(uid) {
			changed = append(changed, uid)
			continue
		}
		for _, path := range t.have.entries[uid] {
			t.include(path, t.base.sums[path])
		}
	}
	found := make([]checked, len(changed))
	work := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		wg.Go(func() {
			for i := range work {
				found[i] = t.check(current, changed[i])
			}
		})
	}
	for i := range changed {
		if ctx.Err() != nil {
			break
		}
		work <- i
		if i%64 == 0 {
			progress(len(t.have.entries)-len(changed)+i, len(t.have.entries))
		}
	}
	close(work)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, uid := range changed {
		if err := t.settle(uid, found[i]); err != nil {
			return err
		}
	}
	progress(len(t.have.entries), len(t.have.entries))
	return nil
}

// settle puts the outcome of one check into effect.
func (t *taking) settle(uid datastore.UID, c checked) error {
	if c.err != nil {
		return c.err
	}
	if c.reason == "" {
		for _, path := range t.have.entries[uid] {
			if sum, ok := c.sums[path]; ok {
				t.include(path, sum)
			}
		}
		return nil
	}
	t.log.Warn("entry did not arrive whole", "uid", uid, "reason", c.reason)
	t.keep(uid, "did not arrive whole: "+c.reason)
	t.again = append(t.again, uid)
	return t.dropWrong(uid)
}

// unchanged: all the entry's files are the base's own inodes, so they are what
// was verified then.
func (t *taking) unchanged(uid datastore.UID) bool {
	files := t.have.entries[uid]
	return len(files) == len(t.base.entries[uid]) &&
		!slices.ContainsFunc(files, func(path string) bool { return !t.own(path) })
}

// own: this file of current is the base's own inode, and its sum is known.
func (t *taking) own(path string) bool {
	f, ok := t.base.files[path]
	_, summed := t.base.sums[path]
	return ok && summed && f.inode == t.have.files[path].inode
}

func (t *taking) check(current *os.Root, uid datastore.UID) checked {
	if c, ok := t.metadataOnly(current, uid); ok {
		return c
	}
	_, sums, err := datastore.VerifyEntry(current.FS(), uid)
	var damaged *datastore.DamagedError
	switch {
	case err == nil:
		return checked{sums: sums}
	case errors.As(err, &damaged):
		return checked{reason: damaged.Reason}
	case errors.Is(err, fs.ErrNotExist):
		return checked{reason: "its metadata is missing"}
	}
	return checked{err: err}
}

// metadataOnly spares reading the data of an entry of which only the metadata
// was sent: the data is the base's own, and what the new metadata says of it
// has to be what the base's metadata says.
func (t *taking) metadataOnly(current *os.Root, uid datastore.UID) (checked, bool) {
	cjson := uid.Path()
	files := t.have.entries[uid]
	if t.base.lost[uid] != "" || t.own(cjson) || len(files) != len(t.base.entries[uid]) || !slices.Contains(files, cjson) {
		return checked{}, false
	}
	sums := map[string][32]byte{}
	for _, path := range files {
		if path == cjson {
			continue
		}
		if !t.own(path) {
			return checked{}, false
		}
		sums[path] = t.base.sums[path]
	}
	older, err := t.root.OpenRoot(t.base.dir)
	if err != nil {
		return checked{err: err}, true
	}
	defer older.Close()
	was, _, err := datastore.ReadEntry(older.FS(), uid)
	if err != nil {
		return checked{}, false
	}
	is, b, err := datastore.ReadEntry(current.FS(), uid)
	if err != nil {
		return checked{}, false // VerifyEntry says why
	}
	sums[cjson] = sumOf(b)
	if (is.Data == nil) != (was.Data == nil) || is.Data != nil && *is.Data != *was.Data {
		return checked{reason: "its metadata came without the data that it belongs to"}, true
	}
	return checked{sums: sums}, true
}

// dropWrong removes from current those files of an entry that rsync would take
// for the right ones next time and that are not: the base's own, which the new
// version turned out not to share, and those whose time is not that of their
// content. What did arrive as it should stays, however large its entry is.
func (t *taking) dropWrong(uid datastore.UID) error {
	var wrong []string
	for _, path := range t.have.entries[uid] {
		if t.own(path) {
			wrong = append(wrong, path)
			continue
		}
		sum, err := sumFile(t.root, currentDir+"/"+path)
		if err != nil {
			return err
		}
		if datastore.ModTime(sum).Unix() != t.have.files[path].mtime {
			wrong = append(wrong, path)
		}
	}
	return t.drop(wrong)
}

func sumFile(root *os.Root, name string) (Sum, error) {
	f, err := root.Open(name)
	if err != nil {
		return Sum{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Sum{}, err
	}
	return Sum(h.Sum(nil)), nil
}
