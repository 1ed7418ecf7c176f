package sugar

import (
	"sync/atomic"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A daemon of another age keeps nobody waiting either: what cannot be shown is said in
// words.
func TestJournalOtherDaemon(t *testing.T) {
	long(t)
	t.Parallel()
	x := bed.XOFor(t, bed.Options{})
	conn := must(x.Connect())(t)
	defer conn.Close()
	var known atomic.Bool
	methods := map[string]any{
		"ListSnapshots": func() ([]map[string]dbus.Variant, *dbus.Error) {
			if known.Load() {
				return append(oddities, props{"id": "s1", "time": int64(1) << 60, "entries": uint32(3)}.variants()), nil
			}
			return oddities, nil
		},
		"find":     func(map[string]dbus.Variant, []string) (string, *dbus.Error) { return "entries", nil },
		"find_ids": func(map[string]dbus.Variant) (uint32, *dbus.Error) { return 3, nil },
	}
	check(t, conn.ExportMethodTable(methods, backupPath, bed.BackupName))
	check(t, conn.ExportMethodTable(methods, backupPath+"/snapshots/s1", bed.DataStoreName))
	must(conn.RequestName(bed.BackupName, 0))(t)
	shell := shellFor(t, x, bed.ShellOptions{Without: alone})
	journalSteps(t, shell, `
		open
		press Restore from school server
		see no backup of this Journal yet`)
	known.Store(true)
	journalSteps(t, shell, `
		press Retry
		day 3 entries
		see backup service does not answer
		press Close
		closed`)
	calm(t, shell)
	journalQuiet(t, shell)
}
