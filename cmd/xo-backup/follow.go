package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus"
)

// finish shows a job until it is over, and says how it ended.
func (a *app) finish(d *daemon, job godbus.ObjectPath) error {
	o, err := a.follow(d, job)
	if err != nil {
		return err
	}
	if a.json {
		a.printJSON(o)
	} else {
		a.sayOutcome(o)
	}
	if code := o.exit(); code != exitDone {
		return status(code)
	}
	return nil
}

// follow shows a job until it is over. Ctrl-C ends the showing, not the job.
func (a *app) follow(d *daemon, job godbus.ObjectPath) (outcome, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	changes := make(chan *godbus.Signal, 16)
	d.Signal(changes)
	defer d.RemoveSignal(changes)
	err := d.AddMatchSignal(godbus.WithMatchObjectPath(job),
		godbus.WithMatchInterface("org.freedesktop.DBus.Properties"), godbus.WithMatchMember("PropertiesChanged"))
	if err != nil {
		return outcome{}, err
	}
	properties, err := d.properties(job, dbus.JobInterface)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{Job: string(job), Operation: text(properties["Operation"])}
	over := make(chan error, 1)
	go func() {
		over <- d.call(ctx, "Wait", []any{job}, &o.Result, &o.ErrorName, &o.Message)
	}()
	show := a.display()
	defer show.close()
	for {
		if text(properties["Result"]) == "" {
			show.update(progressOf(properties))
		}
		select {
		case change, ok := <-changes:
			if !ok {
				return outcome{}, godbus.ErrClosed
			}
			if change.Path == job && len(change.Body) > 1 {
				changed, _ := change.Body[1].(map[string]godbus.Variant)
				for name, value := range changed {
					properties[name] = value
				}
			}
		case err := <-over:
			show.close()
			if ctx.Err() != nil {
				fmt.Fprintf(a.stderr, "\nThe %s goes on without you: 'xo-backup status' shows how far it is, 'xo-backup cancel' stops it.\n", work(text(properties["Operation"])))
				return outcome{}, status(exitInterrupted)
			}
			if err != nil {
				return outcome{}, err
			}
			// How much it was, as the job has it now.
			if last, err := d.properties(job, dbus.JobInterface); err == nil {
				p := progressOf(last)
				o.Progress, o.Entries, o.Bytes, o.Skipped = p.fraction, p.entries, p.bytes, p.skipped
			}
			return o, nil
		}
	}
}

// progress is what a job tells of how far it is.
type progress struct {
	operation, phase     string
	fraction             float64
	known                bool
	bytes, bytesDone     uint64
	entries, done        uint32
	skipped              uint32
	expectedEnd, started uint64 // Unix microseconds
}

func progressOf(p map[string]godbus.Variant) progress {
	return progress{
		operation:   text(p["Operation"]),
		phase:       text(p["Phase"]),
		fraction:    value[float64](p["Progress"]),
		known:       value[bool](p["ProgressValid"]),
		bytes:       value[uint64](p["Bytes"]),
		bytesDone:   value[uint64](p["BytesDone"]),
		entries:     value[uint32](p["Entries"]),
		done:        value[uint32](p["EntriesDone"]),
		skipped:     value[uint32](p["EntriesSkipped"]),
		expectedEnd: value[uint64](p["ExpectedEndTime"]),
		started:     value[uint64](p["StartTime"]),
	}
}

// value of a property, or nothing.
func value[T any](v godbus.Variant) T {
	t, _ := v.Value().(T)
	return t
}

func text(v godbus.Variant) string { return value[string](v) }
