package main

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus"
)

// offer is a Journal at school that this laptop may claim.
type offer struct {
	account, nick, group string
	entries              uint32
	lastBackup           int64
}

// offers asks the school server.
func (d *daemon) offers() ([]offer, error) {
	var answer []map[string]godbus.Variant
	if err := d.call(context.Background(), "FindBackups", nil, &answer); err != nil {
		return nil, err
	}
	var list []offer
	for _, f := range answer {
		list = append(list, offer{
			text(f["account"]), text(f["nick"]), text(f["group"]), value[uint32](f["entries"]), value[int64](f["last_backup"]),
		})
	}
	return list, nil
}

// describe says whose it is, as a child knows it.
func (o offer) describe(now time.Time) string {
	whose := "the Journal of " + o.account
	if nick := cut(oneLine(o.nick), whatWidth); nick != "" {
		whose = nick + "'s Journal"
	}
	if group := cut(oneLine(o.group), whatWidth); group != "" {
		whose += " (" + group + ")"
	}
	entries := "1 entry"
	if o.entries != 1 {
		entries = fmt.Sprintf("%d entries", o.entries)
	}
	saved := "never saved"
	if o.lastBackup != 0 {
		saved = "last saved " + day(o.lastBackup, now)
	}
	return strings.Join([]string{whose, entries, saved}, ", ")
}

// chooseOffer answers the Journal that is this child's, or why there is none.
func (a *app) chooseOffer(d *daemon, yes bool) (offer, error) {
	offers, err := d.offers()
	if err != nil {
		return offer{}, err
	}
	switch {
	case len(offers) == 0:
		return offer{}, d.nothingOffered()
	case len(offers) == 1:
		return a.confirm(offers[0], yes)
	case !a.person:
		return offer{}, severalOffered(offers)
	}
	return a.askWhich(offers)
}

// confirm asks whether the only Journal is this child's, if somebody is there to
// be asked.
func (a *app) confirm(o offer, yes bool) (offer, error) {
	asks := a.person && !yes
	if asks || !a.json {
		fmt.Fprintf(a.stderr, "The school server keeps %s.\n", o.describe(time.Now()))
	}
	if asks && !a.yes("Is this you?") {
		return offer{}, a.sayNotMine()
	}
	return o, nil
}

// askWhich asks until the answer is one.
func (a *app) askWhich(offers []offer) (offer, error) {
	fmt.Fprintln(a.stderr, "The school server keeps:")
	for i, o := range offers {
		fmt.Fprintf(a.stderr, "%3d  %s\n", i+1, o.describe(time.Now()))
	}
	in := bufio.NewReader(a.stdin)
	for {
		fmt.Fprintf(a.stderr, "Which one is you? 1 to %d, or 0 for none: ", len(offers))
		line, err := in.ReadString('\n')
		answer := strings.ToLower(strings.TrimSpace(line))
		n, notNumber := strconv.Atoi(answer)
		switch {
		case notNumber == nil && n > 0 && n <= len(offers):
			return offers[n-1], nil
		case notNumber == nil && n == 0, answer == "none", err != nil:
			return offer{}, a.sayNotMine()
		}
	}
}

// sayNotMine: what else there is for a child that is none of those.
func (a *app) sayNotMine() error {
	fmt.Fprint(a.stderr, `Nothing was changed.
If none of it is you:              xo-backup recover --not-me
To begin with an empty Journal:    xo-backup recover --afresh
To decide another day:             xo-backup recover --later
`)
	return status(exitFailed)
}

// advice is an error in as many lines as it takes to say what to do.
type advice string

func (a advice) Error() string { return string(a) }

// nothingOffered is the error where the school server has nothing to offer.
func (d *daemon) nothingOffered() error {
	p, err := d.properties(dbus.Path, dbus.Interface)
	if err != nil {
		return err
	}
	if account := text(p["Account"]); account != "" {
		return advice(fmt.Sprintf(`There is nothing to recover: this laptop is %s at the school server, and nothing waits for an answer.
To bring back what is missing here:                 xo-backup restore
With a code for another Journal, from whoever
looks after the school server:                      xo-backup recover CODE`, account))
	}
	return advice(`The school server keeps nothing that it knows to be this laptop's.
With a code from whoever looks after it:            xo-backup recover CODE
If you have no Journal at school yet:               xo-backup register`)
}

// severalOffered is the error where nobody is there to be asked.
func severalOffered(offers []offer) error {
	said := []string{"There are several Journals for this laptop: say which with --account."}
	for _, o := range offers {
		said = append(said, fmt.Sprintf("  --account %s    %s", o.account, o.describe(time.Now())))
	}
	return advice(strings.Join(said, "\n"))
}
