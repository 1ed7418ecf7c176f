package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/dbus"
)

const findLimit = 20 // entries that a person reads

// search is what a person asks find for.
type search struct {
	text, snapshot, activity, since string
	limit                           int // 0: all
}

func (a *app) findCommand() *cobra.Command {
	var s search
	c := &cobra.Command{
		Use:   "find [TEXT]",
		Short: "Find entries of the Journal, or of what the school server keeps",
		Long: `Find entries of the Journal as it is here, or with --snapshot of one that the
school server keeps, newest first. Without TEXT: the newest ones.

It finds what the search of the Journal finds. The beginning of a word is enough,
and one of the words. After a + a word has to be there, after a - it must not be:
find 'boat -river'. What begins with a quotation mark is taken as it is: whole
words, "paper boat" in that order, and AND, OR, NOT between them.

What is found can be brought back or taken along by its UID:
'xo-backup restore --entry UID --snapshot ID', 'xo-backup export UID FILE.xoj'.

With --json: an array of objects, of all that is found unless there is a --limit;
timestamp is in Unix seconds.`,
		Example: `  xo-backup find boat
  xo-backup find +boat +river --since 7d
  xo-backup find 'boat -river'
  xo-backup find '"paper boat" AND NOT river'
  xo-backup find --activity paint --since yesterday
  xo-backup find boat --snapshot 2026-11-23T21-30-05Z`,
		Args: func(_ *cobra.Command, args []string) error {
			s.text = strings.Join(args, " ")
			return nil
		},
	}
	c.Flags().StringVar(&s.snapshot, "snapshot", "", "look into the snapshot with this `ID`, as 'xo-backup list' shows it")
	c.Flags().StringVar(&s.activity, "activity", "", "only entries of this `ACTIVITY`: a part of its name, as paint, or all of org.laptop.Oficina")
	c.Flags().StringVar(&s.since, "since", "", "only entries from this `DAY` on: 2026-11-23, today, yesterday, or 7d (seven days ago)")
	c.Flags().IntVar(&s.limit, "limit", findLimit, "at most `N` entries; 0: all")
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.json && !c.Flags().Changed("limit") {
			s.limit = 0
		}
		query, err := s.query(time.Now())
		if err != nil {
			return err
		}
		return a.verb(func(d *daemon) error { return a.find(d, s, query) })(c, args)
	}
	return c
}

// query is what the search comes to for the datastore.
func (s search) query(now time.Time) (map[string]godbus.Variant, error) {
	query := map[string]godbus.Variant{"order_by": godbus.MakeVariant([]string{"+timestamp"})}
	if text := wildcards(s.text); text != "" {
		query["query"] = godbus.MakeVariant(text)
	}
	if s.since != "" {
		start, err := since(s.since, now)
		if err != nil {
			return nil, err
		}
		query["timestamp"] = godbus.MakeVariant(map[string]int64{"start": start.Unix(), "end": math.MaxInt32})
	}
	switch {
	case s.limit < 0:
		return nil, errors.New("--limit is a number of entries, or 0 for all")
	case s.limit > 0:
		query["limit"] = godbus.MakeVariant(int32(min(s.limit, math.MaxInt32)))
	}
	return query, nil
}

// wildcards lets each word stand for those that begin with it, as the Journal
// does with what is typed there (jarabe.journal.model, DatastoreResultSet).
func wildcards(text string) string {
	if strings.HasPrefix(text, `"`) {
		return text
	}
	var words []string
	for word := range strings.SplitSeq(text, " ") {
		if word != "" {
			words = append(words, word+"*")
		}
	}
	return strings.Join(words, " ")
}

// since is the beginning of the day that a person means.
func since(day string, now time.Time) (time.Time, error) {
	back := -1
	switch day {
	case "today":
		back = 0
	case "yesterday":
		back = 1
	default:
		if days, ok := strings.CutSuffix(day, "d"); ok {
			if n, err := strconv.ParseUint(days, 10, 16); err == nil {
				back = int(n)
			}
		}
	}
	if back >= 0 {
		return time.Date(now.Year(), now.Month(), now.Day()-back, 0, 0, 0, 0, now.Location()), nil
	}
	t, err := time.ParseInLocation(time.DateOnly, day, now.Location())
	if err != nil {
		return t, fmt.Errorf("--since takes a day like 2026-11-23, or today, or yesterday, or a number of days like 7d; not %q", day)
	}
	return t, nil
}

// found is the JSON of find.
type found struct {
	UID         string `json:"uid"`
	Title       string `json:"title"`
	Activity    string `json:"activity"`
	MimeType    string `json:"mime_type"`
	Timestamp   int64  `json:"timestamp"`
	Filesize    int64  `json:"filesize"`
	Keep        bool   `json:"keep"`
	Tags        string `json:"tags"`
	Description string `json:"description"`
}

var foundProperties = []string{"uid", "title", "activity", "mime_type", "timestamp", "filesize", "keep", "tags", "description"}

func (a *app) find(d *daemon, s search, query map[string]godbus.Variant) error {
	if s.activity != "" {
		activities, err := d.activities(s.snapshot)
		if err != nil {
			return err
		}
		meant := likely(activities, s.activity)
		if len(meant) == 0 {
			return a.sayNoActivity(s.activity, activities)
		}
		query["activity"] = godbus.MakeVariant(meant)
	}
	var (
		answer []map[string]godbus.Variant
		count  uint32
	)
	if err := d.call(context.Background(), "Find", []any{s.snapshot, query, foundProperties}, &answer, &count); err != nil {
		return err
	}
	list := make([]found, 0, len(answer))
	for _, e := range answer {
		list = append(list, found{
			UID: text(e["uid"]), Title: text(e["title"]), Activity: text(e["activity"]), MimeType: text(e["mime_type"]),
			Timestamp: number(e["timestamp"]), Filesize: max(number(e["filesize"]), 0), Keep: number(e["keep"]) == 1,
			Tags: text(e["tags"]), Description: text(e["description"]),
		})
	}
	if a.json {
		a.printJSON(list)
		return nil
	}
	a.sayFound(list, count)
	return nil
}

// number of a property, which may be text as well.
func number(v godbus.Variant) int64 {
	switch v := v.Value().(type) {
	case int32:
		return int64(v)
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}

// activities are those that the Journal, or the snapshot, has entries of.
func (d *daemon) activities(snapshot string) (ids []string, err error) {
	at, ok := dbus.JournalPath, true
	if snapshot != "" {
		at, ok = dbus.SnapshotPath(snapshot)
	}
	if !ok {
		return nil, fmt.Errorf("%q is not the ID of a snapshot: 'xo-backup list' shows them", snapshot)
	}
	const method = "org.laptop.sugar.DataStore.get_uniquevaluesfor"
	err = d.Object(dbus.BusName, at).Call(method, 0, "activity", map[string]godbus.Variant{}).Store(&ids)
	return ids, err
}

// likely are the activities that a person may mean by a part of the name.
func likely(activities []string, asked string) (meant []string) {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }
	for _, activity := range activities {
		if activity == asked {
			return []string{activity}
		}
		if strings.Contains(plain(activity), plain(asked)) {
			meant = append(meant, activity)
		}
	}
	return meant
}
