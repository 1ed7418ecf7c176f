package sugar

import (
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// alone is a control panel without the frame's icon, which makes backups by itself.
const alone = "deviceicon/schoolbackup.py"

const (
	saves    = "{Save the contents of your Journal}"
	restores = "{Restore the contents of your Journal}"
)

// panel opens the control panel's backup, chooses the school server there, and goes
// on from that.
func panel(way, school string, steps ...string) []string {
	return append([]string{"panel ^{Backup}$", "click " + way, "choose " + school, "click ^{Continue}$"}, steps...)
}

func atSchool(way string, steps ...string) []string { return panel(way, "School server", steps...) }

// leave goes from the control panel's section back home.
var leave = []string{"click ^Cancel$", "key Escape", "gone ^Backup$"}

// What is missing comes back, and nothing is emptied, whatever Sugar says of others.
func TestPanel(t *testing.T) {
	t.Parallel()
	x, _, _ := pupil(t, 12)
	s := shellFor(t, x, bed.ShellOptions{Without: alone})
	do(t, s, "panel ^{Backup}$", "shoot panel-backup", "click "+saves, "shoot panel-where", "choose School server",
		"click ^{Continue}$", "see Backup finished", "shoot panel-saved")
	do(t, s, leave...)
	before, err := x.ReadJournal(t.Context())
	check(t, err)
	for uid := range before {
		check(t, x.Delete(t.Context(), uid))
		break
	}
	do(t, s, atSchool(restores, "see will not be emptied", "choose 12 entries", "shoot panel-which", "click ^Continue$",
		"see What is in your Journal now stays", "no emptied", "shoot panel-confirm", "click ^Accept$", "click ^Confirm$",
		"see Restore realized", "shoot panel-restored")...)
	back(t, x, before)
	calm(t, s)
}

// Sugar has no way to show a failure: it would say "Operation started" for ever.
func TestPanelFails(t *testing.T) {
	long(t)
	t.Parallel()
	x, xs, line := pupil(t, 24)
	s := shellFor(t, x, bed.ShellOptions{Screen: "800x600", Scaling: "100", Without: alone})
	do(t, s, atSchool(restores, "see no backup of this Journal yet", "shoot panel-nothing")...)
	do(t, s, leave...)

	reached := line.SSH.StandStill(1 << 20)
	do(t, s, atSchool(saves, "see Saving your Journal at school")...)
	await(t, "the line to stand still", reached)
	do(t, s, append([]string{"shoot panel-saving"}, leave...)...)
	line.SSH.GoOn()
	result, err := x.Wait(t.Context(), "/org/laptop/Backup/jobs/1")
	check(t, err)
	if result.Result != "cancelled" {
		t.Errorf("the backup that was left is %s", result.Result)
	}

	reached = line.SSH.StandStill(1 << 20)
	do(t, s, atSchool(saves, "see Saving your Journal at school")...)
	await(t, "the line to stand still", reached)
	check(t, xs.Kill())
	line.SSH.HangUp()
	line.SSH.GoOn()
	do(t, s, "see ^Retry$", "see not in reach", "shoot panel-failed")
	check(t, xs.Start(t.Context()))
	do(t, s, "click ^Retry$", "see Backup finished")
	calm(t, s)
}
