package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
)

// FillJournal puts n varied entries into the Journal as activities do, through
// DataStore.create, and answers their uids. Afterwards the datastore is at
// rest.
func (x *XO) FillJournal(ctx context.Context, n int, seed uint64) ([]string, error) {
	var uids []string
	for _, s := range Samples(n, seed) {
		uid, err := x.Create(ctx, s)
		if err != nil {
			return uids, err
		}
		uids = append(uids, uid)
	}
	return uids, x.Settle(ctx)
}

// Create puts one entry into the Journal through DataStore.create.
func (x *XO) Create(ctx context.Context, s Sample) (uid string, err error) {
	path, err := x.stage(s)
	if err != nil {
		return "", err
	}
	err = x.DataStore().CallWithContext(ctx, DataStoreName+".create", 0, s.variants(), path, true).Store(&uid)
	if err != nil {
		return "", fmt.Errorf("DataStore.create: %w", err)
	}
	return uid, nil
}

// Update changes an entry through DataStore.update; a Sample without Data
// leaves the file as it is.
func (x *XO) Update(ctx context.Context, uid string, s Sample) error {
	path, err := x.stage(s)
	if err != nil {
		return err
	}
	if err := x.DataStore().CallWithContext(ctx, DataStoreName+".update", 0, uid, s.variants(), path, true).Err; err != nil {
		return fmt.Errorf("DataStore.update: %w", err)
	}
	return nil
}

// Delete deletes an entry through DataStore.delete.
func (x *XO) Delete(ctx context.Context, uid string) error {
	return x.DataStore().CallWithContext(ctx, DataStoreName+".delete", 0, uid).Err
}

// stage writes a sample's file where the datastore may move it from.
func (x *XO) stage(s Sample) (string, error) {
	if s.Data == nil {
		return "", nil
	}
	f, err := os.CreateTemp(filepath.Join(x.Dir, "tmp"), "data-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(s.Data)
	return f.Name(), errors.Join(err, f.Close())
}

// variants are the properties in the types that Sugar gives them.
func (s Sample) variants() map[string]dbus.Variant {
	props := make(map[string]dbus.Variant, len(s.Props))
	for name, value := range s.Props {
		number, err := strconv.ParseInt(string(value), 10, 32)
		switch {
		case name == "preview" || !utf8.Valid(value):
			props[name] = dbus.MakeVariant(value)
		case (name == "timestamp" || name == "creation_time") && err == nil:
			props[name] = dbus.MakeVariant(int32(number))
		default:
			props[name] = dbus.MakeVariant(string(value))
		}
	}
	return props
}

// Settle waits until the datastore has done what it does after it has
// answered: sums of files, links between equal ones, its index.
func (x *XO) Settle(ctx context.Context) error {
	return until(ctx, "the datastore's queue", func() (bool, error) {
		queue, err := os.ReadDir(filepath.Join(x.Datastore, "checksums/queue"))
		if errors.Is(err, os.ErrNotExist) {
			return true, nil
		}
		return len(queue) == 0, err
	})
}

// WipeJournal loses the Journal, as a reflash or a broken disk does: the
// datastore is stopped and its folder removed.
func (x *XO) WipeJournal(ctx context.Context) error {
	if err := x.StopService(ctx, DataStoreName); err != nil {
		return err
	}
	return os.RemoveAll(x.Datastore)
}
