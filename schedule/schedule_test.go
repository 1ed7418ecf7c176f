package schedule

import (
	"strings"
	"testing"
	"time"
)

// at is a time in the field: a school three hours west of Greenwich.
func at(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	when, err := time.ParseInLocation("2006-01-02 15:04", text, time.FixedZone("UYT", -3*60*60))
	if err != nil {
		t.Fatal(err)
	}
	return when
}

const unknown = time.Duration(-1) // since the last backup, by the laptop's running

// 2026-11-23 is a Monday.
func TestDue(t *testing.T) {
	daily := Settings{Every: 24 * time.Hour, From: 8 * time.Hour}
	weekly := Settings{Every: 7 * 24 * time.Hour, From: 8 * time.Hour}
	twice := Settings{Every: 12 * time.Hour, From: 8 * time.Hour}
	for _, c := range []struct {
		name      string
		settings  Settings
		now, last string
		since     time.Duration
		next      string // "": due
	}{
		{"never", daily, "2026-11-23 09:00", "", unknown, ""},
		{"yesterday", daily, "2026-11-24 08:00", "2026-11-23 09:00", unknown, ""},
		{"today", daily, "2026-11-24 20:00", "2026-11-24 09:00", unknown, "2026-11-25 08:00"},
		{"on the moment", daily, "2026-11-24 20:00", "2026-11-24 08:00", unknown, "2026-11-25 08:00"},
		{"before school", daily, "2026-11-24 07:59", "2026-11-23 09:00", unknown, "2026-11-24 08:00"},
		{"missed yesterday, before school", daily, "2026-11-24 07:00", "2026-11-22 09:00", unknown, ""},
		{"midnight is not what counts", daily, "2026-11-24 00:30", "2026-11-23 23:30", unknown, "2026-11-24 08:00"},
		{"last year", daily, "2026-01-01 09:00", "2025-12-31 09:00", unknown, ""},
		{"a week, on Saturday", weekly, "2026-11-28 09:00", "2026-11-23 09:00", unknown, "2026-11-30 08:00"},
		{"a week, missed", weekly, "2026-11-28 09:00", "2026-11-20 09:00", unknown, ""},
		{"twice a day", twice, "2026-11-23 20:00", "2026-11-23 12:00", unknown, ""},
		{"twice a day, later", twice, "2026-11-23 19:59", "2026-11-23 12:00", unknown, "2026-11-23 20:00"},

		{"fell back to 1970", daily, "1970-01-01 00:05", "2026-11-23 09:00", unknown, ""},
		{"fell back to 1970, never", daily, "1970-01-01 00:05", "", unknown, ""},
		{"fell back to 1970, backed up since", daily, "1970-01-01 00:50", "2026-11-23 09:00", 40 * time.Minute, "1970-01-01 08:00"},
		{"fell back to 1970, a day ago", daily, "1970-01-02 09:00", "2026-11-23 09:00", 32 * time.Hour, ""},
		{"fell back by a day", daily, "2026-11-22 09:00", "2026-11-23 09:00", unknown, ""},
		{"fell back by a day, backed up since", daily, "2026-11-22 09:00", "2026-11-23 09:00", 30 * time.Minute, "2026-11-23 08:00"},
		{"behind the server by minutes", daily, "2026-11-23 09:00", "2026-11-23 09:05", time.Second, "2026-11-24 08:00"},
		{"far ahead", daily, "2037-11-23 09:00", "2026-11-23 09:00", unknown, ""},
		{"far ahead, backed up since", daily, "2037-11-23 10:00", "2026-11-23 09:00", time.Hour, "2037-11-24 08:00"},
		{"set right since", daily, "2026-11-24 09:00", "2026-11-23 09:00", 24 * time.Hour, ""},
	} {
		times := Times{Now: at(t, c.now), Last: at(t, c.last), Laptop: "SHC00500001", Since: c.since, ThisBoot: c.since != unknown}
		due, next := c.settings.due(times)
		if due != (c.next == "") || !due && !next.Equal(at(t, c.next)) {
			t.Errorf("%s: %v, next %v", c.name, due, next)
		}
	}
}

// A day of 23 or 25 hours has one moment, too.
func TestSummerTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	s := Settings{Every: 24 * time.Hour, From: 8 * time.Hour}
	for _, day := range []int{28, 29, 30} { // of March 2026: clocks go forward on the 29th
		for hour, want := range map[int]bool{7: false, 8: true} {
			last := time.Date(2026, 3, day-1, 9, 0, 0, 0, berlin)
			if due, _ := s.due(Times{Now: time.Date(2026, 3, day, hour, 30, 0, 0, berlin), Last: last}); due != want {
				t.Errorf("on the %dth at %d: %v", day, hour, due)
			}
		}
	}
}

// The laptops of a school are spread over the window evenly, each day otherwise;
// each has one moment a day.
func TestSpread(t *testing.T) {
	s := Default()
	perQuarter := map[int]int{}
	moved := 0
	for n := range 1200 {
		laptop := "SHC" + strings.Repeat("0", 4) + time.Duration(n).String()
		round := s.round(wall(at(t, "2026-11-23 12:00")))
		today, tomorrow := s.moment(laptop, round), s.moment(laptop, round+1)
		into := today.Sub(wall(at(t, "2026-11-23 08:00")))
		if into < 0 || into >= s.Spread || today != s.moment(laptop, round) {
			t.Fatalf("%s: %v", laptop, today)
		}
		perQuarter[int(into/(15*time.Minute))]++
		if d := tomorrow.Sub(today) - 24*time.Hour; d.Abs() > 15*time.Minute {
			moved++
		}
	}
	for quarter := range 12 {
		if n := perQuarter[quarter]; n < 60 || n > 140 {
			t.Errorf("%d laptops in quarter %d", n, quarter)
		}
	}
	if moved < 900 {
		t.Errorf("only %d laptops come at another time the day after", moved)
	}
}

