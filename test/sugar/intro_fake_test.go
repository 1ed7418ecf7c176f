package sugar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

const (
	backupPath = dbus.ObjectPath("/org/laptop/Backup")
	jobPath    = dbus.ObjectPath("/org/laptop/Backup/jobs/1")
)

type props map[string]any

func (p props) variants() map[string]dbus.Variant {
	v := map[string]dbus.Variant{}
	for name, value := range p {
		v[name] = dbus.MakeVariant(value)
	}
	return v
}

// fake is a backup service that answers what a test wants.
type fake struct {
	methods    map[string]any
	properties props
	job        props
}

// on puts it on the bus of an XO whose Sugar was never started.
func (f fake) on(t *testing.T) (*bed.XO, *dbus.Conn) {
	t.Helper()
	x := bed.XOFor(t, bed.Options{Bare: true})
	conn := must(x.Connect())(t)
	t.Cleanup(func() { _ = conn.Close() })
	ok(t, conn.ExportMethodTable(f.methods, backupPath, bed.BackupName))
	for path, values := range map[dbus.ObjectPath]props{backupPath: f.properties, jobPath: f.job} {
		ok(t, conn.ExportMethodTable(map[string]any{
			"GetAll": func(string) (map[string]dbus.Variant, *dbus.Error) { return values.variants(), nil },
		}, path, "org.freedesktop.DBus.Properties"))
	}
	must(conn.RequestName(bed.BackupName, 0))(t)
	return x, conn
}

// offering is FindBackups.
func offering(offers ...props) func() ([]map[string]dbus.Variant, *dbus.Error) {
	return func() (list []map[string]dbus.Variant, _ *dbus.Error) {
		for _, o := range offers {
			list = append(list, o.variants())
		}
		return list, nil
	}
}

var beto = props{"account": "A1", "nick": "Beto", "color": "#00A0FF,#8BFF7A", "group": "Klasse 4b", "entries": uint32(412), "last_backup": int64(1), "claim": "automatic"}

func failure(name, message string) *dbus.Error {
	return &dbus.Error{Name: bed.BackupName + ".Error." + name, Body: []any{message}}
}

// What comes when the child has gone on is not put under its hands; it is there for
// who asks. A service that crashes is no end of the wizard.
func TestIntroLate(t *testing.T) {
	long(t)
	t.Parallel()
	late := make(chan bool)
	var conn *dbus.Conn
	x, conn := fake{methods: map[string]any{
		"FindBackups": func() ([]map[string]dbus.Variant, *dbus.Error) { <-late; return offering(beto)() },
		"Claim": func(string, string) (string, string, *dbus.Error) {
			_ = conn.Close()
			return "", "", nil
		},
	}}.on(t)
	shell := startShell(t, x, small)
	steps(t, shell, `
		see Looking for your Journal
		shoot intro-waiting
		see Click to change color
		no I had a laptop before`)
	close(late)
	steps(t, shell, `
		see I had a laptop before
		no Is this you
		shoot intro-link
		click I had a laptop before
		click Yes, this is me
		see The backup service does not answer
		shoot intro-crash
		click No, start afresh
		see Click to change color`)
}

// Offers of which half is missing or makes no sense, in a language whose translation
// is broken: what nobody knows, the wizard asks.
func TestIntroStrangeOffers(t *testing.T) {
	long(t)
	t.Parallel()
	like := props{"account": "A2", "nick": "Beto", "color": "#FF2B34,#FFFA00", "group": "4th Grade", "entries": uint32(1), "last_backup": int64(1e9)}
	long := props{"account": "A5", "nick": "<b>Señorita & María de los Ángeles Ximénez de la Vega", "color": "#000000,#FFFFFF"}
	claims := make(chan string, 9)
	x, _ := fake{
		methods: map[string]any{
			"FindBackups": offering(beto, props{"account": "A3"}, props{"nick": "nobody's"},
				props{"account": "A4", "nick": 4, "color": "red", "group": []string{"?"}, "entries": "many", "last_backup": -1.5}, long, like),
			"Claim": func(account, code string) (string, string, *dbus.Error) {
				claims <- account + code
				return "granted", "", nil
			},
			"Restore": func(string) (dbus.ObjectPath, *dbus.Error) { return jobPath, nil },
		},
		properties: props{"Account": "A3"},
		job:        props{"ProgressValid": true, "Progress": 0.4, "ExpectedEndTime": time.Now().Add(10 * time.Minute).UnixMicro()},
	}.on(t)
	translations := t.TempDir()
	ok(t, os.MkdirAll(filepath.Join(translations, "es/LC_MESSAGES"), 0o700))
	ok(t, os.WriteFile(filepath.Join(translations, "es/LC_MESSAGES/xo-backupd.mo"), []byte("\xde\x12\x04\x95 broken"), 0o600))
	shell := startShell(t, x, bed.ShellOptions{Screen: "800x600", Scaling: "100", Env: []string{"LANGUAGE=es", "TEXTDOMAINDIR=" + translations}})
	steps(t, shell, `
		see Which one is you
		shoot intro-choice-small
		key Return KP_Enter space Escape
		click A4
		see Is this you
		click Back
		see Which one is you
		click A3
		see nothing saved yet
		key Return Return Return
		click Yes, this is me
		see Your Journal is coming back
		shoot intro-progress-small
		click Start now
		see Nombre
		key ctrl+a
		type Zora
		key Escape Return
		see Clic para
		key Return
		key Return`)
	ok(t, shell.AwaitJournal(t.Context()))
	x.Options.Nick, x.Options.Color, x.Options.Group = "Zora", "", ""
	hasProfile(t, x)
	if claimed := <-claims; claimed != "A3" || len(claims) > 0 {
		t.Errorf("%s and %d more were claimed", claimed, len(claims))
	}
}

