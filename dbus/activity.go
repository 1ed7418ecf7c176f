package dbus

import (
	"context"
	"sync"
	"time"
)

// activity knows how many calls and jobs are under way and since when there
// are none, and holds the gate.
//
// The gate makes leaving safe. A service that has been idle long enough shuts
// it and only then gives up its name; a call that the bus had routed to it
// before that arrives (calls are counted in the order in which the bus sent
// them, and ReleaseName's answer comes behind them), waits at the gate, and is
// served once the name is back. A call that comes later starts a new service.
type activity struct {
	mu      sync.Mutex
	open    chan struct{} // closed: the gate is open
	arrived uint64        // calls, ever
	running int           // calls and jobs
	last    time.Time     // the last time that one began or ended
	quiet   chan struct{} // made by whoever waits for running to be 0, closed then
}

// newActivity begins with the gate shut.
func newActivity() *activity {
	return &activity{open: make(chan struct{}), last: time.Now()}
}

// arrive counts a call. It is called in the order in which calls come in.
func (a *activity) arrive() {
	a.mu.Lock()
	a.arrived++
	a.mu.Unlock()
	a.begin()
}

// begin and end enclose whatever the service must not leave behind.
func (a *activity) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running++
	a.last = time.Now()
}

func (a *activity) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	a.last = time.Now()
	if a.running == 0 && a.quiet != nil {
		close(a.quiet)
		a.quiet = nil
	}
}

// pass waits for the gate to be open.
func (a *activity) pass(ctx context.Context) error {
	a.mu.Lock()
	open := a.open
	a.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// admit opens the gate.
func (a *activity) admit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.open:
	default:
		close(a.open)
	}
	a.last = time.Now()
}

// shut closes the gate if nothing has been under way for the given time, and
// answers how many calls had arrived. Else it answers how long to wait before
// it may be so.
func (a *activity) shut(idle time.Duration) (arrived uint64, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running > 0 {
		return 0, idle
	}
	if rest := idle - time.Since(a.last); rest > 0 {
		return 0, rest
	}
	a.open = make(chan struct{})
	return a.arrived, 0
}

// calls answers how many calls have arrived.
func (a *activity) calls() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.arrived
}

// drain waits until nothing is under way.
func (a *activity) drain(ctx context.Context) {
	a.mu.Lock()
	if a.running == 0 {
		a.mu.Unlock()
		return
	}
	if a.quiet == nil {
		a.quiet = make(chan struct{})
	}
	quiet := a.quiet
	a.mu.Unlock()
	select {
	case <-quiet:
	case <-ctx.Done():
	}
}
