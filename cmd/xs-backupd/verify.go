package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// verifyLine is what was found in a snapshot or, where that is empty, in an
// account.
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
read once. What is damaged is noted beside the snapshot, so that the next backup
of that laptop fetches it again. Exit status 1 says that something is not what it
was, or cannot be read.`,
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
				if _, err := s.Account(id); errors.Is(err, store.ErrNoAccount) {
					return err
				}
				ids = []store.AccountID{id}
			}
			var lines []verifyLine
			done := func(l verifyLine) {
				lines = append(lines, l)
				if !p.json {
					p.sayVerified(l)
				}
			}
			var cut error
			for _, id := range ids {
				if cut = verifyAccount(cmd.Context(), s, id, done); cut != nil {
					break
				}
			}
			if p.json {
				if err := array(p, lines); err != nil {
					return err
				}
			}
			if err := p.sumUp(lines); cut == nil {
				return err
			}
			return cut
		})
}

func (p *program) sayVerified(l verifyLine) {
	what := strings.TrimSpace(string(l.Account) + " " + l.Snapshot)
	if len(l.Problems) == 0 {
		fmt.Fprintf(p.out, "%s: %d files are what they were\n", what, l.Files)
	}
	for _, problem := range l.Problems {
		fmt.Fprintf(p.out, "%s: %s\n", what, plain(problem))
	}
}

// sumUp is an error if there were problems, and says how many.
func (p *program) sumUp(lines []verifyLine) error {
	snapshots, damaged, accounts := 0, 0, map[store.AccountID]bool{}
	for _, l := range lines {
		switch {
		case l.Snapshot == "":
			accounts[l.Account] = true // there is no such line without a problem
		case len(l.Problems) > 0:
			damaged++
			fallthrough
		default:
			snapshots++
		}
	}
	if damaged > 0 {
		fmt.Fprintf(p.log, "xs-backupd: %d of %d snapshots are damaged\n", damaged, snapshots)
	}
	if len(accounts) > 0 {
		fmt.Fprintf(p.log, "xs-backupd: %d accounts cannot be read, or not all of them\n", len(accounts))
	}
	if damaged == 0 && len(accounts) == 0 {
		return nil
	}
	return errSilent
}

// verifyAccount verifies what there is of an account. What cannot be read is a
// problem, and no reason to look at nothing else; the error is ctx's alone.
func verifyAccount(ctx context.Context, s *store.Store, id store.AccountID, done func(verifyLine)) error {
	problem := func(snapshot string, err error) {
		done(verifyLine{Account: id, Snapshot: snapshot, Problems: []string{err.Error()}})
	}
	folder, err := s.Folder(id)
	if err != nil {
		problem("", err)
		return nil
	}
	defer folder.Close()
	problems, err := folder.Check()
	if err != nil {
		problems = []string{err.Error()}
	}
	if len(problems) > 0 {
		done(verifyLine{Account: id, Problems: problems})
	}
	list, err := folder.Snapshots()
	if err != nil {
		problem("", err)
		return nil
	}
	var verifier store.Verifier
	for _, rec := range list {
		snap, err := folder.Snapshot(rec.ID)
		if err != nil {
			problem(rec.ID, err)
			continue
		}
		problems, files, err := verifier.Verify(ctx, snap)
		snap.Close()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			problem(rec.ID, err)
			continue
		}
		done(verifyLine{Account: id, Snapshot: rec.ID, Files: files, Problems: append([]string{}, problems...)})
	}
	return nil
}

type statusLine struct {
	Root       string `json:"root"`
	Version    string `json:"version"`
	Serving    bool   `json:"serving"`
	Accounts   int    `json:"accounts"`
	Unreadable int    `json:"unreadable,omitempty"` // of the accounts
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
				if a.Problem != "" {
					l.Unreadable++
				}
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
				if err := array(p, []statusLine{l}); err != nil {
					return err
				}
				return p.sayUnreadable(accounts)
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
			return p.sayUnreadable(accounts)
		})
}
