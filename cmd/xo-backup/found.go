package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/rivo/uniseg"

	"github.com/sugarlabs/xo-backupd/wire"
)

const whatWidth = 40 // columns of a title: the UID is still on the line

// sayFound prints what is found as a table.
func (a *app) sayFound(list []found, count uint32) {
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "Nothing is found.")
		return
	}
	now := time.Now()
	rows := [][]string{{"WHEN", "WHAT", "ACTIVITY", "SIZE", "UID"}}
	for _, f := range list {
		when, size := "", ""
		if f.Timestamp != 0 {
			when = date(f.Timestamp, now)
		}
		if f.Filesize > 0 {
			size = wire.Size(uint64(f.Filesize))
		}
		rows = append(rows, []string{when, cut(oneLine(f.Title), whatWidth), cut(shortActivity(f.Activity), whatWidth), size, oneLine(f.UID)})
	}
	a.table(rows)
	if int(count) > len(list) {
		fmt.Fprintf(a.stdout, "\nThese are %d of %d; '--limit 0' shows all.\n", len(list), count)
	}
}

// sayNoActivity: nothing is found, and why.
func (a *app) sayNoActivity(asked string, activities []string) error {
	if a.json {
		a.printJSON([]found{})
		return nil
	}
	fmt.Fprintf(a.stdout, "Nothing is found: no entry is of an activity like %q.\n", asked)
	var names []string
	for _, activity := range activities {
		if activity != "" {
			names = append(names, shortActivity(activity))
		}
	}
	if len(names) > 0 {
		fmt.Fprintf(a.stdout, "There are: %s\n", strings.Join(names, ", "))
	}
	return nil
}

// shortActivity is what a person calls it: the last part of its bundle's id.
func shortActivity(id string) string { return oneLine(id[strings.LastIndex(id, ".")+1:]) }

// table prints rows with their columns below each other. tabwriter counts
// characters, of which a Chinese one takes two columns and a vowel sign none.
func (a *app) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell)+2))
			}
		}
		fmt.Fprintln(a.stdout, line.String())
	}
}

// oneLine makes what anybody may have written harmless for a terminal.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// cut leaves at most so many columns of a text.
func cut(s string, columns int) string {
	if uniseg.StringWidth(s) <= columns {
		return s
	}
	var kept strings.Builder
	width := 1 // of the …
	for g := uniseg.NewGraphemes(s); g.Next(); {
		if width += g.Width(); width > columns {
			break
		}
		kept.WriteString(g.Str())
	}
	return strings.TrimRight(kept.String(), " ") + "…"
}
