package dbus

import (
	"context"
	"sync"
)

// restoring is the subject of a restore.
type restoring struct {
	RestoreRequest
	resumed bool
}

func (s *Service) beginRestore(r restoring) (*job, error) {
	same := func(subject any) bool {
		running := subject.(restoring)
		asked := r.RestoreRequest
		if running.resumed && asked.Snapshot == "" {
			// What was the latest when it began has a name by now.
			asked.Snapshot = running.Snapshot
		}
		return running.RestoreRequest == asked
	}
	return s.begin(OperationRestore, r, same, func(ctx context.Context, progress func(Progress)) (Outcome, error) {
		return s.engine.Restore(ctx, r.RestoreRequest, progress)
	})
}

// backingUp is the subject of a backup. Whatever the trigger, it is the same
// backup, but a person does not wait for the schedule's patience with a busy
// server.
type backingUp struct {
	engine Engine

	mu      sync.Mutex
	hurried bool
	waiting bool
	stop    context.CancelFunc // of the engine's ctx
}

func (s *Service) beginBackup(trigger string) (*job, error) {
	b := &backingUp{engine: s.engine}
	j, err := s.begin(OperationBackup, b, func(any) bool { return true },
		func(ctx context.Context, progress func(Progress)) (Outcome, error) {
			return b.run(ctx, trigger, progress)
		})
	if err == nil && trigger == TriggerManual {
		j.subject.(*backingUp).hurry()
	}
	return j, err
}

func (b *backingUp) run(ctx context.Context, trigger string, progress func(Progress)) (Outcome, error) {
	if trigger == TriggerManual {
		return b.engine.Backup(ctx, trigger, progress)
	}
	patient, stop := context.WithCancel(ctx)
	defer stop()
	b.mu.Lock()
	b.stop = stop
	b.mu.Unlock()
	outcome, err := b.engine.Backup(patient, trigger, func(p Progress) {
		b.wait(p.Phase == PhaseWaiting)
		progress(p)
	})
	if err != nil && patient.Err() != nil && ctx.Err() == nil {
		return b.engine.Backup(ctx, TriggerManual, progress)
	}
	return outcome, err
}

// hurry ends the waiting, or the next one.
func (b *backingUp) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hurried = true
	b.stopWaiting()
}

func (b *backingUp) wait(waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = waiting
	b.stopWaiting()
}

func (b *backingUp) stopWaiting() {
	if b.hurried && b.waiting && b.stop != nil {
		b.stop()
	}
}
