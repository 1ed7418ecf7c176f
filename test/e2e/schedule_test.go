package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// scheduled is a registered XO with a Journal that nobody touches, on a system bus,
// an hour after the moment of its day.
func scheduled(t *testing.T, system string) (*bed.XO, *bed.XS) {
	t.Helper()
	s := bed.XSFor(t, bed.ServerOptions{})
	x := bed.XOFor(t, bed.Options{Env: []string{"DBUS_SYSTEM_BUS_ADDRESS=" + system, "TZ=UTC"}})
	plan(t, x, s, "")
	must(t, x.Register(t.Context()))
	fill(t, x, 5)
	leaveAlone(t, x)
	return x, s
}

// plan configures the schedule. Where the tests run, the load says nothing.
func plan(t *testing.T, x *bed.XO, s *bed.XS, more string) {
	t.Helper()
	from := time.Now().UTC().Add(-time.Hour).Format("15:04")
	must(t, x.Configure(fmt.Sprintf("server = %q\nregistration = %q\n[schedule]\nfrom = %q\nspread = 0\nload = 0\n%s\n",
		s.URL(), s.RegistrationURL(), from, more)))
	must(t, x.StopService(t.Context(), bed.BackupName)) // the next reads it
}

// leaveAlone makes the Journal one that was not touched for an hour.
func leaveAlone(t *testing.T, x *bed.XO) {
	t.Helper()
	must(t, x.StopService(t.Context(), bed.DataStoreName))
	then := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(x.Datastore, then, then))
}

// triggered is what comes of a backup by itself.
func triggered(t *testing.T, x *bed.XO, trigger string) bed.Result {
	t.Helper()
	return done(t, x, "BackupWithOptions", map[string]dbus.Variant{"trigger": dbus.MakeVariant(trigger)})
}

// heldBack checks that none begins, and that everybody who asks is told why.
func heldBack(t *testing.T, x *bed.XO, s *bed.XS, why string) {
	t.Helper()
	r := triggered(t, x, "schedule")
	if !strings.Contains(r.Message, why) {
		t.Errorf("the job says %q, not %q", r.Message, why)
	}
	if got := property[string](t, x, "StateReason"); got != r.Message {
		t.Errorf("StateReason is %q", got)
	}
	said(t, x, r.Message)
	if n := len(snapshotDirs(t, s)); n != 0 {
		t.Errorf("%d snapshots", n)
	}
}

// said checks that 'xo-backup status' says it, to people and to scripts.
func said(t *testing.T, x *bed.XO, why string) {
	t.Helper()
	out, err := x.Command(t.Context(), x.Options.Binaries.Command, "status").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Why:            "+why) {
		t.Errorf("xo-backup status: %v, no %q in\n%s", err, why, out)
	}
	var status struct {
		Reason string `json:"state_reason"`
	}
	command(t, x, &status, "status")
	if status.Reason != why {
		t.Errorf("xo-backup status --json says %q", status.Reason)
	}
}

