package dbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// Names on the bus.
const (
	BusName      = "org.laptop.Backup"
	Interface    = "org.laptop.Backup"
	JobInterface = "org.laptop.Backup.Job"

	Path          godbus.ObjectPath = "/org/laptop/Backup"
	JobsPath      godbus.ObjectPath = Path + "/jobs"
	JournalPath   godbus.ObjectPath = Path + "/journal"
	SnapshotsPath godbus.ObjectPath = Path + "/snapshots"
)

// Limits of time.
const (
	askTime  = 20 * time.Second // a call that asks the school server; dbus-send waits 25
	jobEnds  = 10 * time.Second // a job that is cut off, to its end
	callEnds = 2 * time.Second  // the calls that are under way at the end
	lockTime = 20 * time.Second // another service that is about to go
)

// How many calls there are at once, on a machine with 256 MB.
const (
	asking   = 3 // that ask the school server: each is a connection with its buffers
	browsing = 2 // that look into snapshots, which may have to come from there first
	looking  = 4 // that look into the Journal
)

// ErrAlreadyRunning is Run's error when the bus has such a service already.
var ErrAlreadyRunning = errors.New("another xo-backupd has the name " + BusName + " on this bus already")

// Config of a Service.
type Config struct {
	Version  string
	StateDir string        // where the results of jobs are kept
	IdleExit time.Duration // end when nothing has been asked for so long; 0: never
	Log      *slog.Logger
	// Incoming, if set, is shown every message that comes in, in the order of the
	// bus, before it is answered. It must not wait for anything.
	Incoming func(*godbus.Message)
}

// Service is org.laptop.Backup. Connect it, or make a connection with its
// ConnOptions, then Run it.
type Service struct {
	cfg      Config
	log      *slog.Logger
	activity *activity

	ctx      context.Context // of jobs; it ends first, so that Wait can tell what became of them
	endJobs  context.CancelCauseFunc
	calls    context.Context // of calls
	endCalls context.CancelCauseFunc

	// Set by Run before the gate opens.
	engine  Engine
	conn    *godbus.Conn
	line    *line // below conn, if Connect made it
	history *history

	beginning   sync.Mutex // one job begins at a time
	registering sync.Mutex // one call at a time changes who we are to the XS
	asking      chan struct{}
	browsing    chan struct{}
	looking     chan struct{}
	triggered   chan struct{} // one trigger at a time
	names       snapshotNames

	mu         sync.Mutex
	current    *job
	awaiting   bool        // what becomes of a claim
	claimAsked time.Time   // when a person last asked for it
	again      *time.Timer // asks again for a backup that was held back

	announcing sync.Mutex
	announced  map[string]godbus.Variant
}

// New makes a service. It does nothing yet.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg, log: cfg.Log, activity: newActivity()}
	s.asking, s.browsing, s.looking = make(chan struct{}, asking), make(chan struct{}, browsing), make(chan struct{}, looking)
	s.triggered = make(chan struct{}, 1)
	s.ctx, s.endJobs = context.WithCancelCause(context.Background())
	s.calls, s.endCalls = context.WithCancelCause(context.Background())
	return s
}

// ConnOptions are those that the service's connection has to be made with.
func (s *Service) ConnOptions() []godbus.ConnOption {
	return []godbus.ConnOption{
		godbus.WithHandler(handler{s}),
		godbus.WithIncomingInterceptor(func(m *godbus.Message) {
			if isOurs(m) {
				s.activity.arrive()
			}
			if s.cfg.Incoming != nil {
				s.cfg.Incoming(m)
			}
		}),
	}
}

