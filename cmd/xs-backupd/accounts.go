package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// accountLine is an account, or, where that is empty, what waits of laptops that
// name no account, or none that there is.
type accountLine struct {
	Account    store.AccountID `json:"account"`
	Nick       string          `json:"nick"`
	Color      string          `json:"color"`
	Group      string          `json:"group"`
	Created    int64           `json:"created"`
	Machines   []store.Machine `json:"machines"`
	Aliases    []store.Machine `json:"aliases,omitempty"`
	Keys       int             `json:"keys"`
	Snapshots  int             `json:"snapshots"`
	Pinned     []string        `json:"pinned,omitempty"`
	LastBackup int64           `json:"last_backup"`
	Entries    int             `json:"entries"`
	Bytes      int64           `json:"bytes"`
	// Requests are those to be let in: what waits, and what became of the others.
	Requests []requestLine `json:"requests"`
	// LooksLike are accounts that may be of the same child.
	LooksLike []store.AccountID `json:"looks_like,omitempty"`
	// Problem says why the rest is not known.
	Problem string `json:"problem,omitempty"`

	keys map[string]bool
}

// requestLine is a claim as an administrator sees it.
type requestLine struct {
	Sign    string       `json:"sign"`
	State   store.State  `json:"state"`
	By      store.How    `json:"by,omitempty"`
	Nick    string       `json:"nick,omitempty"`
	Serial  store.Serial `json:"serial"`
	UUID    string       `json:"uuid"`
	Asked   int64        `json:"asked"`
	Decided int64        `json:"decided,omitempty"`
	// Key is that of the request. Beside are the keys that the same laptop had
	// before; Back is when the laptop that was replaced came again.
	Key    string   `json:"key"`
	Beside []string `json:"beside,omitempty"`
	Back   int64    `json:"back,omitempty"`
	// Account is the one that a laptop named which is not recognised.
	Account string `json:"account,omitempty"`
}

func (p *program) accounts() *cobra.Command {
	return p.verb("accounts", "List the accounts: one for each child", `accounts lists who is registered, their laptops (the one that backs up first), how
many snapshots there are, and when the last backup was made or confirmed. The
notes name the laptops that wait to be let in, by the sign that they show, what
was let in and how, and accounts that look as if they were of the same child.`,
		noArgs, func(cmd *cobra.Command, _ xs.Config, s *store.Store, _ []string) error {
			list, err := accountLines(s)
			if err != nil {
				return err
			}
			if list, err = withStrangers(s, list); err != nil {
				return err
			}
			findTwins(list)
			if p.json {
				err = array(p, list)
			} else {
				var rows [][]string
				for _, a := range list {
					rows = append(rows, a.row())
				}
				err = p.table([]string{"ACCOUNT", "NICK", "GROUP", "LAPTOPS", "SNAPSHOTS", "LAST BACKUP", "ENTRIES", "SIZE", "NOTES"}, rows)
			}
			if err != nil {
				return err
			}
			return p.sayUnreadable(list)
		})
}

