package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sugarlabs/xo-backupd/schedule"
)

const day = 24 * time.Hour

var scheduleKeys = []key{
	{"schedule.enabled", "whether to back up by itself: `true|false` (true)", func(c *config, value any) (err error) {
		c.Schedule.Enabled, err = truth(value)
		return err
	}},
	{"schedule.every", "one backup by itself in each `TIME` (24h)",
		within(time.Hour, 31*day, func(c *config) *time.Duration { return &c.Schedule.Every })},
	{"schedule.from", "the `HOUR` at which a day of backups begins (08:00)", func(c *config, value any) (err error) {
		c.Schedule.From, err = schedule.ParseClock(fmt.Sprint(value))
		return err
	}},
	{"schedule.spread", "spread a school's laptops over this `TIME` from then on; 0: not (3h)",
		within(0, 31*day, func(c *config) *time.Duration { return &c.Schedule.Spread })},
	{"schedule.quiet", "`HOURS` in which none begins, like 22:00-06:00 (none)", func(c *config, value any) (err error) {
		c.Schedule.Quiet, err = schedule.ParseHours(fmt.Sprint(value))
		return err
	}},
	{"schedule.battery", "`PERCENT` of the battery below which it has to be charging (30)", func(c *config, value any) error {
		n, err := number(value, 100)
		c.Schedule.Battery = int(n)
		return err
	}},
	{"schedule.metered", "whether also where what is sent costs money: `true|false` (false)", func(c *config, value any) (err error) {
		c.Schedule.Metered, err = truth(value)
		return err
	}},
	{"schedule.load", "the highest `LOAD` of each processor; 0: any (1.5)", func(c *config, value any) (err error) {
		c.Schedule.Load, err = number(value, 1000)
		return err
	}},
}

// truth takes true, and "true".
func truth(value any) (bool, error) {
	switch fmt.Sprint(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%.80q is neither true nor false", fmt.Sprint(value))
}

// number takes 1.5, 30, and either as text.
func number(value any, most float64) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(fmt.Sprint(value)), 64)
	if err != nil || !(n >= 0 && n <= most) {
		return 0, fmt.Errorf("%.80q is not a number from 0 to %v", fmt.Sprint(value), most)
	}
	return n, nil
}
