package dbus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// An engine takes the name of Sugar's datastore for as long as it replaces the
// Journal below it. What an activity asks of the datastore just then comes to us,
// on the same connection; an error would be a child's work that is not saved. So
// such a call waits until the name is given up, and is passed on to whoever has
// it then.

// heldFor is how long a call waits for that: less than its caller does.
const heldFor = 20 * time.Second

// addressee of a call, if it is not us.
func addressee(m *godbus.Message) (name string, other bool) {
	name, _ = m.Headers[godbus.FieldDestination].Value().(string)
	return name, name != "" && name != BusName && !strings.HasPrefix(name, ":")
}

func (s *Service) passOn(m *godbus.Message, name string) ([]any, error) {
	ctx, cancel := context.WithTimeout(s.calls, heldFor)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for slices.Contains(s.conn.Names(), name) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, refuse(Busy, "A restore takes long: try again later.")
		}
	}
	path, _ := m.Headers[godbus.FieldPath].Value().(godbus.ObjectPath)
	iface, _ := m.Headers[godbus.FieldInterface].Value().(string)
	member, _ := m.Headers[godbus.FieldMember].Value().(string)
	if iface != "" {
		member = iface + "." + member
	}
	answer := s.conn.Object(name, path).CallWithContext(s.calls, member, 0, m.Body...)
	var e godbus.Error
	if errors.As(answer.Err, &e) {
		return nil, &e
	}
	return answer.Body, answer.Err
}
