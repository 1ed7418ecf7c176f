// Command xo-backup is what a person types to back the Journal up to the school
// server and to bring it back. It talks to xo-backupd over D-Bus, and does
// nothing else.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// version is set by the linker.
var version = "devel"

// Exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitAway        = 3 // the server is busy or away: worth another try
	exitPartly      = 4
	exitInterrupted = 130
)

func main() {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, patience: 30 * time.Second}
	a.person = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
	a.bar = term.IsTerminal(int(os.Stdout.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
	if a.columns, _, _ = term.GetSize(int(os.Stderr.Fd())); a.columns <= 0 {
		a.columns = 80
	}
	os.Exit(a.run(os.Args[1:]))
}

// app is one call of the program.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	person         bool          // somebody is there to answer a question
	bar            bool          // progress is a bar; else it is lines
	columns        int           // of the terminal
	patience       time.Duration // with a claim, until it is asked for again
	json           bool
}

// status ends the program with an exit status; what there is to say has been said.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// failure is an error that a verb met, as against a mistake in how it was called.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func (a *app) run(args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.Execute()
	var (
		failed *failure
		ended  status
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &ended):
		return int(ended)
	case errors.As(err, &failed):
		return a.complain(failed.err)
	default:
		fmt.Fprintf(a.stderr, "xo-backup: %v\nTry 'xo-backup --help'.\n", err)
		return exitUsage
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "xo-backup",
		Short: "Keep your Journal safe at school, and bring it back",
		Long: `xo-backup keeps your Journal safe at the school server, and brings it back.

  xo-backup register     make this laptop known to the school server, once
  xo-backup now          back the Journal up
  xo-backup list         what the school server keeps
  xo-backup find TEXT    look for entries, here or in what the server keeps
  xo-backup restore      bring back what is missing here
  xo-backup recover      bring it back to a laptop that was set up anew

The backup itself is done by xo-backupd, which goes on when you leave this
program: 'xo-backup status' shows what it does, 'xo-backup cancel' stops it.

Exit status: 0 done, 1 failed, 2 not understood, 3 the school server is busy or
away (try again later), 4 done, but some entries are missing; 130 interrupted.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		// Without these two, a verb that does not exist would be a success.
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetVersionTemplate("xo-backup {{.Version}}\n")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "answer in JSON, for scripts")
	root.AddCommand(a.statusCommand(), a.nowCommand(), a.listCommand(), a.findCommand(), a.restoreCommand(), a.exportCommand(), a.registerCommand(), a.recoverCommand(), a.cancelCommand())
	return root
}

// verb makes a command's function of one that speaks to the daemon.
func (a *app) verb(do func(d *daemon) error) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error {
		d, err := dial()
		if err != nil {
			return &failure{err}
		}
		defer d.Close()
		if err := do(d); err != nil {
			return &failure{err}
		}
		return nil
	}
}
