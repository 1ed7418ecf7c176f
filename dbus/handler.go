package dbus

import (
	"reflect"
	"runtime/debug"

	godbus "github.com/godbus/dbus/v5"
)

// isOurs tells the calls that reach invocation.Call: all but those that godbus
// answers itself.
func isOurs(m *godbus.Message) bool {
	if m.Type != godbus.TypeMethodCall {
		return false
	}
	iface, _ := m.Headers[godbus.FieldInterface].Value().(string)
	return iface != "org.freedesktop.DBus.Peer"
}

// handler makes godbus hand over every call to Service.answer, whatever its
// path, interface and member. That is more than saving a table: each call that
// arrived is one that ends there, so that they can be counted, and one recover
// guards them all.
type handler struct{ s *Service }

func (h handler) LookupObject(godbus.ObjectPath) (godbus.ServerObject, bool) { return h, true }
func (h handler) LookupInterface(string) (godbus.Interface, bool)            { return h, true }
func (h handler) LookupMethod(string) (godbus.Method, bool)                  { return invocation(h), true }

type invocation struct{ s *Service }

func (i invocation) DecodeArguments(_ *godbus.Conn, _ string, m *godbus.Message, _ []any) ([]any, error) {
	return []any{m}, nil
}

func (i invocation) Call(args ...any) ([]any, error) { return i.s.answer(args[0].(*godbus.Message)) }

func (i invocation) NumArguments() int     { return 0 }
func (i invocation) NumReturns() int       { return 0 }
func (i invocation) ArgumentValue(int) any { return nil }
func (i invocation) ReturnValue(int) any   { return nil }

// answer serves one call.
func (s *Service) answer(m *godbus.Message) (reply []any, err error) {
	defer s.activity.end()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a call", "panic", p, "stack", string(debug.Stack()))
			reply, err = nil, toDBus(refuse(Failed, "This failed by a mistake in the program (%v): please report it.", p))
		}
	}()
	if err := s.activity.pass(s.calls); err != nil {
		return nil, toDBus(err)
	}
	if name, other := addressee(m); other {
		return s.passOn(m, name)
	}
	c, err := s.resolve(m)
	if err != nil {
		return nil, toDBus(err)
	}
	if reply, err = c.method.serve(s, c); err != nil {
		return nil, toDBus(err)
	}
	if s.answerItself(m, reply) {
		return nil, nil
	}
	return reply, nil
}

// call is one method call with its arguments checked.
type call struct {
	path   godbus.ObjectPath
	method method
	args   []any
}

func (c *call) text(i int) string              { return c.args[i].(string) }
func (c *call) texts(i int) []string           { return c.args[i].([]string) }
func (c *call) options(i int) map[string]any   { return c.args[i].(map[string]any) }
func (c *call) object(i int) godbus.ObjectPath { return godbus.ObjectPath(c.args[i].(string)) }

// resolve finds what a call means.
func (s *Service) resolve(m *godbus.Message) (*call, error) {
	path, _ := m.Headers[godbus.FieldPath].Value().(godbus.ObjectPath)
	iface, _ := m.Headers[godbus.FieldInterface].Value().(string)
	member, _ := m.Headers[godbus.FieldMember].Value().(string)
	node, ok := s.node(path)
	if !ok {
		return nil, protest(unknownObject, "There is no object %s.", path)
	}
	known := false
	for _, i := range append(node.interfaces, introspectable, propertied) {
		if iface != "" && iface != i.name {
			continue
		}
		known = true
		if method, ok := i.methods[member]; ok {
			args, err := arguments(method.in, m.Body)
			if err != nil {
				return nil, protest(invalidArgs, "%s takes (%s): %v.", member, method.in, err)
			}
			return &call{path, method, args}, nil
		}
	}
	if !known {
		return nil, protest(unknownInterface, "%s has no interface %s.", path, iface)
	}
	return nil, protest(unknownMethod, "%s has no method %s.", path, member)
}

// fromVariant unwraps what a{sv} and its relatives hold.
func fromVariant(v any) any {
	for {
		variant, ok := v.(godbus.Variant)
		if !ok {
			return v
		}
		v = variant.Value()
	}
}

// dictionary takes any map with text keys: what dbus-send sends as
// dict:string:string: is no a{sv}.
func dictionary(v any) (map[string]any, bool) {
	if given, ok := v.(map[string]godbus.Variant); ok { // what programs send, often
		m := make(map[string]any, len(given))
		for k, value := range given {
			m[k] = fromVariant(value)
		}
		return m, true
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Map || r.Type().Key().Kind() != reflect.String {
		return nil, false
	}
	m := make(map[string]any, r.Len())
	for k, value := range r.Seq2() {
		m[k.String()] = fromVariant(value.Interface())
	}
	return m, true
}