// Run serves until ctx ends, the bus goes away or nothing has been asked for
// long enough; these are no errors. It closes conn.
func (s *Service) Run(ctx context.Context, conn *godbus.Conn, engine Engine) error {
	defer conn.Close()
	defer s.endCalls(ErrEnding)
	defer s.endJobs(ErrEnding)
	lock, err := s.takeOver(ctx, conn)
	if err != nil {
		return err
	}
	defer lock.Close()
	s.history, err = openHistory(s.cfg.StateDir)
	if err != nil {
		s.log.Warn("the results of earlier jobs are lost", "error", err)
	}
	s.conn, s.engine = conn, engine

	if err := s.takeName(); err != nil {
		return err
	}
	s.guard("Recover", func() {
		if err := engine.Recover(ctx); err != nil {
			// Backups and restores will say so too; a person can still ask why.
			s.log.Error("what a power cut left half done cannot be put right", "error", err)
		}
	})
	s.guard("Status", s.firstLook)
	s.resume(true)
	s.guard("PendingClaim", func() { s.awaitClaim(false) })
	s.activity.admit()
	s.log.Info("ready", "version", s.cfg.Version, "idle_exit", s.cfg.IdleExit)

	if s.serve(ctx) {
		s.log.Info("nothing to do: leaving")
		return nil // the name is given up, nothing is under way
	}
	// Asked to end, or no bus. Jobs first: clients learn what became of them
	// while the name is still ours.
	s.endJobs(ErrEnding)
	if j := s.currentJob(); j != nil {
		select {
		case <-j.done:
		case <-time.After(jobEnds):
			s.log.Error("a job does not end", "job", j.number)
		}
	}
	s.endCalls(ErrEnding)
	if conn.Connected() {
		conn.ReleaseName(BusName)
		s.flush()
	}
	return nil
}

// serve waits for the end. It answers whether the service has left by itself.
func (s *Service) serve(ctx context.Context) (left bool) {
	var idle <-chan time.Time
	timer := time.NewTimer(s.cfg.IdleExit)
	defer timer.Stop()
	if s.cfg.IdleExit > 0 {
		idle = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			s.log.Info("asked to end")
			return false
		case <-s.conn.Context().Done():
			s.log.Info("the bus went away")
			return false
		case <-idle:
			wait := s.leave()
			if wait == 0 {
				return true
			}
			timer.Reset(wait)
		}
	}
}

// leave gives up the name if nothing has been under way for long enough. Else it
// answers when to look again.
func (s *Service) leave() (wait time.Duration) {
	if rest := s.awaitedFor(); rest > 0 {
		return min(rest, s.cfg.IdleExit)
	}
	before, wait := s.activity.shut(s.cfg.IdleExit)
	if wait > 0 {
		return wait
	}
	if s.release(before) {
		return 0
	}
	return s.cfg.IdleExit
}

// release gives up the name behind the shut gate. It takes it back, and answers
// false, if there have been more calls than before.
func (s *Service) release(before uint64) (left bool) {
	if _, err := s.conn.ReleaseName(BusName); err != nil {
		return true // there is no bus any more
	}
	// The answer came behind every call that the bus had sent us by then.
	if s.activity.calls() == before {
		return true
	}
	// Nobody else can have taken the name, since we have the lock; a service
	// that was started meanwhile sees that we are back.
	s.log.Info("called while leaving: staying")
	err := s.takeName()
	s.activity.admit()
	if err != nil {
		s.log.Error("the name is lost: leaving after these calls", "error", err)
		s.activity.drain(s.ctx)
		s.flush()
		return true
	}
	return false
}

// takeName makes us the one that is called.
func (s *Service) takeName() error {
	reply, err := s.conn.RequestName(BusName, godbus.NameFlagDoNotQueue)
	if err != nil {
		return fmt.Errorf("asking the bus for the name %s: %w", BusName, err)
	}
	if reply != godbus.RequestNameReplyPrimaryOwner && reply != godbus.RequestNameReplyAlreadyOwner {
		return ErrAlreadyRunning
	}
	return nil
}

// firstLook is what later looks are compared with.
func (s *Service) firstLook() {
	s.announcing.Lock()
	defer s.announcing.Unlock()
	s.announced = map[string]godbus.Variant{}
	s.announced = s.properties()
}

// resume has a job for a restore that was cut off.
func (s *Service) resume(atOnce bool) {
	s.guard("PendingRestore", func() {
		request, ok := s.engine.PendingRestore()
		if !ok || s.ctx.Err() != nil {
			return
		}
		s.log.Info("going on with a restore that was cut off", "snapshot", request.Snapshot, "at_once", atOnce)
		if err := s.resumeRestore(request, atOnce); err != nil {
			// Another job was faster; when that is over there is another try.
			s.log.Warn("cannot go on with the restore now", "error", err)
		}
	})
}

// guard keeps a mistake of the engine's from being the end of the service.
func (s *Service) guard(what string, do func()) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in "+what, "panic", p)
		}
	}()
	do()
}

// flush lets the answers of calls that are over reach the bus.
func (s *Service) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), callEnds)
	defer cancel()
	s.activity.drain(ctx)
	// godbus writes an answer after the call has returned to it. A question to
	// the bus makes the goroutines that are about to write do so.
	var id string
	s.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetId", 0).Store(&id)
}
