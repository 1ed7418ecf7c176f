// Package schedule decides when a laptop backs up by itself: whether it is time,
// and whether the laptop stands so that it may. It is told of the time, looks at
// the laptop only when it is time, and answers in words why not.
package schedule

import (
	"fmt"
	"time"
)

// Settings are what a school may want otherwise.
type Settings struct {
	Enabled bool
	Every   time.Duration // one backup in each round of so long
	From    time.Duration // after midnight: when rounds begin
	Spread  time.Duration // how far into a round the school's laptops are spread
	Quiet   Hours         // when none begins
	Battery int           // percent, below which none begins unless it is charged
	Metered bool          // also where what is sent costs money
	Load    float64       // for each processor, above which none begins; 0: never mind
}

// Default is once a day, while school is on.
func Default() Settings {
	return Settings{
		Enabled: true,
		Every:   24 * time.Hour,
		From:    8 * time.Hour,
		Spread:  3 * time.Hour,
		Battery: 30,
		Load:    1.5,
	}
}

// Check answers what does not go together.
func (s Settings) Check() error {
	if s.Spread >= s.Every {
		return fmt.Errorf("schedule.spread: %v is not shorter than schedule.every, %v", s.Spread, s.Every)
	}
	return nil
}

// Standing is how a laptop stands. What could not be found out is zero: it holds
// nothing back.
type Standing struct {
	OnBattery bool
	Percent   int // of the battery
	Offline   bool
	Metered   bool
	Saving    bool // something is being saved in the Journal, or was just now
	Load      float64
}

// Verdict says whether a backup may begin now.
type Verdict struct {
	Why     string // in a sentence, why not; "": it may
	NotDue  bool   // only because it is not time: nobody need be told
	Passing bool   // only because of what soon passes
}

// Decide looks at the laptop only if it is time.
func (s Settings) Decide(t Times, look func() Standing) Verdict {
	if !s.Enabled {
		return Verdict{Why: "Backing up by itself is switched off in the configuration (schedule.enabled)."}
	}
	if due, next := s.due(t); !due {
		return Verdict{Why: "It is not time for a backup yet: the next is due on " + next.Format("2006-01-02 at 15:04") + ".", NotDue: true}
	}
	why, passing := s.hindrance(t.Now, look())
	if why == "" {
		return Verdict{}
	}
	return Verdict{Why: "Not backed up by itself yet: " + why + ".", Passing: passing}
}

// hindrance answers what holds a backup back that is due. What a person can mend
// is said first, what soon passes last.
func (s Settings) hindrance(now time.Time, is Standing) (why string, passing bool) {
	switch {
	case !now.Before(sane) && s.Quiet.hold(now):
		return "these are quiet hours, until " + clock(s.Quiet.To), false
	case is.Offline:
		return "there is no network", false
	case is.Metered && !s.Metered:
		return "what is sent over this network costs money (it is metered)", false
	case is.OnBattery && is.Percent < s.Battery:
		return fmt.Sprintf("the battery is at %d %%, and below %d %% it has to be charging", is.Percent, s.Battery), false
	case is.Saving:
		return "something has just been saved in the Journal", true
	case s.Load > 0 && is.Load > s.Load:
		return "the laptop is busy", true
	}
	return "", false
}
