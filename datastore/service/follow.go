package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// Follow has the bus tell us what the service changes, until Unfollow. What comes
// is for Changed and Restarted.
func (c *Client) Follow(ctx context.Context) error {
	for _, match := range matches() {
		if err := c.conn.AddMatchSignalContext(ctx, match...); err != nil {
			return err
		}
	}
	return nil
}

// Unfollow ends that.
func (c *Client) Unfollow(ctx context.Context) error {
	var err error
	for _, match := range matches() {
		err = errors.Join(err, c.conn.RemoveMatchSignalContext(ctx, match...))
	}
	return err
}

const busName = "org.freedesktop.DBus"

func matches() [][]dbus.MatchOption {
	return [][]dbus.MatchOption{
		{dbus.WithMatchInterface(Name), dbus.WithMatchObjectPath(objectPath)},
		{dbus.WithMatchSender(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, Name)},
	}
}

// Restarted tells whether a message says that the service has begun to run, or that
// it runs no more. What it does to its index then it does without a word.
func Restarted(m *dbus.Message) bool {
	return m.Type == dbus.TypeSignal && m.Headers[dbus.FieldSender].Value() == busName &&
		m.Headers[dbus.FieldMember].Value() == "NameOwnerChanged" && len(m.Body) > 0 && m.Body[0] == Name
}

// Changed tells which entry a message says was made, changed or deleted.
func Changed(m *dbus.Message) (datastore.UID, bool) {
	if m.Type != dbus.TypeSignal || m.Headers[dbus.FieldInterface].Value() != Name ||
		m.Headers[dbus.FieldPath].Value() != dbus.ObjectPath(objectPath) || len(m.Body) != 1 {
		return "", false
	}
	switch m.Headers[dbus.FieldMember].Value() {
	case "Created", "Updated", "Deleted":
		text, _ := m.Body[0].(string)
		uid, err := datastore.ParseUID(text)
		return uid, err == nil
	}
	return "", false
}

// Order answers the entries in the order of the service's own index, if it runs.
func (c *Client) Order(ctx context.Context) ([]datastore.UID, error) {
	if running, err := c.Running(ctx); !running || err != nil {
		return nil, err
	}
	var names []string
	// It sorts by nothing what it cannot sort by; that leaves the order of its index.
	query := map[string]dbus.Variant{"order_by": dbus.MakeVariant([]string{"+index"})}
	if err := c.call(ctx, "find_ids", query).Store(&names); err != nil {
		return nil, fmt.Errorf("asking Sugar's datastore for its order: %w", err)
	}
	uids := make([]datastore.UID, 0, len(names))
	for _, name := range names {
		uid, err := datastore.ParseUID(name)
		if err != nil {
			return nil, errors.New("an entry of Sugar's datastore is none")
		}
		uids = append(uids, uid)
	}
	return uids, nil
}
