package xs

import "github.com/sugarlabs/xo-backupd/transfer"

// promise is room that a session was told that there is. What it has not used yet
// no other session is promised: two for which there is room one after the other
// would at the same time both run into the reserve, and neither would get through.
type promise struct {
	room  *room
	need  space
	child *transfer.Process // nil: nothing has been received
}

// promise promises what is needed, and answers what is free of promises. What
// others will have finished with, it is worth to wait for.
func (r *room) promise(need space) (*promise, space, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := r.free()
	if err != nil {
		return nil, space{}, err
	}
	if no := r.fits(need, free); no != nil {
		return nil, space{}, no
	}
	for p := range r.promises {
		left := p.left()
		free.bytes -= left.bytes
		free.inodes -= left.inodes
	}
	if no := r.fits(need, free); no != nil {
		return nil, space{}, r.busy("The school server has promised the room on its disk to other laptops, which back up now.")
	}
	p := &promise{room: r, need: need}
	r.promises[p] = true
	return p, free, nil
}

// follow tells by whom the promise is used up.
func (p *promise) follow(child *transfer.Process) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	p.child = child
}

// left is what has not been used yet. How many files came nobody counts before
// the end.
func (p *promise) left() space {
	left := space{bytes: max(0, p.need.bytes), inodes: p.need.inodes}
	if p.child != nil {
		_, received := p.child.Progress()
		left.bytes = max(0, left.bytes-received)
	}
	return left
}

func (p *promise) release() {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	delete(p.room.promises, p)
}
