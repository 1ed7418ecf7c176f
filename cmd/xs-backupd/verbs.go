package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// verb makes a command that reads the store and prints one list.
func (p *program) verb(use, short, long string, args cobra.PositionalArgs, f func(*cobra.Command, xs.Config, *store.Store, []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: args}
	p.wantsJSON(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.config(cmd)
		if err != nil {
			return err
		}
		s, err := store.Open(c.Root, slog.New(slog.NewTextHandler(p.log, nil)))
		if err != nil {
			return err
		}
		defer s.Close()
		return f(cmd, c, s, args)
	}
	return cmd
}

// table prints rows for people: a line of names, then the lines.
func (p *program) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// array prints objects for scripts.
func array[T any](p *program, list []T) error {
	if list == nil {
		list = []T{}
	}
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}

func when(unix int64) string {
	if unix == 0 {
		return "never"
	}
	return time.Unix(unix, 0).Format("2006-01-02 15:04")
}

// plain makes what a laptop sent fit to be shown on a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

type accountLine struct {
	Account    store.AccountID `json:"account"`
	Nick       string          `json:"nick"`
	Created    int64           `json:"created"`
	Machines   []store.Machine `json:"machines"`
	Keys       int             `json:"keys"`
	Snapshots  int             `json:"snapshots"`
	LastBackup int64           `json:"last_backup"`
	Entries    int             `json:"entries"`
	Bytes      int64           `json:"bytes"`
	// Problem says why the rest is not known.
	Problem string `json:"problem,omitempty"`
}

func (p *program) accounts() *cobra.Command {
	return p.verb("accounts", "List the accounts: one for each child", `accounts lists who is registered, the laptop that writes each account, how many
snapshots there are, and when the last backup was made or confirmed.`,
		noArgs, func(cmd *cobra.Command, _ xs.Config, s *store.Store, _ []string) error {
			list, err := accountLines(s)
			if err != nil {
				return err
			}
			if p.json {
				err = array(p, list)
			} else {
				var rows [][]string
				for _, a := range list {
					rows = append(rows, a.row())
				}
				err = p.table([]string{"ACCOUNT", "NICK", "LAPTOP", "SNAPSHOTS", "LAST BACKUP", "ENTRIES", "SIZE"}, rows)
			}
			if err != nil {
				return err
			}
			return p.sayUnreadable(list)
		})
}

func (a accountLine) row() []string {
	if a.Problem != "" {
		return []string{string(a.Account), "-", "-", "-", "-", "-", "-"}
	}
	writer := "-"
	for _, m := range a.Machines {
		if m.Writes && m.Serial != "" {
			writer = string(m.Serial)
		}
	}
	return []string{string(a.Account), plain(a.Nick), writer, fmt.Sprint(a.Snapshots),
		when(a.LastBackup), fmt.Sprint(a.Entries), wire.Size(uint64(a.Bytes))}
}

// accountLines describes all accounts. One that cannot be read hides no other.
func accountLines(s *store.Store) ([]accountLine, error) {
	ids, err := s.Accounts()
	if err != nil {
		return nil, err
	}
	var list []accountLine
	for _, id := range ids {
		line, err := describe(s, id)
		if errors.Is(err, store.ErrNoAccount) {
			continue // it went meanwhile
		}
		if err != nil {
			line = accountLine{Account: id, Machines: []store.Machine{}, Problem: err.Error()}
		}
		list = append(list, line)
	}
	return list, nil
}

func describe(s *store.Store, id store.AccountID) (accountLine, error) {
	a, err := s.Account(id)
	if err != nil {
		return accountLine{}, err
	}
	snaps, err := snapshotsOf(s, id)
	if err != nil {
		return accountLine{}, err
	}
	line := accountLine{Account: id, Nick: a.Nick, Created: a.Created, Machines: a.Machines, Keys: len(a.Keys), Snapshots: len(snaps)}
	if len(snaps) > 0 {
		line.LastBackup, line.Entries, line.Bytes = snaps[0].Confirmed, snaps[0].Entries, snaps[0].Bytes
	}
	return line, nil
}

// sayUnreadable is an error if some accounts could not be read, which it says.
func (p *program) sayUnreadable(list []accountLine) error {
	var err error
	for _, a := range list {
		if a.Problem != "" {
			fmt.Fprintf(p.log, "xs-backupd: account %s cannot be read: %s\n", a.Account, plain(a.Problem))
			err = errSilent
		}
	}
	return err
}

func snapshotsOf(s *store.Store, id store.AccountID) ([]wire.Snapshot, error) {
	folder, err := s.Folder(id)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return folder.Snapshots()
}

func (p *program) snapshots() *cobra.Command {
	return p.verb("snapshots ACCOUNT", "List what is kept of one account", `snapshots lists the complete copies that are kept of one account, newest first.
Each is a folder ROOT/ACCOUNT/snapshots/ID; the file ID.manifest beside it is
what 'sha256sum -c ../ID.manifest' checks inside that folder.`,
		exactly("ACCOUNT"), func(cmd *cobra.Command, _ xs.Config, s *store.Store, args []string) error {
			id, err := store.ParseAccountID(args[0])
			if err != nil {
				return &usageError{err}
			}
			list, err := snapshotsOf(s, id)
			if err != nil {
				return err
			}
			if p.json {
				return array(p, list)
			}
			var rows [][]string
			for _, r := range list {
				rows = append(rows, []string{r.ID, fmt.Sprint(r.Seq), when(r.Confirmed), fmt.Sprint(r.Entries), wire.Size(uint64(r.Bytes)), r.Machine})
			}
			return p.table([]string{"SNAPSHOT", "SEQ", "CONFIRMED", "ENTRIES", "SIZE", "LAPTOP"}, rows)
		})
}
