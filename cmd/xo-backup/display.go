package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// display shows progress.
type display interface {
	update(progress)
	close()
}

func (a *app) display() display {
	switch {
	case a.json:
		return nothing{}
	case a.bar:
		return &bar{to: a.stderr, columns: a.columns}
	default:
		return &lines{to: a.stdout}
	}
}

type nothing struct{}

func (nothing) update(progress) {}
func (nothing) close()          {}

// lines are for files and pipes: one at each phase, and one in ten seconds.
type lines struct {
	to   io.Writer
	last progress
	told time.Time
}

func (l *lines) update(p progress) {
	if p.phase == "" || p.phase == l.last.phase && time.Since(l.told) < 10*time.Second {
		return
	}
	l.last, l.told = p, time.Now()
	fmt.Fprintln(l.to, describe(p, time.Now()))
}

func (l *lines) close() {}

// bar is for a terminal; one for each phase.
type bar struct {
	to      io.Writer
	columns int // of the terminal: a line that wraps cannot be taken back
	phase   string
	known   bool
	bar     *progressbar.ProgressBar
}

const (
	barSteps = 1000
	barWidth = 16
	barExtra = 12 // its percentage, frame and spaces
)

func (b *bar) update(p progress) {
	if b.bar == nil || p.phase != b.phase || p.known != b.known {
		b.close()
		b.phase, b.known = p.phase, p.known
		steps := int64(barSteps)
		if !p.known {
			steps = -1 // a spinner
		}
		b.bar = progressbar.NewOptions64(steps,
			progressbar.OptionSetWriter(b.to),
			progressbar.OptionSetWidth(barWidth),
			progressbar.OptionSetPredictTime(false), // the daemon knows better
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionUseANSICodes(true),
			progressbar.OptionClearOnFinish(),
		)
	}
	if p.known {
		// The last step would end the bar; that is for close to do.
		_ = b.bar.Set64(min(int64(p.fraction*barSteps), barSteps-1))
	} else {
		_ = b.bar.Add(1)
	}
	said := []rune(strings.Join(append(amounts(p), timeLeft(p, time.Now())...), ", "))
	b.bar.Describe(string(said[:min(len(said), max(b.columns-barWidth-barExtra, 0))]))
}

func (b *bar) close() {
	if b.bar != nil {
		_ = b.bar.Finish()
		_ = b.bar.Clear()
		b.bar = nil
	}
}
