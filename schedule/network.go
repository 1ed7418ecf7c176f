package schedule

import (
	"context"

	godbus "github.com/godbus/dbus/v5"
)

// NetworkManager's names, and what its numbers mean.
const (
	manager                       = "org.freedesktop.NetworkManager"
	managerPath godbus.ObjectPath = "/org/freedesktop/NetworkManager"

	stateUnknown = 0
	// A school whose server leads nowhere else is "local", and not behind a
	// portal either, whatever NetworkManager's own check of the internet says.
	stateConnectedLocal = 50

	meteredYes      = 1
	meteredGuessYes = 3
)

// network is what NetworkManager says of it. Zero: not known, or good.
type network struct{ offline, metered bool }

func (l Laptop) network(ctx context.Context) network {
	var state, metered uint32
	var n network
	if l.ask(ctx, &state, manager, managerPath, manager, "State") {
		n.offline = !connected(state)
	}
	if l.ask(ctx, &metered, manager, managerPath, manager, "Metered") {
		n.metered = metered == meteredYes || metered == meteredGuessYes
	}
	return n
}

func connected(state uint32) bool { return state == stateUnknown || state >= stateConnectedLocal }

// Watch calls came, on a goroutine of its own, each time that a network has come
// into reach, until the system bus goes away.
func (l Laptop) Watch(came func()) error {
	if l.System == nil {
		return nil
	}
	signals := make(chan *godbus.Signal, 16)
	l.System.Signal(signals)
	go func() {
		for s := range signals {
			if state, ok := stateIn(s); ok && state != stateUnknown && connected(state) {
				came()
			}
		}
	}()
	return l.System.AddMatchSignal(
		godbus.WithMatchSender(manager), godbus.WithMatchObjectPath(managerPath),
		godbus.WithMatchInterface(manager), godbus.WithMatchMember("StateChanged"),
	)
}

func stateIn(s *godbus.Signal) (state uint32, ok bool) {
	if s.Name != manager+".StateChanged" || len(s.Body) != 1 {
		return 0, false
	}
	state, ok = s.Body[0].(uint32)
	return state, ok
}
