package xsclient

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/test/bed"
	"github.com/sugarlabs/xo-backupd/wire"
)

// atSchool registers a laptop, whose Journal is a copy of journal, with a real
// school server.
func atSchool(t testing.TB, s *bed.XS, journal string) *Client {
	t.Helper()
	cfg := laptop(t, newPeer(t), "-t", "ed25519")
	cfg.Server, cfg.Datastore = s.URL(), &stopped{}
	must(t, os.CopyFS(cfg.Profile.Datastore(), os.DirFS(journal)))
	c := client(t, cfg)
	must(t, c.Register(t.Context()))
	return c
}

func silent(Progress) {}

func backUp(t testing.TB, c *Client) Result {
	t.Helper()
	result, err := c.Backup(t.Context(), BackupOptions{}, silent)
	must(t, err)
	return result
}

// The schedule asks a busy server again, and not before that wants it; the
// laptops of a school do not come all at once.
func TestScheduleBacksOff(t *testing.T) {
	p := newPeer(t)
	busy := wire.Availability{Code: wire.RefusedBusy, Reason: "Many laptops at once.", RetryAfter: 600}
	p.serves = busy
	waits := map[time.Duration]int{}
	for range 8 {
		cfg := laptop(t, p)
		c := client(t, cfg)
		must(t, c.Register(t.Context()))
		var slept []time.Duration
		c.sleep = func(_ context.Context, d time.Duration) error {
			slept = append(slept, d)
			return nil
		}
		var phases []string
		_, err := c.Backup(t.Context(), BackupOptions{Trigger: TriggerSchedule}, func(p Progress) { phases = append(phases, p.Phase) })
		wantCode(t, err, ServerBusy)
		if len(slept) != scheduleTries-1 || len(phases) != len(slept) || phases[0] != "waiting" {
			t.Fatalf("slept %v, %v", slept, phases)
		}
		wait := scheduleMinWait
		for i, d := range slept {
			least := min(max(wait, 600*time.Second), scheduleMaxWait*2/3)
			if d < least || d > least*3/2 || d > scheduleMaxWait {
				t.Errorf("wait %d: %v, want %v and up to half as much again", i, d, least)
			}
			waits[d]++
			wait *= 2
		}
		if s := c.Status(); s.LastResult != busy.Reason || s.LastBackup != 0 {
			t.Errorf("%+v", s)
		}
	}
	if len(waits) < 20 {
		t.Errorf("%d different waits of 40", len(waits))
	}

	// A person does not wait, and a number that overflows is no wait either.
	c := client(t, laptop(t, p))
	must(t, c.Register(t.Context()))
	c.sleep = func(context.Context, time.Duration) error { t.Error("a person waits"); return nil }
	_, err := c.Backup(t.Context(), BackupOptions{}, silent)
	wantCode(t, err, ServerBusy)
	if d := backoff(scheduleMinWait, retryAfter(math.MaxInt)); d > scheduleMaxWait || d < scheduleMaxWait/2 {
		t.Errorf("told to wait for ever: %v", d)
	}
}

