package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	godbus "github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"
)

func (a *app) exportCommand() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:   "export UID FILE.xoj",
		Short: "Take one entry along as a file",
		Long: `Take one entry along as a file: its title, its picture and all else that the
Journal knows of it, and what the activity saved. Another Sugar takes the file
into its Journal when it is opened there.

'xo-backup find' shows the UID of an entry. With --snapshot the entry is as that
snapshot holds it, else as it is here.

With --json: one object when it is over, as for 'now'.`,
		Example: `  xo-backup export 5a1e6f0c-0d3f-4f0e-9a51-3c6f2b7d8e90 boat.xoj
  xo-backup export 5a1e6f0c-0d3f-4f0e-9a51-3c6f2b7d8e90 /media/usb/boat.xoj --snapshot 2026-11-23T21-30-05Z`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) < 2:
				return errors.New("export needs the UID of an entry, as 'xo-backup find' shows it, and the name of a file")
			case len(args) > 2:
				return fmt.Errorf("export writes one entry to one file: %q is too much; a name with spaces needs quotation marks", args[2])
			case args[0] == "" || args[1] == "":
				return errors.New("neither the UID nor the name of the file can be empty")
			}
			return nil
		},
	}
	c.Flags().StringVar(&id, "snapshot", "", "the entry as it is in the snapshot with this `ID` (as it is here)")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.verb(func(d *daemon) error {
			// The daemon is in another folder than this program.
			file, err := filepath.Abs(args[1])
			if err != nil {
				return err
			}
			var job godbus.ObjectPath
			if err := d.call(context.Background(), "ExportEntry", []any{id, args[0], file}, &job); err != nil {
				return err
			}
			return a.finish(d, job)
		})(c, args)
	}
	return c
}
