package main

import (
	"context"

	godbus "github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"
)

func (a *app) nowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "now",
		Short: "Back the Journal up",
		Long: `Back the Journal up to the school server, and show how far it is. Only what has
changed since the last time is sent.

Ctrl-C leaves it to go on by itself; 'xo-backup cancel' stops it.

With --json: one object when it is over: result (done, partial, cancelled,
failed), error_name, message, progress (1 when it was done to its end), entries
(in the backup), entries_skipped, bytes (that had to be sent), job, operation.`,
		Args: cobra.NoArgs,
		RunE: a.verb(func(d *daemon) error {
			var job godbus.ObjectPath
			if err := d.call(context.Background(), "Backup", nil, &job); err != nil {
				return err
			}
			return a.finish(d, job)
		}),
	}
}
