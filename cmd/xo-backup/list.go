package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/wire"
)

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "What the school server keeps of this Journal",
		Long: `What the school server keeps of this Journal, newest first. Each is the whole
Journal as it was then; 'xo-backup restore --snapshot ID' brings it back.

With --json: an array of objects; times are in Unix seconds.`,
		Args: cobra.NoArgs,
		RunE: a.verb(a.list),
	}
}

// snapshot is the JSON of list.
type snapshot struct {
	ID        string `json:"id"`
	Seq       uint64 `json:"seq"`
	Time      int64  `json:"time"`
	Confirmed int64  `json:"confirmed"`
	Entries   uint32 `json:"entries"`
	Bytes     uint64 `json:"bytes"`
	Account   string `json:"account"`
}

func (a *app) list(d *daemon) error {
	var answer []map[string]godbus.Variant
	if err := d.call(context.Background(), "ListSnapshots", nil, &answer); err != nil {
		return err
	}
	list := make([]snapshot, 0, len(answer))
	for _, s := range answer {
		list = append(list, snapshot{
			text(s["id"]), value[uint64](s["seq"]), value[int64](s["time"]), value[int64](s["confirmed"]),
			value[uint32](s["entries"]), value[uint64](s["bytes"]), text(s["account"]),
		})
	}
	if a.json {
		a.printJSON(list)
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "The school server keeps nothing of this Journal yet.\nNext: xo-backup now")
		return nil
	}
	now := time.Now()
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SNAPSHOT\tTAKEN\tENTRIES\tSIZE\tSTILL THE SAME")
	for _, s := range list {
		same := ""
		if s.Confirmed > s.Time {
			same = date(s.Confirmed, now)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.ID, date(s.Time, now), s.Entries, wire.Size(s.Bytes), same)
	}
	return w.Flush()
}
