package dbus

import (
	"context"
	"strconv"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// What asks for a backup by itself asks again and again, day after day. Where none
// is to begin, whoever called is answered a job that is over. That costs nothing
// else: no signal, no State that changes, and no write to flash, neither for a
// number nor for a result.

// triesAgain bounds how often a backup is asked for again that was held back by
// what soon passes: each time is a call, which keeps the service from leaving.
const triesAgain = 10

// NetworkCame has to be called when a network has come into reach: a backup that
// was missed is caught up then.
func (s *Service) NetworkCame() { s.trigger(TriggerNetwork, 0) }

// trigger is a call to ourselves.
func (s *Service) trigger(trigger string, tries int) {
	if s.calls.Err() != nil {
		return
	}
	s.activity.begin()
	defer s.activity.end()
	if s.activity.pass(s.calls) != nil {
		return
	}
	s.guard("HeldBack", func() {
		if _, err := s.backUpByItself(trigger, tries); err != nil {
			s.log.Info("no backup begins", "trigger", trigger, "why", err)
		}
	})
}

// backUpByItself begins a backup unless the engine holds it back. It answers its
// job, or that of the backup that runs.
func (s *Service) backUpByItself(trigger string, tries int) (path godbus.ObjectPath, err error) {
	err = s.ask(s.triggered, func(ctx context.Context) error {
		if running := s.currentJob(); running != nil && running.operation == OperationBackup {
			path = running.path
			return nil
		}
		why, again := s.engine.HeldBack(ctx)
		if why != "" {
			path = s.heldBack(trigger, why)
			s.askAgain(trigger, again, tries)
			return nil
		}
		j, err := s.beginBackup(trigger)
		if err == nil {
			path = j.path
		}
		return err
	})
	return path, err
}

// heldBack is the path of a job that was none.
func (s *Service) heldBack(trigger, why string) godbus.ObjectPath {
	s.log.Info("a backup is held back", "trigger", trigger, "why", why)
	now := time.Now().UnixMicro()
	r := record{Number: strayNumber(), Operation: OperationBackup, Start: now, End: now, Result: ResultDone, Message: clean(why)}
	s.history.note(r)
	return jobPath(r.Number)
}

// askAgain asks once more by and by, unless somebody else does before.
func (s *Service) askAgain(trigger string, again time.Duration, tries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.again != nil {
		s.again.Stop()
	}
	if again > 0 && tries < triesAgain {
		s.again = time.AfterFunc(again, func() { s.trigger(trigger, tries+1) })
	}
}

func jobPath(number uint64) godbus.ObjectPath {
	return JobsPath + "/" + godbus.ObjectPath(strconv.FormatUint(number, 10))
}
