package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/dbus"
)

func (a *app) recoverCommand() *cobra.Command {
	var r recovery
	c := &cobra.Command{
		Use:   "recover [CODE]",
		Short: "Bring your Journal back to a laptop that was set up anew, or to another one",
		Long: `Bring your Journal back to a laptop that was set up anew, or that takes the place
of another one.

It shows what the school server keeps for this laptop, asks whether that is you,
asks the school server to let this laptop in, and brings the Journal back, as
'xo-backup restore' does. Where somebody has to let it in first, it shows the sign
that stands beside the request at the school server, and waits. Ctrl-C leaves the
request standing; 'xo-backup recover' goes on with it.

With a CODE, which whoever looks after the school server can give you for any
laptop, nobody is asked anything. Type it as it is written, with blanks or without.

If none of it is you: --not-me; to begin with an empty Journal: --afresh; to decide
another day: --later. Nothing is lost by any of them.

With --json: one object when the Journal is back, as for 'now'. With --no-wait and a
request that waits: result is pending, error_name is empty, account and sign say
which request it is, and the exit status is 1.`,
		Example: `  xo-backup recover
  xo-backup recover 1234 5678
  xo-backup recover --not-me`,
		Args: func(c *cobra.Command, args []string) error {
			r.code = strings.Join(args, " ")
			r.named, r.replies = r.account != "", given(c)
			return r.check(len(args) > 0)
		},
		RunE: a.verb(func(d *daemon) error {
			if len(r.replies) > 0 {
				return a.dismiss(d, r.replies[0])
			}
			return a.recover(d, r)
		}),
	}
	c.Flags().StringVar(&r.account, "account", "", "be this `ACCOUNT`, without being asked")
	c.Flags().BoolVarP(&r.yes, "yes", "y", false, "do not ask where there is just one Journal")
	c.Flags().BoolVar(&r.noWait, "no-wait", false, "do not wait until somebody lets this laptop in")
	for _, reply := range replies {
		c.Flags().Bool(reply.reason, false, reply.usage)
	}
	return c
}

// recovery is what a person asks recover for.
type recovery struct {
	code, account string
	yes, noWait   bool
	named         bool // the account was given, and may be none that is offered
	replies       []reply
}

func (r recovery) check(coded bool) error {
	switch {
	case coded && strings.TrimSpace(r.code) == "":
		return errors.New("the CODE is empty")
	case coded && r.named:
		return errors.New("a CODE says itself which account it is for: give no --account with it")
	case len(r.replies) > 1:
		return fmt.Errorf("--%s and --%s are two answers: give one of them", r.replies[0].reason, r.replies[1].reason)
	case len(r.replies) > 0 && (coded || r.named):
		return fmt.Errorf("--%s says that no Journal is to come back: give no CODE and no --account with it", r.replies[0].reason)
	}
	return nil
}

// recover brings a child's Journal back to a laptop that may be nobody's yet.
func (a *app) recover(d *daemon, r recovery) error {
	if r.code == "" && !r.named {
		chosen, err := a.chooseOffer(d, r.yes)
		if err != nil {
			return err
		}
		r.account = chosen.account
	}
	if err := a.claim(d, r); err != nil {
		return err
	}
	return a.restore(d, "Restore", "")
}

// reply is an answer to the offer of a Journal other than to take it.
type reply struct{ reason, usage, follows, next string }

var replies = []reply{
	{dbus.DismissLater, "decide another day: the offer stays",
		"Nothing was changed: the Journal stays at school, and the offer of it stays.", "xo-backup recover"},
	{dbus.DismissAfresh, "begin with an empty Journal: the old one stays at school",
		"A new Journal starts on this laptop; the old one stays at school.", "xo-backup register"},
	{dbus.DismissNotMe, "none of it is you: an account of your own",
		"This laptop gets an account of its own; what is at school stays with those whose it is.", "xo-backup register"},
}

// given are the replies among the flags.
func given(c *cobra.Command) (list []reply) {
	for _, reply := range replies {
		if yes, _ := c.Flags().GetBool(reply.reason); yes {
			list = append(list, reply)
		}
	}
	return list
}

func (a *app) dismiss(d *daemon, r reply) error {
	if err := d.call(context.Background(), "Dismiss", []any{r.reason}); err != nil {
		return err
	}
	if a.json {
		a.printJSON(outcome{Result: dbus.ResultDone, Message: r.follows})
		return nil
	}
	fmt.Fprintf(a.stdout, "%s\nNext: %s\n", r.follows, r.next)
	return nil
}
