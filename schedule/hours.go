package schedule

import (
	"fmt"
	"strings"
	"time"
)

// Hours are a part of each day, counted from midnight. It may be about midnight.
// From and To are the same where there are none.
type Hours struct{ From, To time.Duration }

func (h Hours) hold(t time.Time) bool {
	hour, minute, second := t.Clock()
	at := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	if h.From <= h.To {
		return h.From <= at && at < h.To
	}
	return h.From <= at || at < h.To
}

// ParseHours takes "22:00-06:00", and nothing for none.
func ParseHours(text string) (Hours, error) {
	if strings.TrimSpace(text) == "" {
		return Hours{}, nil
	}
	from, to, _ := strings.Cut(text, "-")
	var h Hours
	var err, toErr error
	h.From, err = ParseClock(from)
	h.To, toErr = ParseClock(to)
	if err != nil || toErr != nil || h.From == h.To {
		return Hours{}, fmt.Errorf("%.80q are not hours like \"22:00-06:00\"", text)
	}
	return h, nil
}

// ParseClock takes "08:00".
func ParseClock(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("%.80q is not a time of day like \"08:00\"", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
}
