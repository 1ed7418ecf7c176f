package bed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Entry is an entry as it was read back.
type Entry struct {
	Props map[string][]byte
	Data  []byte // nil: no file
}

// Journal is all that was read back, by uid.
type Journal map[string]Entry

// ReadJournal reads the Journal as an activity does: DataStore.find for the
// uids, get_properties and get_filename for each.
func (x *XO) ReadJournal(ctx context.Context) (Journal, error) {
	uids, err := x.Find(ctx)
	if err != nil {
		return nil, err
	}
	journal := Journal{}
	for _, uid := range uids {
		if journal[uid], err = x.ReadEntry(ctx, uid); err != nil {
			return nil, fmt.Errorf("%s: %w", uid, err)
		}
	}
	return journal, nil
}

// Find answers the uids of all entries that the datastore finds. It waits for an
// index that is being rebuilt.
func (x *XO) Find(ctx context.Context) ([]string, error) {
	var uids []string
	err := until(ctx, "the datastore's index", func() (bool, error) {
		var found []map[string]dbus.Variant
		var count, indexed uint32
		err := x.DataStore().CallWithContext(ctx, DataStoreName+".find", 0, map[string]dbus.Variant{}, []string{"uid"}).Store(&found, &count)
		if err != nil {
			return false, fmt.Errorf("DataStore.find: %w", err)
		}
		uids = uids[:0]
		for _, props := range found {
			uid, _ := props["uid"].Value().(string)
			uids = append(uids, uid)
		}
		// While it rebuilds its index, find answers what lies on the disk, and
		// find_ids nothing.
		var ids []string
		err = x.DataStore().CallWithContext(ctx, DataStoreName+".find_ids", 0, map[string]dbus.Variant{}).Store(&ids)
		indexed = uint32(len(ids))
		return indexed == count, err
	})
	slices.Sort(uids)
	return uids, err
}

// ReadEntry reads one entry through the datastore.
func (x *XO) ReadEntry(ctx context.Context, uid string) (Entry, error) {
	var props map[string]dbus.Variant
	if err := x.DataStore().CallWithContext(ctx, DataStoreName+".get_properties", 0, uid).Store(&props); err != nil {
		return Entry{}, fmt.Errorf("DataStore.get_properties: %w", err)
	}
	e := Entry{Props: map[string][]byte{}}
	for name, value := range props {
		switch v := value.Value().(type) {
		case string:
			e.Props[name] = []byte(v)
		case []byte:
			e.Props[name] = v
		case int32:
			e.Props[name] = strconv.AppendInt(nil, int64(v), 10)
		default:
			return Entry{}, fmt.Errorf("property %s is a %T", name, v)
		}
	}
	var path string
	if err := x.DataStore().CallWithContext(ctx, DataStoreName+".get_filename", 0, uid).Store(&path); err != nil {
		return Entry{}, fmt.Errorf("DataStore.get_filename: %w", err)
	}
	if path == "" {
		return e, nil
	}
	defer os.Remove(path)
	var err error
	e.Data, err = readAll(path)
	return e, err
}

// ReadDisk reads a Journal from its folder.
func ReadDisk(datastore string) (Journal, error) {
	journal := Journal{}
	folders, err := filepath.Glob(filepath.Join(datastore, "??", "????????????????????????????????????"))
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		e := Entry{Props: map[string][]byte{}}
		files, err := os.ReadDir(filepath.Join(folder, "metadata"))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if e.Props[f.Name()], err = readAll(filepath.Join(folder, "metadata", f.Name())); err != nil {
				return nil, err
			}
		}
		if e.Data, err = readAll(filepath.Join(folder, "data")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		journal[filepath.Base(folder)] = e
	}
	return journal, nil
}

// readAll never answers nil for a file that is there.
func readAll(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil && b == nil {
		b = []byte{}
	}
	return b, err
}

// Bytes is the size of all properties and files.
func (j Journal) Bytes() (n int64) {
	for _, e := range j {
		n += int64(len(e.Data))
		for _, v := range e.Props {
			n += int64(len(v))
		}
	}
	return n
}

// Diff names what of want is not byte for byte the same in got, and what got has
// besides; properties that are ignored are not looked at. It names at most ten
// things.
func (want Journal) Diff(got Journal, ignore ...string) error {
	var diffs []string
	say := func(format string, args ...any) { diffs = append(diffs, fmt.Sprintf(format, args...)) }
	for uid, w := range want {
		g, ok := got[uid]
		if !ok {
			say("%s is missing", uid)
			continue
		}
		for _, name := range union(w.Props, g.Props) {
			a, inWant := w.Props[name]
			b, inGot := g.Props[name]
			if slices.Contains(ignore, name) || inWant == inGot && bytes.Equal(a, b) {
				continue
			}
			say("%s: %s is %s, not %s", uid, name, shown(b, inGot), shown(a, inWant))
		}
		if (w.Data == nil) != (g.Data == nil) || !bytes.Equal(w.Data, g.Data) {
			say("%s: the file is %s, not %s", uid, shown(g.Data, g.Data != nil), shown(w.Data, w.Data != nil))
		}
	}
	for uid := range got {
		if _, ok := want[uid]; !ok {
			say("%s was not there before", uid)
		}
	}
	if len(diffs) == 0 {
		return nil
	}
	slices.Sort(diffs)
	more := ""
	if len(diffs) > 10 {
		more = fmt.Sprintf("\nand %d more", len(diffs)-10)
		diffs = diffs[:10]
	}
	return errors.New(strings.Join(diffs, "\n") + more)
}

func union(a, b map[string][]byte) []string {
	var names []string
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

func shown(b []byte, there bool) string {
	switch {
	case !there:
		return "absent"
	case len(b) > 40:
		return fmt.Sprintf("%d bytes %q…", len(b), b[:40])
	default:
		return fmt.Sprintf("%q", b)
	}
}
