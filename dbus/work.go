package dbus

import (
	"context"
	"errors"
	"sync"
)

// restoring is the subject of a restore.
type restoring struct {
	RestoreRequest
	patient
}

// beginRestore starts the restore that a person asks for, or answers the job of
// the same restore, which is not to wait any longer then.
func (s *Service) beginRestore(request RestoreRequest) (*job, error) {
	j, err := s.beginRestoring(request, func(ctx context.Context, _ *patient, progress func(Progress)) (Outcome, error) {
		return s.engine.Restore(ctx, request, progress)
	})
	if err == nil {
		j.subject.(*restoring).hurry()
	}
	return j, err
}

// resumeRestore starts a job for the restore that is pending.
func (s *Service) resumeRestore(request RestoreRequest, atOnce bool) error {
	_, err := s.beginRestoring(request, func(ctx context.Context, p *patient, progress func(Progress)) (Outcome, error) {
		return p.run(ctx, progress,
			func(ctx context.Context, progress func(Progress)) (Outcome, error) {
				return s.engine.ResumeRestore(ctx, atOnce, progress)
			},
			func(ctx context.Context, progress func(Progress)) (Outcome, error) {
				return s.engine.Restore(ctx, request, progress)
			})
	})
	return err
}

func (s *Service) beginRestoring(request RestoreRequest, do func(context.Context, *patient, func(Progress)) (Outcome, error)) (*job, error) {
	r := &restoring{RestoreRequest: request}
	same := func(running any) bool {
		return running.(*restoring).RestoreRequest == request || s.engine.IsPending(request)
	}
	return s.begin(OperationRestore, r, same, func(ctx context.Context, progress func(Progress)) (Outcome, error) {
		outcome, err := do(ctx, &r.patient, progress)
		if err != nil && errors.Is(context.Cause(ctx), ErrCancelled) {
			// A person does not want it any more. What merely cut it off leaves
			// it to be gone on with.
			if err := s.engine.AbandonRestore(s.ctx); err != nil {
				return outcome, err
			}
		}
		return outcome, err
	})
}

// hurryRestore lets a restore that waits be tried at once: what it was waiting
// for may be mended.
func (s *Service) hurryRestore() {
	if j := s.currentJob(); j != nil && j.operation == OperationRestore {
		j.subject.(*restoring).hurry()
	}
}

// beginBackup starts a backup, or answers the one that runs: whatever the
// trigger, it is the same, but a person does not wait for the schedule's patience
// with a busy server.
func (s *Service) beginBackup(trigger string) (*job, error) {
	b := &patient{}
	manual := func(ctx context.Context, progress func(Progress)) (Outcome, error) {
		return s.engine.Backup(ctx, TriggerManual, progress)
	}
	j, err := s.begin(OperationBackup, b, func(any) bool { return true },
		func(ctx context.Context, progress func(Progress)) (Outcome, error) {
			if trigger == TriggerManual {
				return manual(ctx, progress)
			}
			return b.run(ctx, progress, func(ctx context.Context, progress func(Progress)) (Outcome, error) {
				return s.engine.Backup(ctx, trigger, progress)
			}, manual)
		})
	if err == nil && trigger == TriggerManual {
		j.subject.(*patient).hurry()
	}
	return j, err
}

// patient is work that waits for the school server, until a person waits for the
// work.
type patient struct {
	mu      sync.Mutex
	hurried bool
	waiting bool
	gaveWay bool
	stop    context.CancelFunc // of the patient work's ctx
}

// run works patiently; once it is hurried, what waits is done at once instead.
func (p *patient) run(ctx context.Context, progress func(Progress), patiently, atOnce work) (Outcome, error) {
	calm, stop := context.WithCancel(ctx)
	defer stop()
	p.mu.Lock()
	p.stop = stop
	p.mu.Unlock()
	outcome, err := patiently(calm, func(now Progress) {
		p.wait(now.Phase == PhaseWaiting)
		progress(now)
	})
	if err == nil || calm.Err() == nil || ctx.Err() != nil {
		return outcome, err
	}
	if p.hasGivenWay() {
		return outcome, refuse(Busy, "The school server was busy, and what waited for it gave way to something else.")
	}
	return atOnce(ctx, progress)
}

// giveWay ends work that waits and that nobody waits for. It tells whether it did.
func (p *patient) giveWay() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting || p.hurried || p.stop == nil {
		return false
	}
	p.gaveWay = true
	p.stop()
	return true
}

func (p *patient) hasGivenWay() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gaveWay
}

// hurry ends the waiting, or the next one.
func (p *patient) hurry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hurried = true
	p.stopWaiting()
}

func (p *patient) wait(waiting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = waiting
	p.stopWaiting()
}

func (p *patient) stopWaiting() {
	if p.hurried && p.waiting && p.stop != nil {
		p.stop()
	}
}

// What the jobs about single entries are about.
type (
	restoringEntry struct{ snapshot, uid string }
	exporting      struct{ snapshot, uid, path string }
)

func (s *Service) beginRestoreEntry(r restoringEntry) (*job, error) {
	return s.begin(OperationRestoreEntry, r, func(running any) bool { return running == r },
		func(ctx context.Context, progress func(Progress)) (Outcome, error) {
			return s.engine.RestoreEntry(ctx, r.snapshot, r.uid, progress)
		})
}

func (s *Service) beginExport(e exporting) (*job, error) {
	return s.begin(OperationExport, e, func(running any) bool { return running == e },
		func(ctx context.Context, progress func(Progress)) (Outcome, error) {
			return s.engine.ExportEntry(ctx, e.snapshot, e.uid, e.path, progress)
		})
}

func (s *Service) beginReindex() (*job, error) {
	return s.begin(OperationReindex, nil, func(any) bool { return true }, s.engine.Reindex)
}
