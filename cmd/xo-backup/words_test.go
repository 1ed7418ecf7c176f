package main

import (
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 seconds", time.Second: "1 second", 89 * time.Second: "89 seconds", 90 * time.Second: "2 minutes", 89 * time.Minute: "89 minutes", 2 * time.Hour: "2 hours", 36 * time.Hour: "2 days", 24 * 40 * time.Hour: "40 days"} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) is %s, not %s", d, got, want)
		}
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for at, want := range map[int64]string{0: "never", 1: "1970-01-01 00:00", now.Unix() - 60: "2026-11-23 11:59 (60 seconds ago)", now.Unix() + 3600: "2026-11-23 13:00"} {
		if got := date(at, now); got != want {
			t.Errorf("date(%d) is %s, not %s", at, got, want)
		}
	}
}

func TestDay(t *testing.T) {
	lima := time.FixedZone("Lima", -5*3600)
	now := time.Date(2026, 3, 3, 0, 30, 0, 0, lima) // a Tuesday
	for at, want := range map[string]string{
		"2026-03-03T00:10:00-05:00": "today",
		"2026-03-02T23:50:00-05:00": "yesterday",
		"2026-03-02T00:00:00-05:00": "yesterday",
		"2026-03-01T23:59:00-05:00": "Sunday",
		"2026-02-26T04:00:00Z":      "Wednesday", // in Lima
		"2026-02-25T12:00:00-05:00": "Wednesday",
		"2026-02-24T23:59:00-05:00": "on 2026-02-24",
		"2026-03-03T00:31:00-05:00": "on 2026-03-03",
	} {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := day(moment.Unix(), now); got != want {
			t.Errorf("%s is %s, not %s", at, got, want)
		}
	}
}
