package main

import (
	"fmt"
	"io"
	"slices"
)

// unit is how a figure is shown.
type unit struct {
	name    string
	divisor float64
	format  string
}

var (
	seconds = unit{"s", 1, "%.3f"}
	millis  = unit{"ms", 1e-3, "%.1f"}
	kilos   = unit{"kB", 1e3, "%.1f"}
	megas   = unit{"MB", 1e6, "%.1f"}
	count   = unit{"", 1, "%.0f"}
)

// row is one figure. The goal is for the ratio ours/theirs, or, where there is
// nothing to compare with, for ours; 0 is no goal.
type row struct {
	work         string
	unit         unit
	ours, theirs []float64
	against      string
	goal         float64
}

type table struct{ rows []*row }

// row is the row of that name, which is made when it is first asked for, so
// that every round can add its runs.
func (t *table) row(work string, u unit, against string, goal float64) *row {
	for _, r := range t.rows {
		if r.work == work {
			return r
		}
	}
	r := &row{work: work, unit: u, against: against, goal: goal}
	t.rows = append(t.rows, r)
	return r
}

// print answers how many goals are missed.
func (t *table) print(w io.Writer) (missed int) {
	const format = "%-44s %10s %10s %-2s  %6s %7s  %-4s %4s  %s\n"
	fmt.Fprintf(w, format, "work", "ours", "theirs", "", "ratio", "goal", "", "runs", "theirs is")
	for _, r := range t.rows {
		ours := median(r.ours)
		theirs, ratio, goal, ok := "", "", "", ""
		judged := ours / r.unit.divisor
		if len(r.theirs) > 0 {
			theirs = fmt.Sprintf(r.unit.format, median(r.theirs)/r.unit.divisor)
			if median(r.theirs) > 0 {
				judged = ours / median(r.theirs)
				ratio = fmt.Sprintf("%.2f", judged)
			}
		}
		if r.goal > 0 {
			goal = fmt.Sprintf("<= %.4g", r.goal)
			ok = "ok"
			if judged > r.goal {
				ok = "MISS"
				missed++
			}
		}
		fmt.Fprintf(w, format, r.work, fmt.Sprintf(r.unit.format, ours/r.unit.divisor), theirs, r.unit.name, ratio, goal, ok,
			fmt.Sprint(len(r.ours)), r.against)
	}
	return missed
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