// On Monday morning all laptops have missed two days, and are spread all the same.
func TestMondayMorning(t *testing.T) {
	s := Default()
	due := 0
	for n := range 100 {
		times := Times{Now: at(t, "2026-11-23 08:15"), Last: at(t, "2026-11-20 12:00"), Laptop: time.Duration(n).String()}
		if is, _ := s.due(times); is {
			due++
		}
		times.Now = at(t, "2026-11-23 11:00")
		if is, _ := s.due(times); !is {
			t.Errorf("laptop %d is not due when the window has ended", n)
		}
	}
	if due == 0 || due > 25 {
		t.Errorf("%d of 100 are due in the first quarter", due)
	}
}

func TestHindrance(t *testing.T) {
	quiet, err := ParseHours("22:00-06:00")
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*Settings)) Settings {
		s := Default()
		s.Spread = 0
		change(&s)
		return s
	}
	same := with(func(*Settings) {})
	silent := with(func(s *Settings) { s.Quiet = quiet })
	for _, c := range []struct {
		name     string
		settings Settings
		now      string
		is       Standing
		why      string // "": it may begin
		passing  bool
	}{
		{"nothing is known", same, "", Standing{}, "", false},
		{"all is well", same, "", Standing{OnBattery: true, Percent: 30, Load: 1.5}, "", false},
		{"low", same, "", Standing{OnBattery: true, Percent: 22}, "the battery is at 22 %, and below 30 % it has", false},
		{"low, another limit", with(func(s *Settings) { s.Battery = 20 }), "", Standing{OnBattery: true, Percent: 22}, "", false},
		{"low on mains", same, "", Standing{Percent: 2}, "", false},
		{"offline", same, "", Standing{Offline: true}, "there is no network", false},
		{"metered", same, "", Standing{Metered: true}, "metered", false},
		{"metered, and paid for", with(func(s *Settings) { s.Metered = true }), "", Standing{Metered: true}, "", false},
		{"saving", same, "", Standing{Saving: true}, "saved in the Journal", true},
		{"busy", same, "", Standing{Load: 1.6}, "the laptop is busy", true},
		{"busy, never mind", with(func(s *Settings) { s.Load = 0 }), "", Standing{Load: 99}, "", false},
		{"quiet", silent, "2026-11-23 22:00", Standing{}, "quiet hours, until 06:00", false},
		{"quiet after midnight", silent, "2026-11-23 05:59", Standing{}, "quiet hours", false},
		{"not quiet any more", silent, "2026-11-23 06:00", Standing{}, "", false},
		{"not quiet yet", silent, "2026-11-23 21:59", Standing{}, "", false},
		{"who knows how late it is", silent, "1970-01-01 00:05", Standing{}, "", false},
		{"what a person can mend comes first", same, "", Standing{Load: 9, Saving: true, OnBattery: true, Offline: true}, "no network", false},
	} {
		if c.now == "" {
			c.now = "2026-11-23 12:00"
		}
		v := c.settings.Decide(Times{Now: at(t, c.now)}, func() Standing { return c.is })
		if (v.Why == "") != (c.why == "") || !strings.Contains(v.Why, c.why) || v.Passing != c.passing || v.NotDue {
			t.Errorf("%s: %+v", c.name, v)
		}
		if v.Why != "" && (!strings.HasPrefix(v.Why, "Not backed up by itself yet: ") || !strings.HasSuffix(v.Why, ".")) {
			t.Errorf("%s: %q is no sentence of ours", c.name, v.Why)
		}
	}
}

// What costs something is not looked at for nothing.
func TestLooksOnlyWhenDue(t *testing.T) {
	look := func() Standing {
		t.Error("it looked")
		return Standing{}
	}
	s := Default()
	s.Spread = 0
	v := s.Decide(Times{Now: at(t, "2026-11-23 12:00"), Last: at(t, "2026-11-23 09:00")}, look)
	if !v.NotDue || v.Why != "It is not time for a backup yet: the next is due on 2026-11-24 at 08:00." {
		t.Errorf("%+v", v)
	}
	s.Enabled = false
	if v := s.Decide(Times{Now: at(t, "2026-11-23 12:00")}, look); v.NotDue || !strings.Contains(v.Why, "schedule.enabled") {
		t.Errorf("%+v", v)
	}
}

func TestSettings(t *testing.T) {
	if err := Default().Check(); err != nil {
		t.Error(err)
	}
	s := Default()
	s.Every = time.Hour
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "schedule.spread: 3h0m0s") {
		t.Error(err)
	}
	for text, want := range map[string]Hours{
		"": {}, " ": {}, "22:00-06:00": {22 * time.Hour, 6 * time.Hour}, "9:30 - 12:15": {9*time.Hour + 30*time.Minute, 12*time.Hour + 15*time.Minute},
	} {
		if got, err := ParseHours(text); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"22:00", "22-6", "22:00-24:00", "08:00-08:00", "08:00-", "-08:00", "08:00-12:00-13:00", "eight-nine"} {
		if got, err := ParseHours(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
}
