package profile

import (
	"context"
	"time"
)

const (
	dateSchema  = "org.sugarlabs.date"
	timezoneKey = "timezone"
)

// Zone is the time zone that the child has chosen in Sugar, which tells nobody but
// its own activities; else the system's.
func (p Profile) Zone(ctx context.Context) *time.Location {
	name, err := getString(ctx, dateSchema, timezoneKey)
	if err != nil || name == "" {
		return time.Local
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.Local
	}
	return zone
}
