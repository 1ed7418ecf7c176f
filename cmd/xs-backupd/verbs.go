package main

import (
	"encoding/json"
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
