package bed

import (
	"context"
	"fmt"
)

// installer has Sugar's own jarabe install bundles. Only one thing is changed:
// jarabe deletes what it has unpacked as soon as it has asked the datastore to
// take it, and so loses the file to whoever is faster; here it waits.
const installer = `
import sys
from dbus.mainloop.glib import DBusGMainLoop
DBusGMainLoop(set_as_default=True)
from gi.repository import GLib
from jarabe.journal import model
from jarabe.journal.journalentrybundle import JournalEntryBundle

write = model.write
def write_and_wait(metadata, file_path='', **options):
    loop = GLib.MainLoop()
    taken = []
    def ready(*args):
        taken.append(args)
        loop.quit()
    write(metadata, file_path, ready_callback=ready, **options)
    GLib.timeout_add_seconds(30, loop.quit)
    loop.run()
    if not taken:
        sys.exit('%s was not taken' % file_path)
model.write = write_and_wait

for argument in sys.argv[1:]:
    path, _, uid = argument.partition('=')
    JournalEntryBundle(path, uid or None).install()
`

// InstallBundles has Sugar's jarabe put Journal entry bundles into the Journal,
// each a path, or PATH=UID for one that lies in the Journal itself, as the entry
// UID. Afterwards the datastore is at rest.
func (x *XO) InstallBundles(ctx context.Context, bundles ...string) error {
	cmd := x.Command(ctx, "/usr/bin/python3", append([]string{"-c", installer}, bundles...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("jarabe: %w\n%s", err, out)
	}
	return x.Settle(ctx)
}
