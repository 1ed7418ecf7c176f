package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/dbus"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "How things stand, and what is being done",
		Long: `How things stand: which school server, when the Journal was last backed up, and
what is being done now. Nothing is asked of the school server.

With --json: one object. last_backup is in Unix seconds, 0 is never.`,
		Args: cobra.NoArgs,
		RunE: a.verb(a.status),
	}
}

// standing is the JSON of status.
type standing struct {
	Version     string    `json:"version"`
	State       string    `json:"state"`
	StateReason string    `json:"state_reason"`
	Server      string    `json:"server"`
	Account     string    `json:"account"`
	Serial      string    `json:"serial"`
	LastBackup  int64     `json:"last_backup"`
	LastResult  string    `json:"last_result"`
	Entries     uint32    `json:"entries"`
	Jobs        []running `json:"jobs"`
}

type running struct {
	Job         string  `json:"job"`
	Operation   string  `json:"operation"`
	Phase       string  `json:"phase"`
	Progress    float64 `json:"progress"`
	Known       bool    `json:"progress_valid"`
	Bytes       uint64  `json:"bytes"`
	BytesDone   uint64  `json:"bytes_done"`
	Entries     uint32  `json:"entries"`
	Done        uint32  `json:"entries_done"`
	Skipped     uint32  `json:"entries_skipped"`
	ExpectedEnd uint64  `json:"expected_end"` // Unix microseconds, as on D-Bus
}

func (a *app) status(d *daemon) error {
	p, err := d.properties(dbus.Path, dbus.Interface)
	if err != nil {
		return err
	}
	s := standing{
		Version: text(p["Version"]), State: text(p["State"]), StateReason: text(p["StateReason"]),
		Server: text(p["Server"]), Account: text(p["Account"]), Serial: text(p["Serial"]),
		LastBackup: value[int64](p["LastBackup"]), LastResult: text(p["LastResult"]), Entries: value[uint32](p["Entries"]),
		Jobs: []running{},
	}
	var jobs []progress
	for _, path := range value[[]godbus.ObjectPath](p["Jobs"]) {
		properties, err := d.properties(path, dbus.JobInterface)
		if err != nil {
			continue // it is over just now
		}
		j := progressOf(properties)
		jobs = append(jobs, j)
		s.Jobs = append(s.Jobs, running{
			string(path), j.operation, j.phase, j.fraction, j.known,
			j.bytes, j.bytesDone, j.entries, j.done, j.skipped, j.expectedEnd,
		})
	}
	if a.json {
		a.printJSON(s)
		return nil
	}
	a.sayStanding(s, jobs)
	return nil
}

func (a *app) sayStanding(s standing, jobs []progress) {
	now := time.Now()
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	say := func(what, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:\t%s\n", what, value)
		}
	}
	state := s.State
	if words, ok := states[s.State]; ok {
		state = words
	}
	say("State", state)
	say("Why", s.StateReason)
	say("School server", s.Server)
	say("Account", s.Account)
	say("This laptop", s.Serial)
	say("Last backup", date(s.LastBackup, now))
	if s.LastBackup != 0 {
		say("Entries", fmt.Sprint(s.Entries))
	}
	say("Last result", s.LastResult)
	for _, j := range jobs {
		say("Running", work(j.operation)+": "+describe(j, now))
	}
	switch s.State {
	case dbus.StateUnregistered:
		say("Next", "xo-backup register")
	case dbus.StateFirstBoot:
		say("Next", "xo-backup recover")
	case dbus.StateNewServer:
		say("Next", "xo-backup register --trust FINGERPRINT")
	case dbus.StateIdle:
		if s.LastBackup == 0 {
			say("Next", "xo-backup now")
		}
	}
}

// states in words.
var states = map[string]string{
	dbus.StateUnregistered: "not registered with a school server",
	dbus.StateFirstBoot:    "new: it may have a backup at school",
	dbus.StateNewServer:    "another school server answers than the one that is known",
	dbus.StateIdle:         "ready",
	"backing-up":           "backing up",
	"restoring":            "restoring",
}