// Waiting for a busy server ends with the one who wants it.
func TestScheduleGivesUp(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	p.set(func() { p.serves = wire.Availability{Code: wire.RefusedBusy, Reason: "Many laptops at once."} })
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Backup(ctx, BackupOptions{Trigger: TriggerNetwork}, func(p Progress) {
		if p.Phase == "waiting" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Whatever a backup ended with is told, but for its being cancelled.
func TestLastResult(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	c.cfg.Datastore = &stopped{}
	last := func(want string) {
		t.Helper()
		if s := c.Status(); !strings.Contains(s.LastResult, want) || s.LastBackup != 0 {
			t.Errorf("%+v, want %q", s, want)
		}
	}
	_, err := c.Backup(t.Context(), BackupOptions{}, silent)
	wantCode(t, err, Failed)
	last("no Journal")

	// An error that is in nobody's words.
	must(t, os.WriteFile(c.cfg.Profile.Datastore(), nil, 0o600))
	if _, err := c.Backup(t.Context(), BackupOptions{}, silent); err == nil {
		t.Error("a file was taken for a Journal")
	}
	last("is no folder")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a person said so"))
	if _, err := c.Backup(ctx, BackupOptions{}, silent); err == nil {
		t.Error("not cancelled")
	}
	last("is no folder")

	must(t, c.savePending(pendingRestore{Account: c.account()}))
	_, err = c.Backup(t.Context(), BackupOptions{}, silent)
	wantCode(t, err, Busy)
	last("is not over")
}

// What a backup came to is not said of the account that a child has come into while
// it ran.
func TestResultOfAnotherAccount(t *testing.T) {
	c := registered(t, newPeer(t))
	before := c.account()
	must(t, c.letIn(t.Context(), "SHC2", true))
	for _, err := range []error{nil, errors.New("no server")} {
		c.recordBackup(t.Context(), before, Result{Snapshot: wire.Snapshot{Confirmed: 1795469405}, Entries: 3, Message: "3 entries"}, err)
	}
	if s := c.Status(); s.Account != "SHC2" || s.LastBackup != 0 || s.LastResult != "" || s.Entries != 0 {
		t.Errorf("%+v", s)
	}
}

// A laptop whose clock says 1970: when its Journal was safe is the server's to
// say, and which version is the newer one no clock's.
func TestBackupIn1970(t *testing.T) {
	journal, uids := rawJournal(t, 4, 1)
	ageAll(t, journal)
	c := atSchool(t, bed.XSFor(t, bed.ServerOptions{}), journal)
	c.now = func() time.Time { return time.Unix(60, 0) }
	here := c.cfg.Profile.Datastore()
	ageAll(t, here)
	begun := time.Now().Unix()
	first := backUp(t, c)
	if s := c.Status(); s.LastBackup < begun || s.LastBackup != first.Snapshot.Confirmed || s.Entries != 4 {
		t.Errorf("%+v, %+v", s, first)
	}
	if again := backUp(t, c); again.Snapshot.Seq != first.Snapshot.Seq || c.Status().LastBackup != again.Snapshot.Confirmed {
		t.Errorf("%+v, then %+v, %+v", first, again, c.Status())
	}

	// What changes is noticed although no time does.
	changed := filepath.Join(here, uids[0][:2], uids[0], "metadata", "title")
	must(t, os.WriteFile(changed, []byte("changed in 1970"), 0o644))
	ageAll(t, here)
	second := backUp(t, c)
	if second.Snapshot.Seq <= first.Snapshot.Seq || c.Status().LastBackup != second.Snapshot.Confirmed {
		t.Errorf("%+v, then %+v", first, second)
	}
	// The older version of the two does not come back over it, nor beside it.
	result, err := c.Restore(t.Context(), RestoreOptions{Snapshot: first.Snapshot.ID}, silent)
	must(t, err)
	if result.Stayed != 1 || result.KeptBoth != 0 {
		t.Errorf("%+v", result)
	}
	if b, err := os.ReadFile(changed); err != nil || string(b) != "changed in 1970" {
		t.Errorf("%q, %v", b, err)
	}
}

// A raw copy of a datastore, wherever it is and whatever else is in it, is
// backed up as the Journal that it is a copy of; nothing in it changes.
func TestRawCopy(t *testing.T) {
	journal, uids := rawJournal(t, 5, 1)
	for name, content := range map[string]string{
		"index/flintlock": "", "index/postlist.glass": "not Xapian's", "index_updated": "", "ds_clean": "",
		"checksums/queue/" + uids[0]: "", "lost+found/x": "", "Thumbs.db": "x",
	} {
		path := filepath.Join(journal, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
	}
	c := atSchool(t, bed.XSFor(t, bed.ServerOptions{}), journal)
	elsewhere := filepath.Join(t.TempDir(), "USB stick [1]", "Amara's old XO")
	must(t, os.MkdirAll(filepath.Dir(elsewhere), 0o755))
	must(t, os.Rename(c.cfg.Profile.Datastore(), elsewhere))
	must(t, os.Symlink(elsewhere, c.cfg.Profile.Datastore()))
	before := listing(t, elsewhere)
	if result := backUp(t, c); result.Partial || result.Entries != len(uids) {
		t.Errorf("%+v", result)
	}
	unchanged(t, "the copy", before, listing(t, elsewhere))

	must(t, os.Remove(c.cfg.Profile.Datastore()))
	_, err := c.Restore(t.Context(), RestoreOptions{}, silent)
	must(t, err)
	p := &pupil{t: t, journal: c.cfg.Profile.Datastore()}
	p.holds(journal)
}

// ageAll sets the time of all below dir to 1970.
func ageAll(t testing.TB, dir string) {
	t.Helper()
	names := make([]string, 0, 100)
	for name := range listing(t, dir) {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names) // a folder after what is in it
	for _, name := range names {
		must(t, os.Chtimes(filepath.Join(dir, name), time.Unix(60, 0), time.Unix(60, 0)))
	}
}
