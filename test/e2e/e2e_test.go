package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// pair is an XO that is registered at an XS.
func pair(t *testing.T, o bed.Options) (*bed.XO, *bed.XS) {
	t.Helper()
	s := bed.XSFor(t, bed.ServerOptions{})
	x := bed.XOFor(t, o)
	register(t, x, s)
	return x, s
}

func register(t *testing.T, x *bed.XO, s *bed.XS) {
	t.Helper()
	must(t, x.PointAt(s))
	must(t, x.Register(t.Context()))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes a Journal and answers it as it is on disk.
func fill(t *testing.T, x *bed.XO, n int) ([]string, bed.Journal) {
	t.Helper()
	uids, err := x.FillJournal(t.Context(), n, 1)
	must(t, err)
	return uids, onDisk(t, x)
}

func onDisk(t *testing.T, x *bed.XO) bed.Journal {
	t.Helper()
	j, err := bed.ReadDisk(x.Datastore)
	must(t, err)
	return j
}

// holds checks that Sugar's datastore has all that was there before, and nothing
// else; but for the sum of a file, which is its own note, made when it has time.
func holds(t *testing.T, x *bed.XO, before bed.Journal) {
	t.Helper()
	after, err := x.ReadJournal(t.Context())
	must(t, err)
	if err := before.Diff(after, "checksum"); err != nil {
		t.Errorf("what Sugar's datastore of %s finds is not what was there: %v", x.Options.Nick, err)
	}
}

// job runs a job to its end.
func job(t *testing.T, x *bed.XO, method string, args ...any) bed.Result {
	t.Helper()
	r, err := x.Job(t.Context(), method, args...)
	must(t, err)
	return r
}

// done runs a job that has to end well.
func done(t *testing.T, x *bed.XO, method string, args ...any) bed.Result {
	t.Helper()
	r := job(t, x, method, args...)
	if err := r.OK(); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return r
}

// failed runs a call or a job that has to fail with that error.
func failed(t *testing.T, x *bed.XO, want, method string, args ...any) bed.Result {
	t.Helper()
	r, err := x.Job(t.Context(), method, args...)
	var e dbus.Error
	if errors.As(err, &e) {
		r = bed.Result{Result: "failed", ErrorName: e.Name, Message: e.Error()}
	} else {
		must(t, err)
	}
	if r.Result != "failed" || r.ErrorName != errorName(want) {
		t.Fatalf("%s: %s %s %q, not failed with %s", method, r.Result, r.ErrorName, r.Message, want)
	}
	return r
}

func errorName(name string) string { return "org.laptop.Backup.Error." + name }

// refused checks that a call failed with that error.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	var e dbus.Error
	if !errors.As(err, &e) || e.Name != errorName(want) {
		t.Fatalf("%s %v, not %s", e.Name, err, want)
	}
}

// snapshots answers what ListSnapshots does.
func snapshots(t *testing.T, x *bed.XO) []map[string]dbus.Variant {
	t.Helper()
	var out []map[string]dbus.Variant
	must(t, x.Backup().CallWithContext(t.Context(), "org.laptop.Backup.ListSnapshots", 0).Store(&out))
	return out
}

func snapshotID(t *testing.T, x *bed.XO, newest int) string {
	t.Helper()
	id, ok := snapshots(t, x)[newest]["id"].Value().(string)
	if !ok {
		t.Fatal("a snapshot without id")
	}
	return id
}

// property reads one of the daemon's.
func property[T any](t *testing.T, x *bed.XO, name string) T {
	t.Helper()
	v, err := x.Backup().GetProperty("org.laptop.Backup." + name)
	must(t, err)
	out, ok := v.Value().(T)
	if !ok {
		t.Fatalf("property %s is a %T", name, v.Value())
	}
	return out
}

// jobProperty reads one of a job's.
func jobProperty[T any](t *testing.T, x *bed.XO, path objectPath, name string) T {
	t.Helper()
	v, err := x.Service(bed.BackupName, path).GetProperty("org.laptop.Backup.Job." + name)
	must(t, err)
	out, ok := v.Value().(T)
	if !ok {
		t.Fatalf("property %s of a job is a %T", name, v.Value())
	}
	return out
}

// account is the folder of the only account on the XS.
func account(t *testing.T, s *bed.XS) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.Root, "*", "account.json"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%d accounts: %v", len(found), found)
	}
	return filepath.Dir(found[0])
}

// snapshotDirs are the snapshots of the only account, oldest first.
func snapshotDirs(t *testing.T, s *bed.XS) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(account(t, s), "snapshots", "*Z*"))
	must(t, err)
	var out []string
	for _, dir := range dirs {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			out = append(out, dir)
		}
	}
	return out
}

// command runs xo-backup with --json and answers what it prints.
func command(t *testing.T, x *bed.XO, out any, args ...string) {
	t.Helper()
	b, err := x.Command(t.Context(), x.Options.Binaries.Command, append(args, "--json")...).Output()
	if err != nil {
		t.Fatalf("xo-backup %s: %v: %s", strings.Join(args, " "), err, b)
	}
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatalf("xo-backup %s: %v in %s", strings.Join(args, " "), err, b)
	}
}
