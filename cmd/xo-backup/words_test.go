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
