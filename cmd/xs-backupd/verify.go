package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

type verifyLine struct {
	Account  store.AccountID `json:"account"`
	Snapshot string          `json:"snapshot"`
	Files    int             `json:"files"`
	Problems []string        `json:"problems"`
}

func (p *program) verify() *cobra.Command {
	return p.verb("verify [ACCOUNT]", "Re-read every snapshot and compare it with its manifest",
		`verify reads every file of every snapshot, of one account or of all, and compares
it with the sums that were taken when it arrived. Files that snapshots share are
read once. Exit status 1 says that something is not what it was.`,
		atMost(1), func(cmd *cobra.Command, _ xs.Config, s *store.Store, args []string) error {
			ids, err := s.Accounts()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				id, err := store.ParseAccountID(args[0])
				if err != nil {
					return &usageError{err}
				}
				ids = []store.AccountID{id}
			}
			var lines []verifyLine
			damaged := 0
			for _, id := range ids {
				err := verifyAccount(cmd.Context(), s, id, func(l verifyLine) {
					lines = append(lines, l)
					if len(l.Problems) > 0 {
						damaged++
					}
					if !p.json {
						p.sayVerified(l)
					}
				})
				if err != nil {
					return err
				}
			}
			if p.json {
				if err := array(p, lines); err != nil {
					return err
				}
			}
			if damaged > 0 {
				fmt.Fprintf(p.log, "xs-backupd: %d of %d snapshots are damaged\n", damaged, len(lines))
				return errSilent
			}
			return nil
		})
}

func (p *program) sayVerified(l verifyLine) {
	if len(l.Problems) == 0 {
		fmt.Fprintf(p.out, "%s %s: %d files are what they were\n", l.Account, l.Snapshot, l.Files)
	}
	for _, problem := range l.Problems {
		fmt.Fprintf(p.out, "%s %s: %s\n", l.Account, l.Snapshot, plain(problem))
	}
}

func verifyAccount(ctx context.Context, s *store.Store, id store.AccountID, done func(verifyLine)) error {
	folder, err := s.Folder(id)
	if err != nil {
		return err
	}
	defer folder.Close()
	problems, err := folder.Check()
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		done(verifyLine{Account: id, Problems: problems})
	}
	list, err := folder.Snapshots()
	if err != nil {
		return err
	}
	var verifier store.Verifier
	for _, rec := range list {
		snap, err := folder.Snapshot(rec.ID)
		if err != nil {
			return err
		}
		problems, files, err := verifier.Verify(ctx, snap)
		snap.Close()
		if err != nil {
			return err
		}
		if problems == nil {
			problems = []string{}
		}
		done(verifyLine{Account: id, Snapshot: rec.ID, Files: files, Problems: problems})
	}
	return nil
}

type statusLine struct {
	Root       string `json:"root"`
	Version    string `json:"version"`
	Serving    bool   `json:"serving"`
	Accounts   int    `json:"accounts"`
	Snapshots  int    `json:"snapshots"`
	LastBackup int64  `json:"last_backup"`
	FreeBytes  int64  `json:"free_bytes"`
	FreeInodes int64  `json:"free_inodes"`
	// Refuses is empty where a backup would be taken now, else why not.
	Refuses string `json:"refuses,omitempty"`
}

func (p *program) status() *cobra.Command {
	return p.verb("status", "Say how the server is", `status says whether a server runs on this root, how much there is, and whether a
backup would be taken now.`,
		noArgs, func(cmd *cobra.Command, c xs.Config, s *store.Store, _ []string) error {
			l := statusLine{Root: s.Dir(), Version: version}
			accounts, err := accountLines(s)
			if err != nil {
				return err
			}
			l.Accounts = len(accounts)
			for _, a := range accounts {
				l.Snapshots += a.Snapshots
				l.LastBackup = max(l.LastBackup, a.LastBackup)
			}
			if l.Serving, err = s.Serving(); err != nil && !os.IsNotExist(err) {
				return err
			}
			room, err := xs.Room(s.Dir(), c)
			if err != nil {
				return err
			}
			l.FreeBytes, l.FreeInodes, l.Refuses = room.Bytes, room.Inodes, room.Refuses
			if p.json {
				return array(p, []statusLine{l})
			}
			serving, takes := "no", "yes"
			if l.Serving {
				serving = "yes"
			}
			if l.Refuses != "" {
				takes = "no: " + l.Refuses
			}
			fmt.Fprintf(p.out, "Root: %s\nServer runs: %s\nTakes backups: %s\nAccounts: %d\nSnapshots: %d\nLast backup: %s\nFree: %s, %d inodes\n",
				l.Root, serving, takes, l.Accounts, l.Snapshots, when(l.LastBackup), wire.Size(uint64(l.FreeBytes)), l.FreeInodes)
			return nil
		})
}
