package profile

import (
	"testing"
	"time"
)

func TestZone(t *testing.T) {
	ownSettings(t)
	p := newProfile(t)
	if zone := p.Zone(t.Context()); zone != time.Local {
		t.Errorf("nothing chosen: %v", zone)
	}
	for name, want := range map[string]int{ // as Sugar's control panel stores them
		"America/Montevideo": -3, "Etc/GMT+3": -3, "Etc/GMT-2": 2, "Etc/GMT": 0,
	} {
		if err := setString(t.Context(), dateSchema, timezoneKey, name); err != nil {
			t.Fatal(err)
		}
		if _, offset := time.Date(2026, 11, 23, 12, 0, 0, 0, p.Zone(t.Context())).Zone(); offset != want*60*60 {
			t.Errorf("%s is %d seconds from Greenwich", name, offset)
		}
	}
	for _, name := range []string{"Atlantis/Town", "../../etc/passwd"} {
		if err := setString(t.Context(), dateSchema, timezoneKey, name); err != nil {
			t.Fatal(err)
		}
		if zone := p.Zone(t.Context()); zone != time.Local {
			t.Errorf("%s: %v", name, zone)
		}
	}
}
