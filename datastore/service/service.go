package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/datastore"
)

const (
	// Name is the service's name on the session bus.
	Name       = "org.laptop.sugar.DataStore"
	objectPath = "/org/laptop/sugar/DataStore"
)

// Client speaks to Sugar's datastore over one connection to the session bus.
type Client struct {
	conn     *dbus.Conn
	patience time.Duration // of Hold
}

// New makes a client. The connection stays the caller's.
func New(conn *dbus.Conn) *Client { return &Client{conn, patience} }

// Running tells whether the service runs. It does not start it. While we hold
// its name (Hold), it does not run.
func (c *Client) Running(ctx context.Context) (bool, error) {
	var owner string
	err := c.bus(ctx, "GetNameOwner", Name).Store(&owner)
	var refused dbus.Error
	if errors.As(err, &refused) && refused.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("session bus: %w", err)
	}
	return owner != c.conn.Names()[0], nil
}

func (c *Client) bus(ctx context.Context, method string, args ...any) *dbus.Call {
	return c.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus."+method, 0, args...)
}

func (c *Client) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return c.conn.Object(Name, objectPath).CallWithContext(ctx, Name+"."+method, 0, args...)
}

// Update puts the entry e into the running datastore, in the place of the one
// of its uid if there is one. path is a file with e's data, which is moved; ""
// if e has none. Afterwards the entry is e to the byte, but for what Sugar
// makes by itself: checksum, and a timestamp or creation_time if e has none.
//
// e must be readable to Sugar (datastore.Entry.Unreadable). If the service does
// not take it all the same, the error is a *datastore.RefusedError, and another
// entry may well be taken; every other error is about the service as a whole.
func (c *Client) Update(ctx context.Context, e *datastore.Entry, path string) error {
	err := c.update(ctx, e, path)
	var unfit unfitError
	var answer dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unfit):
		return &datastore.RefusedError{UID: e.UID, Reason: unfit.Error()}
	case errors.As(err, &answer) && !strings.HasPrefix(answer.Name, busErrors):
		return &datastore.RefusedError{UID: e.UID, Reason: lastLine(answer.Error())}
	default:
		return fmt.Errorf("putting entry %s into Sugar's datastore: %w", e.UID, err)
	}
}

// busErrors begin the names of the errors by which the bus says that a service
// is gone, does not start or does not answer. What the service itself raises has
// a name of Python's.
const busErrors = "org.freedesktop.DBus.Error."

// unfitError is what update cannot put into words for the service.
type unfitError string

func (e unfitError) Error() string { return string(e) }

// lastLine is what a Python traceback comes to.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func (c *Client) update(ctx context.Context, e *datastore.Entry, path string) error {
	if (e.Data != nil) != (path != "") {
		return errors.New("its data is missing")
	}
	props, err := properties(e)
	if err != nil {
		return err
	}
	if e.Data == nil {
		if err := c.dropData(ctx, e.UID); err != nil {
			return err
		}
	}
	if err := c.call(ctx, "update", string(e.UID), props, path, path != "").Err; err != nil {
		return err
	}
	// Where it takes data, the service writes a filesize of its own. If the
	// entry says another thing, or nothing, it is told so once more.
	if e.Data != nil && string(e.Metadata["filesize"]) != strconv.FormatInt(e.Data.Size, 10) {
		return c.call(ctx, "update", string(e.UID), props, "", false).Err
	}
	return nil
}

// properties are e's metadata as update takes them. Text goes as it is, for
// the numbers too: they are stored as they are given. checksum stays away: it is
// by the old one that the service finds and removes its optimizer's mark, and
// it computes the new one itself.
func properties(e *datastore.Entry) (map[string]dbus.Variant, error) {
	props := make(map[string]dbus.Variant, len(e.Metadata))
	for name, value := range e.Metadata {
		switch {
		case name == "checksum":
		case strings.Contains(name, ":"):
			return nil, unfitError(fmt.Sprintf("it cannot store the property %q: it cuts names at a colon", name))
		case name != "preview" && utf8.Valid(value) && !strings.Contains(string(value), "\x00"):
			props[name] = dbus.MakeVariant(string(value))
		default:
			props[name] = dbus.MakeVariant(append([]byte{}, value...))
		}
	}
	return props, nil
}

// dropData makes room for an entry without data: update cannot take an
// existing entry's data away, so that entry is deleted first.
func (c *Client) dropData(ctx context.Context, uid datastore.UID) error {
	var props map[string]dbus.Variant
	if err := c.call(ctx, "get_properties", string(uid)).Store(&props); err != nil {
		var refused dbus.Error
		if errors.As(err, &refused) && strings.HasPrefix(refused.Name, "org.freedesktop.DBus.Python.") {
			return nil // it has no such entry
		}
		return err
	}
	// A filesize of 0 is answered for empty data and for none: only the name
	// of a copy to look at tells.
	var copied string
	if err := c.call(ctx, "get_filename", string(uid)).Store(&copied); err != nil {
		return err
	}
	if copied == "" {
		return nil
	}
	if err := os.Remove(copied); err != nil {
		return err
	}
	return c.call(ctx, "delete", string(uid)).Err
}
