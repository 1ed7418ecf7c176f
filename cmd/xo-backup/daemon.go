package main

import (
	"context"
	"errors"
	"fmt"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus"
)

// daemon is xo-backupd. Calling it starts it.
type daemon struct{ *godbus.Conn }

func dial() (*daemon, error) {
	conn, err := godbus.SessionBusPrivateNoAutoStartup()
	if err == nil {
		if err = conn.Auth(nil); err == nil {
			err = conn.Hello()
		}
	}
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, &noBus{err}
	}
	return &daemon{conn}, nil
}

// call calls a method and stores what it answers.
func (d *daemon) call(ctx context.Context, method string, args []any, answer ...any) error {
	return d.Object(dbus.BusName, dbus.Path).CallWithContext(ctx, dbus.Interface+"."+method, 0, args...).Store(answer...)
}

// properties asks for all of an object's.
func (d *daemon) properties(at godbus.ObjectPath, iface string) (map[string]godbus.Variant, error) {
	var all map[string]godbus.Variant
	err := d.Object(dbus.BusName, at).Call("org.freedesktop.DBus.Properties.GetAll", 0, iface).Store(&all)
	return all, err
}

// outcome is what became of something that was asked: of a job, or of a call
// that failed. A script finds every field in each.
type outcome struct {
	Job       string  `json:"job"`
	Operation string  `json:"operation"`
	Result    string  `json:"result"`
	ErrorName string  `json:"error_name"`
	Message   string  `json:"message"`
	Progress  float64 `json:"progress"`
	Entries   uint32  `json:"entries"`
	Skipped   uint32  `json:"entries_skipped"`
	Bytes     uint64  `json:"bytes"`
}

// outcomeOf an error.
func outcomeOf(err error) outcome {
	o := outcome{Result: dbus.ResultFailed, Message: err.Error()}
	var e godbus.Error
	if !errors.As(err, &e) {
		return o
	}
	o.ErrorName, o.Message = e.Name, e.Error()
	switch e.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown":
		o.Message = "The backup service xo-backupd is not installed for this session bus."
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected":
		o.Message = "The backup service ended before it answered: try again; if it happens again, its log tells why."
	}
	return o
}

// exit is the exit status.
func (o outcome) exit() int {
	switch o.Result {
	case dbus.ResultDone:
		return exitDone
	case dbus.ResultPartial:
		return exitPartly
	}
	switch o.ErrorName {
	case dbus.ErrorPrefix + dbus.ServerBusy, dbus.ErrorPrefix + dbus.ServerUnavailable:
		return exitAway
	}
	return exitFailed
}

// next is what to type next, if there is something.
func (o outcome) next() string {
	switch o.ErrorName {
	case dbus.ErrorPrefix + dbus.NotRegistered:
		return "xo-backup register"
	case dbus.ErrorPrefix + dbus.WrongServer:
		return "xo-backup register --trust FINGERPRINT, once you have compared it with what the server shows"
	case dbus.ErrorPrefix + dbus.NoSnapshot:
		return "xo-backup list"
	case dbus.ErrorPrefix + dbus.ClaimRefused:
		return "xo-backup recover CODE, with a code from whoever looks after the school server"
	case dbus.ErrorPrefix + dbus.NoEntry:
		return "xo-backup find TEXT, which shows the UID of each entry"
	case dbus.ErrorPrefix + dbus.Busy:
		return "xo-backup status"
	}
	return ""
}

// complain says what went wrong, and answers the exit status.
func (a *app) complain(err error) int {
	o := outcomeOf(err)
	if a.json {
		a.printJSON(o)
	} else {
		a.sayOutcome(o)
	}
	return o.exit()
}

// sayOutcome says how something ended: on standard error, unless it is good.
func (a *app) sayOutcome(o outcome) {
	to, message := a.stderr, o.Message
	if o.Result == dbus.ResultDone || o.Result == dbus.ResultPartial {
		to = a.stdout
	}
	if message == "" {
		message = fmt.Sprintf("The %s is %s.", work(o.Operation), o.Result)
	}
	if o.Result == dbus.ResultFailed {
		message = "xo-backup: " + message
	}
	fmt.Fprintln(to, message)
	if next := o.next(); next != "" {
		fmt.Fprintln(to, "Next:", next)
	}
}

// noBus is what a person meets who is not in a session.
type noBus struct{ err error }

func (e *noBus) Error() string {
	return fmt.Sprintf("There is no session bus here (%v): run this in Sugar's Terminal, or below dbus-run-session.", e.err)
}

func (e *noBus) Unwrap() error { return e.err }
