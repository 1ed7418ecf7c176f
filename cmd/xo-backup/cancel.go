package main

import (
	"context"
	"fmt"

	godbus "github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/dbus"
)

func (a *app) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel",
		Short: "Stop the backup, or whatever else runs",
		Long: `Stop the backup, the restore or whatever else runs, or waits for the school
server, and wait until it has stopped. What is safe at school stays safe; what
a restore has brought back stays here, and it does not go on any more.

With --json: an array with one object for each that was stopped, as for 'now'.`,
		Args: cobra.NoArgs,
		RunE: a.verb(a.cancel),
	}
}

func (a *app) cancel(d *daemon) error {
	p, err := d.properties(dbus.Path, dbus.Interface)
	if err != nil {
		return err
	}
	stopped := []outcome{}
	for _, job := range value[[]godbus.ObjectPath](p["Jobs"]) {
		o := outcome{Job: string(job)}
		if properties, err := d.properties(job, dbus.JobInterface); err == nil {
			o.Operation = text(properties["Operation"])
		}
		if err := d.call(context.Background(), "Cancel", []any{job}); err != nil {
			return err
		}
		if err := d.call(context.Background(), "Wait", []any{job}, &o.Result, &o.ErrorName, &o.Message); err != nil {
			return err
		}
		stopped = append(stopped, o)
	}
	if a.json {
		a.printJSON(stopped)
		return nil
	}
	for _, o := range stopped {
		if o.Result == dbus.ResultCancelled {
			fmt.Fprintln(a.stdout, o.Message)
		} else {
			fmt.Fprintf(a.stdout, "The %s was over already (%s). %s\n", work(o.Operation), o.Result, o.Message)
		}
	}
	if len(stopped) == 0 {
		fmt.Fprintln(a.stdout, "Nothing runs.")
	}
	return nil
}
