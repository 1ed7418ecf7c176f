package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/schedule"
	"github.com/sugarlabs/xo-backupd/xsclient"
)

const (
	// lookTime is how long the laptop may take to say how it stands.
	lookTime = 2 * time.Second
	// passesAfter is when what soon passes is looked at again.
	passesAfter = time.Minute
)

// byItself is the backup that nobody asks for: the schedule, with what it goes by.
type byItself struct {
	settings schedule.Settings
	laptop   schedule.Laptop
	client   *xsclient.Client
	home     profile.Profile
	why      atomic.Pointer[string] // none begins, for whoever asks
}

// whenThere is said where only the school server is missing, as far as is known.
const whenThere = "A backup is due: it is made by itself when the school server is in reach."

// look finds out whether the laptop may back up now.
func (b *byItself) look(ctx context.Context) schedule.Verdict {
	status := b.client.Status()
	if _, pending := b.client.PendingRestore(); pending || status.Account == "" {
		b.say("") // the client's own reason is said already
		return schedule.Verdict{Why: status.StateReason}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	times := schedule.Times{Laptop: status.Serial, Now: time.Now()}
	if b.settings.Enabled {
		times.Now = times.Now.In(b.home.Zone(ctx))
	}
	times.Last, times.Since, times.ThisBoot = b.client.LastBackup()
	v := b.settings.Decide(times, func() schedule.Standing { return b.laptop.Look(ctx, times.Now) })
	switch {
	case v.NotDue:
		b.say("")
	case v.Why == "":
		b.say(whenThere)
	default:
		b.say(v.Why)
	}
	return v
}

// heldBack is [dbus.Engine]'s.
func (b *byItself) heldBack(ctx context.Context) (why string, again time.Duration) {
	v := b.look(ctx)
	switch {
	case v.Passing:
		return v.Why, passesAfter
	case v.Why != "":
		return v.Why, 0
	}
	err := b.client.WouldTake(ctx)
	var e *xsclient.Error
	switch known := errors.As(err, &e); {
	case err == nil, known && e.Code == xsclient.ServerBusy: // which a backup by itself waits for
		return "", 0
	case known:
		why = "Not backed up by itself yet. " + e.Message
	default:
		why = "Not backed up by itself yet: the school server does not answer."
	}
	b.say(why)
	return why, 0
}

func (b *byItself) say(why string) { b.why.Store(&why) }

// said is why none has begun, "" if there is no reason to say anything.
func (b *byItself) said() string {
	if why := b.why.Load(); why != nil {
		return *why
	}
	return ""
}

// connectSystem connects to the system bus. Without one, what is asked there is not
// known.
func connectSystem(getenv func(string) string, log *slog.Logger) *godbus.Conn {
	address := getenv("DBUS_SYSTEM_BUS_ADDRESS")
	if address == "" {
		address = "unix:path=/var/run/dbus/system_bus_socket"
	}
	conn, err := godbus.Connect(address)
	if err != nil {
		log.Info("no system bus: what the battery and the network say is not known", "error", err)
		return nil
	}
	return conn
}
