package main

import (
	"fmt"
	"io"
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
		return &bar{to: a.stderr}
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
	to    io.Writer
	phase string
	known bool
	bar   *progressbar.ProgressBar
}

const barSteps = 1000

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
			progressbar.OptionSetWidth(24),
			progressbar.OptionSetPredictTime(false), // the daemon knows better
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	b.bar.Describe(describe(p, time.Now()))
	if p.known {
		// The last step would end the bar; that is for close to do.
		_ = b.bar.Set64(min(int64(p.fraction*barSteps), barSteps-1))
	} else {
		_ = b.bar.Add(1)
	}
}

func (b *bar) close() {
	if b.bar != nil {
		_ = b.bar.Finish()
		_ = b.bar.Clear()
		b.bar = nil
	}
}
