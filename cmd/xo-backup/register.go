package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/dbus"
)

func (a *app) registerCommand() *cobra.Command {
	var fingerprint string
	c := &cobra.Command{
		Use:   "register",
		Short: "Make this laptop known to the school server",
		Long: `Make this laptop known to the school server. It is needed once, and does no harm
when done again.

When another server answers than the one that this laptop knows, nothing is
sent to it. If it is the school's new one, compare the fingerprint that it shows
with the one that 'xo-backup status' shows, and give it with --trust.`,
		Example: `  xo-backup register
  xo-backup register --trust SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU`,
		Args: cobra.NoArgs,
		RunE: a.verb(func(d *daemon) error {
			if fingerprint != "" {
				if err := d.call(context.Background(), "TrustServer", []any{fingerprint}); err != nil {
					return err
				}
			}
			if err := d.call(context.Background(), "Register", nil); err != nil {
				return err
			}
			p, err := d.properties(dbus.Path, dbus.Interface)
			if err != nil {
				return err
			}
			server, account := text(p["Server"]), text(p["Account"])
			if a.json {
				a.printJSON(struct {
					Result  string `json:"result"`
					Server  string `json:"server"`
					Account string `json:"account"`
				}{dbus.ResultDone, server, account})
				return nil
			}
			fmt.Fprintf(a.stdout, "This laptop is registered with %s as %s.\n", server, account)
			return nil
		}),
	}
	c.Flags().StringVar(&fingerprint, "trust", "", "from now on trust the server with this `FINGERPRINT`")
	return c
}