func (a accountLine) row() []string {
	if a.Problem != "" {
		return []string{string(a.Account), "-", "-", "-", "-", "-", "-", "-", "cannot be read"}
	}
	notes := dash(plain(strings.Join(a.notes(), "; ")))
	if a.Account == "" {
		return []string{"-", "-", "-", "-", "-", "-", "-", "-", notes}
	}
	var laptops []string
	for _, m := range a.Machines {
		switch {
		case m.Serial == "":
		case m.Writes:
			laptops = slices.Insert(laptops, 0, string(m.Serial))
		default:
			laptops = append(laptops, string(m.Serial))
		}
	}
	return []string{string(a.Account), dash(plain(a.Nick)), dash(plain(a.Group)), dash(strings.Join(laptops, ",")), fmt.Sprint(a.Snapshots),
		when(a.LastBackup), fmt.Sprint(a.Entries), wire.Size(uint64(a.Bytes)), notes}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// notes are what a person has to know, or to decide.
func (a accountLine) notes() (notes []string) {
	for i := len(a.Requests) - 1; i >= 0; i-- {
		if note := a.Requests[i].note(); note != "" {
			notes = append(notes, note)
		}
	}
	for _, m := range a.Aliases {
		notes = append(notes, fmt.Sprintf("%s is an alias", m.Serial))
	}
	if len(a.Pinned) > 0 {
		notes = append(notes, "kept until somebody answers: "+strings.Join(a.Pinned, ", "))
	}
	for _, id := range a.LooksLike {
		notes = append(notes, fmt.Sprintf("looks like the child of %s", id))
	}
	return notes
}

func (r requestLine) note() string {
	who := r.Nick
	if r.Serial != "" {
		who = strings.TrimSpace(who + " " + string(r.Serial))
	}
	if who == "" {
		who = "a laptop"
	}
	switch r.State {
	case store.Waits:
		if r.Account != "" {
			return fmt.Sprintf("'%s' waits: %s, not recognised, asks for %s", r.Sign, who, r.Account)
		}
		return fmt.Sprintf("'%s' waits: %s", r.Sign, who)
	case store.Frozen:
		return fmt.Sprintf("'%s' is FROZEN: %s came with two keys, %.15s… and before it %s", r.Sign, who, r.Key, short(r.Beside))
	case store.Granted:
		note := fmt.Sprintf("'%s' was let in by %s, %s: %s", r.Sign, r.By, when(r.Decided), who)
		if r.Back != 0 {
			note += ", and the laptop of before came again, " + when(r.Back)
		}
		return note
	}
	return ""
}

func short(keys []string) string {
	var list []string
	for _, key := range keys {
		list = append(list, fmt.Sprintf("%.15s…", key))
	}
	return strings.Join(list, ", ")
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
			line = accountLine{Account: id, Machines: []store.Machine{}, Requests: []requestLine{}, Problem: err.Error()}
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
	about, err := s.About(id)
	if err != nil {
		return accountLine{}, err
	}
	line := accountLine{Account: id, Nick: about.Nick, Color: about.Color, Group: about.Group, Created: a.Created, Machines: a.Machines,
		Aliases: a.Aliases, Keys: len(a.Keys), Snapshots: len(snaps), Pinned: a.Pins, Requests: []requestLine{}, keys: map[string]bool{}}
	if len(snaps) > 0 {
		line.LastBackup, line.Entries, line.Bytes = snaps[0].Confirmed, snaps[0].Entries, snaps[0].Bytes
	}
	for _, k := range a.Keys {
		line.keys[k.Key] = true
	}
	for _, c := range a.Claims {
		r := requestOf(c)
		for _, k := range a.Keys {
			if c.Serial != "" && k.Serial == c.Serial && k.Key != c.Key && k.Claim != c.ID {
				r.Beside = append(r.Beside, store.Fingerprint(k.Key))
			}
		}
		line.Requests = append(line.Requests, r)
	}
	return line, nil
}

func requestOf(c store.Claim) requestLine {
	return requestLine{Sign: c.Sign, State: c.State, By: c.By, Nick: c.Nick, Serial: c.Serial, UUID: c.UUID,
		Asked: c.Asked, Decided: c.Since, Key: store.Fingerprint(c.Key), Back: c.Back}
}

// withStrangers adds what waits of laptops that are not recognised: to the account
// that they name, or by itself.
func withStrangers(s *store.Store, list []accountLine) ([]accountLine, error) {
	requests, err := s.Requests()
	if err != nil {
		return nil, err
	}
	alone := accountLine{Machines: []store.Machine{}}
	for _, r := range requests {
		line := requestOf(r.Claim)
		line.Account = r.Account
		if i := slices.IndexFunc(list, func(a accountLine) bool { return string(a.Account) == r.Account }); i >= 0 {
			list[i].Requests = append(list[i].Requests, line)
		} else {
			alone.Requests = append(alone.Requests, line)
		}
	}
	if len(alone.Requests) > 0 {
		list = append(list, alone)
	}
	return list, nil
}

// findTwins notes which accounts look like one child: the same nick and colours, or
// a key that is in both. A laptop that registered anew leaves such a pair.
func findTwins(list []accountLine) {
	same := map[string][]int{}
	for i, a := range list {
		if a.Nick != "" && a.Color != "" {
			name := "child " + a.Color + " " + a.Nick
			same[name] = append(same[name], i)
		}
		for key := range a.keys {
			same["key "+key] = append(same["key "+key], i)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(same)) {
		for _, i := range same[name] {
			for _, j := range same[name] {
				if i != j && !slices.Contains(list[i].LooksLike, list[j].Account) {
					list[i].LooksLike = append(list[i].LooksLike, list[j].Account)
				}
			}
		}
	}
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