// A backup by itself is held back by what the laptop's other programs say, and made
// once they say otherwise.
func TestSchedule(t *testing.T) {
	t.Parallel()
	system := bed.SystemFor(t)
	x, s := scheduled(t, system.Address)

	must(t, system.OnBattery(22))
	heldBack(t, x, s, "the battery is at 22 %")
	must(t, x.StopService(t.Context(), bed.BackupName))
	said(t, x, "Not backed up by itself yet: the battery is at 22 %, and below 30 % it has to be charging.") // the next one knows
	must(t, system.OnMains())

	must(t, system.Metered(true))
	heldBack(t, x, s, "costs money")
	must(t, system.Metered(false))

	_, err := x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": []byte("drawn just now")}, Data: []byte("x")})
	must(t, err)
	heldBack(t, x, s, "saved in the Journal")
	leaveAlone(t, x)

	must(t, system.Network(bed.Disconnected))
	heldBack(t, x, s, "there is no network")
	kept, err := os.ReadFile(filepath.Join(x.Home, ".local/share/xo-backupd/jobs.json"))
	if err == nil && strings.Contains(string(kept), "by itself") {
		t.Errorf("flash was written for nothing: %s", kept)
	}

	// The network comes: nobody has to ask.
	added := watchJobs(t, x)
	must(t, system.Network(bed.ConnectedLocal))
	path := <-added
	r, err := x.Wait(t.Context(), path)
	must(t, err)
	must(t, r.OK())
	if n := len(snapshotDirs(t, s)); n != 1 {
		t.Errorf("%d snapshots", n)
	}
	if why := property[string](t, x, "StateReason"); why != "" {
		t.Errorf("StateReason is %q", why)
	}

	// Once a day, also for the next daemon, and for one whose network comes again.
	for range 2 {
		for _, trigger := range []string{"schedule", "network"} {
			if r := triggered(t, x, trigger); !strings.HasPrefix(r.Message, "It is not time for a backup yet: the next is due on ") {
				t.Errorf("%s: %q", trigger, r.Message)
			}
		}
		must(t, system.Network(bed.ConnectedGlobal))
		must(t, x.StopService(t.Context(), bed.BackupName))
	}
	if why := property[string](t, x, "StateReason"); why != "" {
		t.Errorf("StateReason is %q", why)
	}

	// A person is held back by nothing.
	must(t, system.OnBattery(3))
	must(t, system.Metered(true))
	if r := done(t, x, "Backup"); !strings.Contains(r.Message, "safe at school") {
		t.Errorf("%q", r.Message)
	}
}

// watchJobs are those that begin from now on.
func watchJobs(t *testing.T, x *bed.XO) <-chan dbus.ObjectPath {
	t.Helper()
	conn, err := x.Connect()
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	must(t, conn.AddMatchSignal(dbus.WithMatchInterface("org.laptop.Backup"), dbus.WithMatchMember("JobAdded")))
	jobs := make(chan dbus.ObjectPath, 64)
	go func() {
		for signal := range signals {
			if path, ok := signal.Body[0].(dbus.ObjectPath); ok {
				jobs <- path
			}
		}
	}()
	return jobs
}

// What a school has configured holds a backup back; a person's never. On mains, in a
// network that is not metered, one is made.
func TestScheduleSettings(t *testing.T) {
	t.Parallel()
	system := bed.SystemFor(t)
	x, s := scheduled(t, system.Address)
	now := time.Now().UTC()
	plan(t, x, s, fmt.Sprintf("quiet = %q", now.Add(-time.Hour).Format("15:04")+"-"+now.Add(time.Hour).Format("15:04")))
	heldBack(t, x, s, "these are quiet hours, until "+now.Add(time.Hour).Format("15:04"))
	plan(t, x, s, "enabled = false")
	heldBack(t, x, s, "switched off")

	must(t, system.OnBattery(25))
	must(t, system.Metered(true))
	plan(t, x, s, "battery = 20\nmetered = true")
	if why := property[string](t, x, "StateReason"); !strings.HasPrefix(why, "A backup is due") {
		t.Errorf("StateReason is %q", why)
	}
	if r := triggered(t, x, "schedule"); !strings.Contains(r.Message, "safe at school") {
		t.Errorf("%q", r.Message)
	}
	plan(t, x, s, "enabled = false")
	if r := done(t, x, "Backup"); !strings.Contains(r.Message, "safe at school") {
		t.Errorf("%q", r.Message)
	}
}

// Where nobody says how the laptop stands, nothing holds a backup back but a school
// server that is not there.
func TestScheduleWithoutSystemBus(t *testing.T) {
	t.Parallel()
	x, s := scheduled(t, "unix:path=/nonexistent")
	must(t, s.Stop())
	heldBackBy := triggered(t, x, "network").Message
	if !strings.HasPrefix(heldBackBy, "Not backed up by itself yet. ") {
		t.Errorf("%q", heldBackBy)
	}
	said(t, x, heldBackBy)
	must(t, s.Start(t.Context()))
	if r := triggered(t, x, "network"); !strings.Contains(r.Message, "safe at school") {
		t.Errorf("%q", r.Message)
	}
}

// A laptop that is not registered is told what to do.
func TestScheduleUnregistered(t *testing.T) {
	t.Parallel()
	x := bed.XOFor(t, bed.Options{})
	if r := triggered(t, x, "schedule"); !strings.Contains(r.Message, "'xo-backup register'") {
		t.Errorf("%q", r.Message)
	}
}
