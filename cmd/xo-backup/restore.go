package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	godbus "github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"
)

func (a *app) restoreCommand() *cobra.Command {
	var (
		id, entry    string
		replace, yes bool
	)
	c := &cobra.Command{
		Use:   "restore",
		Short: "Bring the Journal back from the school server",
		Long: `Bring the Journal back from the school server.

What is missing here comes back. What was changed here since stays; if it was
changed on both sides, both versions are there afterwards.

With --replace the whole Journal becomes what the snapshot holds. What was here
is kept beside it for a week, where there is room.

With --entry one entry comes back, from the latest snapshot unless another is
given; 'xo-backup find TEXT --snapshot ID' shows its UID. If what is here of it is
newer, both are there afterwards.

Ctrl-C leaves it to go on by itself; 'xo-backup cancel' stops it. One that was cut
off, by the server or the battery, goes on by itself while the backup service
runs, which 'xo-backup status' or anything else that asks it starts. Nothing is
backed up until it is over; 'xo-backup cancel' gives it up.

With --json: one object when it is over, as for 'now'.`,
		Example: `  xo-backup restore
  xo-backup restore --snapshot 2026-11-23T21-30-05Z
  xo-backup restore --snapshot 2026-11-23T21-30-05Z --replace
  xo-backup restore --entry 5a1e6f0c-0d3f-4f0e-9a51-3c6f2b7d8e90`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return fmt.Errorf("there is no argument %q; a snapshot is given as --snapshot %s", args[0], args[0])
			case replace && entry != "":
				return errors.New("--replace is about the whole Journal, --entry about one entry: give one of them")
			}
			return nil
		},
	}
	c.Flags().StringVar(&id, "snapshot", "", "the `ID` of a snapshot, as 'xo-backup list' shows it (the latest)")
	c.Flags().BoolVar(&replace, "replace", false, "replace the whole Journal")
	c.Flags().StringVar(&entry, "entry", "", "only the entry with this `UID`")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before replacing")
	c.RunE = a.verb(func(d *daemon) error {
		if replace && !yes && !a.agreed(id) {
			fmt.Fprintln(a.stderr, "Nothing was changed.")
			return status(exitFailed)
		}
		switch {
		case entry != "":
			return a.restore(d, "RestoreEntry", id, entry)
		case replace:
			return a.restore(d, "RestoreWithOptions", id, map[string]godbus.Variant{"mode": godbus.MakeVariant("replace")})
		}
		return a.restore(d, "Restore", id)
	})
	return c
}

// restore begins a restore, or finds the one that is under way, and shows it.
func (a *app) restore(d *daemon, method string, args ...any) error {
	var job godbus.ObjectPath
	if err := d.call(context.Background(), method, args, &job); err != nil {
		return err
	}
	return a.finish(d, job)
}

// agreed asks before the Journal is replaced, if somebody is there to be asked.
func (a *app) agreed(id string) bool {
	if !a.person {
		return true
	}
	if id == "" {
		id = "the latest"
	}
	return a.yes(fmt.Sprintf("The whole Journal of this laptop will be replaced by snapshot %s.\nWhat is only here will not be in the Journal any more. Go on?", id))
}

// yes asks; all but a clear yes is a no.
func (a *app) yes(question string) bool {
	fmt.Fprint(a.stderr, question, " [y/N] ")
	answer, _ := bufio.NewReader(a.stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}
