package datastore

import (
	"context"
	"errors"
	"time"
)

// patience reads entries again that did not hold still, all of them in turns,
// so that one waits while the others do.
type patience struct {
	most    time.Duration
	waiting []*waiting
}

type waiting struct {
	uid   UID
	last  *doubt
	since time.Time // that nothing about last has changed
}

const (
	// waitFirst is the first pause between two tries; it doubles up to waitLong.
	waitFirst = 10 * time.Millisecond
	waitLong  = 200 * time.Millisecond
)

func (p *patience) add(uid UID, d *doubt) {
	p.waiting = append(p.waiting, &waiting{uid, d, time.Now()})
}

// work calls try for each waiting entry until it is content, which is when it
// returns anything but a doubt, or until time is up: then it calls giveUp.
func (p *patience) work(ctx context.Context, try func(uid UID, accept bool) error, giveUp func(UID, *doubt)) error {
	deadline := time.Now().Add(p.most)
	for pause := waitFirst; len(p.waiting) > 0; pause = min(2*pause, waitLong) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		left := p.waiting[:0]
		for _, w := range p.waiting {
			settled := w.last.settle > 0 && time.Since(w.since) >= w.last.settle
			err := try(w.uid, settled)
			var d *doubt
			if !errors.As(err, &d) {
				if err != nil {
					return err
				}
				continue
			}
			if time.Now().After(deadline) {
				giveUp(w.uid, d)
				continue
			}
			if *d != *w.last {
				w.last, w.since = d, time.Now()
			}
			left = append(left, w)
		}
		p.waiting = left
	}
	return nil
}
