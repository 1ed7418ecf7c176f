package dbus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// work is what a job does.
type work func(ctx context.Context, progress func(Progress)) (Outcome, error)

// begin starts a job, or answers the one that runs if it has the same operation
// and its subject is the same. A backup that only waits gives way to others.
func (s *Service) begin(operation string, subject any, same func(running any) bool, w work) (*job, error) {
	s.beginning.Lock() // taking a number may have to wait for the disk
	defer s.beginning.Unlock()
	if current := s.currentJob(); current != nil {
		if current.operation == operation && same(current.subject) {
			return current, nil
		}
		waiting, ok := current.subject.(*patient)
		if !ok || !waiting.giveWay() {
			does := "is running"
			if current.waits() {
				does = "waits for the school server"
			}
			what := called(current.operation)
			return nil, refuse(Busy, "%s %s %s: wait until it is over, or cancel it.", article(what), what, does)
		}
		<-current.done
	}
	if s.ctx.Err() != nil {
		return nil, refuse(Busy, "The backup service is about to end: try again.")
	}
	number, err := s.history.number()
	if err != nil {
		s.log.Warn("numbers of jobs cannot be reserved on disk", "error", err)
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	j := &job{
		number:    number,
		path:      jobPath(number),
		operation: operation,
		subject:   subject,
		start:     time.Now(),
		cancel:    cancel,
		done:      make(chan struct{}),
	}
	j.emit = func(changed map[string]godbus.Variant) { s.emitChanged(j.path, JobInterface, changed) }
	j.announced = j.properties()
	s.mu.Lock()
	s.current = j
	s.mu.Unlock()
	s.activity.begin()
	s.log.Info("job begins", "job", number, "operation", operation)
	s.emit(Path, Interface+".JobAdded", j.path)
	s.announce()
	go s.run(ctx, j, w)
	return j, nil
}

// run owns a job from its beginning to its end.
func (s *Service) run(ctx context.Context, j *job, w work) {
	defer s.activity.end()
	defer j.cancel(nil)
	outcome, err := s.guarded(ctx, j, w)
	r := result(ctx, j, outcome, err)
	if err := s.history.add(r); err != nil {
		s.log.Warn("the result of a job cannot be kept on disk", "job", j.number, "error", err)
	}
	s.log.Info("job is over", "job", j.number, "operation", j.operation, "result", r.Result,
		"error", r.ErrorName, "message", r.Message, "took", time.Since(j.start).Round(time.Millisecond))
	// Whoever learns that this job is over may start the next at once.
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
	s.names.forget() // there may be a new one
	j.finish(r)
	s.emit(j.path, JobInterface+".Completed", r.whole(), r.Message)
	s.emit(Path, Interface+".JobRemoved", j.path, j.operation, r.Result, r.ErrorName, r.Message)
	s.announce()
	close(j.done)
	s.resume(false)
	debug.FreeOSMemory() // 256 MB are all that an XO has, for everything
}

// guarded does the work; a panic is an error.
func (s *Service) guarded(ctx context.Context, j *job, w work) (outcome Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a job", "job", j.number, "panic", p, "stack", string(debug.Stack()))
			err = refuse(Failed, "The %s failed by a mistake in the program (%v): please report it.", called(j.operation), p)
		}
	}()
	return w(ctx, j.report)
}

func result(ctx context.Context, j *job, outcome Outcome, err error) record {
	j.mu.Lock()
	p := j.progress
	j.mu.Unlock()
	r := record{
		Number: j.number, Operation: j.operation,
		Start: j.start.UnixMicro(), End: j.start.Add(time.Since(j.start)).UnixMicro(),
		Bytes: p.Bytes, Entries: p.Entries, Skipped: p.EntriesSkipped,
		Result: ResultDone, Message: clean(outcome.Message),
	}
	switch {
	case err == nil && outcome.Partial:
		r.Result = ResultPartial
	case err == nil:
	default:
		r.Result = ResultFailed
		r.ErrorName, r.Message = translate(err)
		if r.ErrorName == ErrorPrefix+Cancelled || ctx.Err() != nil && errors.Is(err, context.Canceled) {
			r.Result, r.ErrorName = ResultCancelled, ErrorPrefix+Cancelled
			r.Message = fmt.Sprintf("The %s was cancelled.", called(j.operation))
			if errors.Is(context.Cause(ctx), ErrEnding) {
				r.Message = fmt.Sprintf("The %s was cut off: %v.", called(j.operation), ErrEnding)
			}
		}
	}
	return r
}

func (s *Service) currentJob() *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// jobAt answers what is known of the job of that path: itself while it runs, its
// result afterwards.
func (s *Service) jobAt(path godbus.ObjectPath) (*job, record, error) {
	name, ok := strings.CutPrefix(string(path), string(JobsPath)+"/")
	number, err := strconv.ParseUint(name, 10, 64)
	if !ok || err != nil || strconv.FormatUint(number, 10) != name {
		return nil, record{}, refuse(InvalidArgument, "%q is not the path of a job.", clean(string(path)))
	}
	// In this order: a job is in the history before it stops being current.
	if j := s.currentJob(); j != nil && j.number == number {
		return j, record{}, nil
	}
	if r, ok := s.history.find(number); ok {
		return nil, r, nil
	}
	return nil, record{}, refuse(InvalidArgument, "No job %d is known; the results of the last %d are kept.", number, historySize)
}

// cancelJob asks a job to end. One that is over already has what was wanted.
func (s *Service) cancelJob(path godbus.ObjectPath) error {
	j, _, err := s.jobAt(path)
	if j != nil {
		s.log.Info("job is cancelled", "job", j.number)
		j.cancel(ErrCancelled)
	}
	return err
}

// waitJob waits for the end of a job.
func (s *Service) waitJob(ctx context.Context, path godbus.ObjectPath) (record, error) {
	j, r, err := s.jobAt(path)
	if j == nil {
		return r, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		return record{}, context.Cause(ctx)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.result, nil
}