// Whatever the school server says, the child reads what to do, and gets into Sugar.
func TestIntroNothingGoesWell(t *testing.T) {
	long(t)
	t.Parallel()
	answers := []*dbus.Error{
		failure("ServerUnavailable", "gone"), failure("ClaimRefused", "Too many wrong codes came from this laptop: it may try again in 4 minutes."), nil,
	}
	restores := make(chan bool, 9)
	x, conn := fake{
		methods: map[string]any{
			"FindBackups": offering(beto),
			"Claim": func(string, string) (string, string, *dbus.Error) {
				err := answers[0]
				answers = answers[1:]
				return "pending", "hen eye spoon", err
			},
			"Restore": func(string) (dbus.ObjectPath, *dbus.Error) {
				restores <- true
				return jobPath, nil
			},
			"Wait": func(dbus.ObjectPath) (string, string, string, *dbus.Error) {
				return "failed", bed.BackupName + ".Error.ServerUnavailable", "gone", nil
			},
		},
		properties: props{"Account": "A1"},
	}.on(t)
	shell := startShell(t, x, bed.ShellOptions{})
	steps(t, shell, `
		click Yes, this is me
		see The school server is not in reach
		shoot intro-no-answer
		click I have a code
		type 12341234
		key Return
		see does not take this code
		see in 4 minutes
		shoot intro-locked
		click Back
		click Yes, this is me
		see ^hen eye spoon$`)
	for _, told := range []string{"A2 refused", "A1 pending", "A1 granted", "A1 granted"} {
		account, state, _ := strings.Cut(told, " ")
		ok(t, conn.Emit(backupPath, bed.BackupName+".ClaimChanged", account, state))
	}
	steps(t, shell, `
		see Your Journal is coming back
		see The school server is not in reach
		shoot intro-failed
		click Go on
		see Select grade
		above 4th
		click Done`)
	ok(t, shell.AwaitJournal(t.Context()))
	x.Options.Nick, x.Options.Color, x.Options.Group = "Beto", "#00A0FF,#8BFF7A", "4th Grade"
	hasProfile(t, x)
	if len(restores) != 1 {
		t.Errorf("%d restores", len(restores))
	}
}

// While the school server looks at a code, no second is sent: each wrong one is counted.
func TestIntroOneCodeAtATime(t *testing.T) {
	long(t)
	t.Parallel()
	answer, claims := make(chan bool), make(chan string, 9)
	x, _ := fake{methods: map[string]any{
		"FindBackups": offering(beto),
		"Claim": func(_, code string) (string, string, *dbus.Error) {
			claims <- code
			<-answer
			return "", "", failure("ClaimRefused", "wrong")
		},
	}}.on(t)
	shell := startShell(t, x, small)
	steps(t, shell, `
		click I have a code
		type 12341234
		key Return
		see One moment
		type 5
		key Return Return`)
	close(answer)
	steps(t, shell, `see does not take this code`)
	if len(claims) != 1 {
		t.Errorf("%d codes were sent", len(claims))
	}
}

// A service that is killed goes on with the restore in another job, and so does the
// wizard.
func TestIntroServiceKilled(t *testing.T) {
	long(t)
	t.Parallel()
	restores := make(chan bool, 9)
	x, _ := fake{
		methods: map[string]any{
			"FindBackups": offering(beto),
			"Claim":       func(string, string) (string, string, *dbus.Error) { return "granted", "", nil },
			"Restore": func(string) (dbus.ObjectPath, *dbus.Error) {
				restores <- true
				return jobPath, nil
			},
			"Wait": func(dbus.ObjectPath) (result, name, message string, _ *dbus.Error) {
				if len(restores) == 1 {
					return "", "", "", failure("InvalidArgument", "No job 1 is known.")
				}
				return "done", "", "", nil
			},
		},
		properties: props{"Account": "A1"},
	}.on(t)
	shell := startShell(t, x, small)
	steps(t, shell, `
		click Yes, this is me
		see Your Journal is coming back
		see Select grade
		click Done`)
	ok(t, shell.AwaitJournal(t.Context()))
	if len(restores) != 2 {
		t.Errorf("%d restores", len(restores))
	}
}

// Where the power went when all was answered already, nothing is asked again.
func TestIntroPowerCut(t *testing.T) {
	long(t)
	t.Parallel()
	x, _ := fake{
		methods:    map[string]any{"FindBackups": offering()},
		properties: props{"Account": "A1"},
	}.on(t)
	x.Options.Nick, x.Options.Color, x.Options.Group = "Amara", "#FF2B34,#00A0FF", "4th Grade"
	ok(t, x.Wizard(t.Context()))
	for _, key := range []string{"owner.key", "owner.key.pub"} {
		ok(t, os.Remove(filepath.Join(x.Profile, key)))
	}
	shell := startShell(t, x, bed.ShellOptions{})
	ok(t, shell.AwaitJournal(t.Context()))
	hasProfile(t, x)
}
