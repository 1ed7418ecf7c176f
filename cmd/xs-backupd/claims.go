package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/xs"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// maxOpen is how long all may be let in at most.
const maxOpen = 7 * 24 * time.Hour

// words is a flag that is none of the configuration's texts.
type words string

func (w *words) String() string     { return string(*w) }
func (w *words) Set(s string) error { *w = words(s); return nil }
func (w *words) Type() string       { return "words" }

// grantLine is what an administrator has decided.
type grantLine struct {
	requestLine
	Account store.AccountID `json:"account"`
}

func (p *program) approve() *cobra.Command {
	var (
		all, refuse bool
		open        time.Duration
		sign        words
	)
	cmd := p.verb("approve [ACCOUNT]", "Let in a laptop that waits, or take that back", `approve lets in the laptop that waits for an account. If several do, --sign says
which: the words that the laptop shows, and that 'xs-backupd accounts' names. With
its sign a laptop is let in also if it has named no account. From then on it is
the one that backs up; the one before may still read.

A request that is frozen is one of a laptop that came again with the key that it
had before it was set up anew. To approve it is to say that the new key is the
child's; the old one is let in no more.

--refuse turns away who waits, and takes back what was let in, however that was.
--all lets in all laptops that wait and are recognised, and with --for those too
that ask within that time: for the day that a class is set up anew.`,
		atMost(1), func(cmd *cobra.Command, _ xs.Config, s *store.Store, args []string) error {
			if err := checkApprove(args, all, refuse, string(sign), open); err != nil {
				return &usageError{err}
			}
			if all {
				return p.approveAll(cmd, s, open)
			}
			id, err := store.ParseAccountID(args[0])
			if err != nil {
				return &usageError{err}
			}
			decide := s.Approve
			if refuse {
				decide = s.Refuse
			}
			c, err := decide(cmd.Context(), id, string(sign))
			if err != nil {
				return err
			}
			return p.sayGranted([]grantLine{{requestOf(c), id}})
		})
	cmd.Flags().BoolVar(&all, "all", false, "let in all that wait and are recognised")
	cmd.Flags().DurationVar(&open, "for", 0, "with --all: and those that ask within that time, like 1h")
	cmd.Flags().BoolVar(&refuse, "refuse", false, "turn away, or take back what was let in")
	cmd.Flags().Var(&sign, "sign", "the words that the laptop shows")
	return cmd
}

func checkApprove(args []string, all, refuse bool, sign string, open time.Duration) error {
	switch {
	case !all && len(args) == 0:
		return errors.New("ACCOUNT is missing, or --all")
	case all && (len(args) > 0 || refuse || sign != ""):
		return errors.New("--all goes with --for and nothing else")
	case !all && open != 0:
		return errors.New("--for goes with --all")
	case open < 0 || open > maxOpen:
		return fmt.Errorf("--for is %v; allowed is up to %v", open, maxOpen)
	}
	return nil
}

func (p *program) approveAll(cmd *cobra.Command, s *store.Store, open time.Duration) error {
	// First, so that nobody who asks meanwhile falls between the two.
	if open > 0 {
		if err := s.OpenFor(cmd.Context(), open); err != nil {
			return err
		}
	}
	granted, failed := s.ApproveAll(cmd.Context())
	var lines []grantLine
	for _, g := range granted {
		lines = append(lines, grantLine{requestOf(g.Claim), g.Account})
	}
	return errors.Join(failed, p.sayGranted(lines))
}

func (p *program) sayGranted(lines []grantLine) error {
	if p.json {
		return array(p, lines)
	}
	var rows [][]string
	for _, l := range lines {
		rows = append(rows, []string{string(l.State), string(l.Account), l.Sign, dash(string(l.Serial)), dash(plain(l.Nick))})
	}
	return p.table([]string{"STATE", "ACCOUNT", "SIGN", "LAPTOP", "NICK"}, rows)
}

type codeLine struct {
	Account store.AccountID `json:"account"`
	Code    string          `json:"code"`
}

func (p *program) code() *cobra.Command {
	return p.verb("code ACCOUNT", "Print a code that lets one laptop in", `code prints eight digits with which one laptop, whichever it is, gets the account:
once, and within a week. The code before it can no longer be used. It is not kept
here, but for what it takes to recognise it, so it is shown just this once.`,
		exactly("ACCOUNT"), func(cmd *cobra.Command, _ xs.Config, s *store.Store, args []string) error {
			id, err := store.ParseAccountID(args[0])
			if err != nil {
				return &usageError{err}
			}
			code, err := s.NewCode(cmd.Context(), id)
			if err != nil {
				return err
			}
			if p.json {
				return array(p, []codeLine{{id, code.String()}})
			}
			_, err = fmt.Fprintln(p.out, code)
			return err
		})
}

type aliasLine struct {
	Account store.AccountID `json:"account"`
	Serial  store.Serial    `json:"serial"`
	UUID    string          `json:"uuid"`
	Since   int64           `json:"since"`
}

func (p *program) alias() *cobra.Command {
	var remove bool
	cmd := p.verb("alias ACCOUNT MACHINE", "Let another laptop have an account", `alias names a laptop that is let into the account as soon as it asks, for a child
whose own is broken or lost. MACHINE is its serial number, or SERIAL/UUID. Without
the uuid it is the laptop that is registered here under that serial number, or else
the first that comes with it. It becomes the one that backs up.

--remove undoes that, also where the laptop has been let in.

It prints the aliases of the account that have not been used yet.`,
		exactly("ACCOUNT", "MACHINE"), func(cmd *cobra.Command, _ xs.Config, s *store.Store, args []string) error {
			id, err := store.ParseAccountID(args[0])
			if err != nil {
				return &usageError{err}
			}
			name, uuid, _ := strings.Cut(args[1], "/")
			serial, err := store.ParseSerial(name)
			if err != nil {
				return &usageError{err}
			}
			if remove {
				err = s.RemoveAlias(cmd.Context(), id, serial)
			} else {
				err = p.addAlias(cmd, s, id, store.Machine{Serial: serial, UUID: uuid})
			}
			if err != nil {
				return err
			}
			return p.sayAliases(s, id)
		})
	cmd.Flags().BoolVar(&remove, "remove", false, "undo it")
	return cmd
}

func (p *program) addAlias(cmd *cobra.Command, s *store.Store, id store.AccountID, m store.Machine) error {
	if m.UUID == "" {
		if known, err := s.Find(cmd.Context(), string(m.Serial)); err == nil {
			if w, ok := known.Writer(); ok && w.Serial == m.Serial && w.Speaks() {
				m.UUID = w.UUID
			}
		}
	}
	return s.Alias(cmd.Context(), id, m)
}

func (p *program) sayAliases(s *store.Store, id store.AccountID) error {
	a, err := s.Account(id)
	if err != nil {
		return err
	}
	var lines []aliasLine
	var rows [][]string
	for _, m := range a.Aliases {
		lines = append(lines, aliasLine{id, m.Serial, m.UUID, m.Since})
		rows = append(rows, []string{string(id), string(m.Serial), dash(plain(m.UUID)), when(m.Since)})
	}
	if p.json {
		return array(p, lines)
	}
	return p.table([]string{"ACCOUNT", "LAPTOP", "UUID", "SINCE"}, rows)
}
