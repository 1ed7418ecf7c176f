package dbus

import (
	"context"
	"errors"
	"reflect"
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
			return nil, toDBus(refuse(Busy, "A restore takes long: try again later."))
		}
	}
	if holdsStruct(m.Body) {
		return nil, errNotPassedOn
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
	if answer.Err != nil {
		return nil, toDBus(answer.Err)
	}
	if holdsStruct(answer.Body) {
		return nil, errNotPassedOn
	}
	return answer.Body, nil
}

var errNotPassedOn = toDBus(refuse(Busy, "A restore has just ended: try again."))

// holdsStruct tells whether there is a struct anywhere in what a message holds.
// godbus reads one as a slice and would send that as an array, under a signature
// that says otherwise: the bus ends a connection that sends such a message. No
// call that saves a child's work has one.
func holdsStruct(body []any) bool {
	return slices.ContainsFunc(body, func(v any) bool { return structIn(reflect.ValueOf(v)) })
}

var (
	readStruct = reflect.TypeFor[[]any]() // what a struct is read as, and nothing else
	variant    = reflect.TypeFor[godbus.Variant]()
)

func structIn(v reflect.Value) bool {
	switch {
	case v.Type() == readStruct:
		return true
	case v.Type() == variant:
		return structIn(reflect.ValueOf(v.Interface().(godbus.Variant).Value()))
	case v.Kind() == reflect.Map:
		for _, value := range v.Seq2() {
			if structIn(value) {
				return true
			}
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() > reflect.Complex128: // not each byte
		for _, value := range v.Seq2() {
			if structIn(value) {
				return true
			}
		}
	}
	return false
}
