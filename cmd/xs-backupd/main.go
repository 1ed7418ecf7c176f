// Command xs-backupd is the school server: it keeps the Journals of a school's
// laptops, and gives them back.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/transfer"
)

// version is set by the Makefile.
var version = "devel"

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	transfer.Child{Allow: datastore.CheckFile}.Main()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// program is what the verbs share.
type program struct {
	environ  []string
	out, log io.Writer
	json     bool
}

// usageError is a mistake in the command line or the configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errSilent: failed, and everything has been said.
var errSilent = errors.New("failed")

func run(ctx context.Context, args, environ []string, out, log io.Writer) int {
	p := &program{environ: environ, out: out, log: log}
	cmd := p.command()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(log)
	err := cmd.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(log, "xs-backupd: %v\nTry 'xs-backupd --help'.\n", err)
		return exitUsage
	}
	fmt.Fprintf(log, "xs-backupd: %v\n", err)
	return exitFailed
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "xs-backupd",
		Short: "The school server that keeps the Journals of a school's laptops",
		Long: `xs-backupd keeps the Journals of a school's laptops, and gives them back.

Laptops register by themselves, the way Sugar has always done it, and then back
up over ssh whenever they can reach the server. Everything that is kept is plain
files under one folder: each child has an account, each account its snapshots,
each snapshot is a complete copy that has been verified.

  xs-backupd serve                       serve, until SIGTERM
  xs-backupd accounts                    who is there, and how old the last backup is
  xs-backupd snapshots SHC02500FAB       what is kept of one child
  xs-backupd approve SHC02500FAB         let in the laptop that waits for it
  xs-backupd verify                      re-read everything and compare

The verbs work while the server runs or not. Settings come from
/etc/xs-backupd/config.toml, then the environment (XS_BACKUPD_ROOT=/srv/backup),
then the command line; 'xs-backupd serve --help' lists them.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration.`,
		Version:       version,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &usageError{errors.New("a verb is wanted")}
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	flags := root.PersistentFlags()
	flags.String("root", "", "folder that holds the accounts (default "+defaultRoot()+")")
	flags.String("config", "", "configuration file (default "+configFile+", if it is there)")
	root.AddCommand(p.serve(), p.accounts(), p.snapshots(), p.approve(), p.code(), p.alias(), p.verify(), p.status())
	return root
}

// wantsJSON gives a verb its --json.
func (p *program) wantsJSON(flags *pflag.FlagSet) {
	flags.BoolVar(&p.json, "json", false, "print an array of JSON objects")
}

func noArgs(_ *cobra.Command, args []string) error { return atMost(0)(nil, args) }

// atMost and exactly are cobra's, with our exit status.
func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return &usageError{fmt.Errorf("unexpected argument %.80q", args[n])}
		}
		return nil
	}
}

func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return &usageError{fmt.Errorf("%s is missing", names[len(args)])}
		}
		return atMost(len(names))(cmd, args)
	}
}
