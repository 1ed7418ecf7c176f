package xsclient

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// keptFor is how long a connection is kept that nobody uses: a page of
	// previews is many small requests and one handshake, which takes an XO a
	// good part of a second.
	keptFor = 20 * time.Second
	// keptChannels are how many requests go over it at once. A school server
	// lets eight be open.
	keptChannels = 4
)

// kept is the one connection over which snapshots are looked into. It is opened
// when somebody asks, and closed when nobody has asked for a while.
type kept struct {
	client *Client
	idle   time.Duration // keptFor, but for tests

	ctx  context.Context // of all sessions
	end  context.CancelFunc
	wait sync.WaitGroup // for the sessions to be gone

	mu     sync.Mutex
	now    *keptSession // nil: none
	closed bool
}

func newKept(c *Client) *kept {
	k := &kept{client: c, idle: keptFor}
	k.ctx, k.end = context.WithCancel(context.Background())
	return k
}

// keptSession is a session that is shared, or that is being opened to be.
type keptSession struct {
	end   context.CancelFunc
	ready chan struct{} // closed when what follows is there
	*session
	api *apiClient
	err error

	// Under kept.mu:
	users int
	timer *time.Timer // runs while there are none
}

// do asks over the connection that is kept. Where that was kept from before and
// turns out to be broken, it asks over a new one, once, if again says that this
// does no harm.
func (k *kept) do(ctx context.Context, again func() bool, ask func(*apiClient) error) error {
	for try := 1; ; try++ {
		s, old, err := k.take(ctx)
		if err != nil {
			return err
		}
		err = ask(s.api)
		broken := isBroken(err) && ctx.Err() == nil
		k.release(s, broken)
		if !broken || !old || try > 1 || !again() {
			return err
		}
	}
}

// isBroken tells whether an error is the connection's.
func isBroken(err error) bool {
	var e *Error
	var unheardOf nonsense
	return errors.As(err, &e) && e.Code == ServerUnavailable && !errors.As(err, &unheardOf)
}

// take answers a session, and whether it was there before. It is the caller's to
// release.
func (k *kept) take(ctx context.Context) (s *keptSession, old bool, err error) {
	s, old, err = k.join()
	if err != nil {
		return nil, false, err
	}
	failed := false
	select {
	case <-s.ready:
		err = s.err
		failed = err != nil
	case <-ctx.Done(): // whoever else waits goes on waiting
		if err = cancelled(ctx); err == nil {
			err = unavailable("The school server does not answer: please try again later.", ctx.Err())
		}
	}
	if err != nil {
		k.release(s, failed)
		return nil, false, err
	}
	return s, old, nil
}

func (k *kept) join() (s *keptSession, old bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, false, &Error{Code: Failed, Message: "The backup service is just ending: please try again."}
	}
	if k.now != nil && !k.fits(k.now) {
		k.drop(k.now)
	}
	if s := k.now; s != nil {
		s.timer.Stop()
		s.users++
		return s, true, nil
	}
	// It outlives whoever asks first.
	ctx, end := context.WithCancel(k.ctx)
	s = &keptSession{ready: make(chan struct{}), end: end, users: 1}
	s.timer = time.AfterFunc(k.idle, func() { k.expire(s) })
	s.timer.Stop()
	k.now = s
	k.wait.Go(func() { s.run(ctx, k.client) })
	return s, false, nil
}

// run opens the session, and closes it when ctx ends.
func (s *keptSession) run(ctx context.Context, c *Client) {
	if s.session, s.err = c.dial(ctx); s.err == nil {
		s.api, s.err = s.apiOver(ctx, keptChannels)
	}
	close(s.ready)
	<-ctx.Done()
	if s.api != nil {
		s.api.Close()
	}
	if s.session != nil {
		s.session.Close()
	}
}

// fits tells whether the session is still with whom we are, and with whom we
// trust: registering anew, or trusting another server, changes that.
func (k *kept) fits(s *keptSession) bool {
	select {
	case <-s.ready:
	default:
		return true
	}
	if s.err != nil || s.account != k.client.account() {
		return false
	}
	pinned := k.client.pinned()
	return k.client.deploy != nil || pinned != nil && bytes.Equal(pinned.Marshal(), s.server.Marshal())
}

func (k *kept) release(s *keptSession, broken bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.users--
	switch {
	case broken && k.now == s:
		k.drop(s)
	case s.users > 0:
	case k.now == s:
		s.timer.Reset(k.idle)
	default:
		s.end()
	}
}

func (k *kept) expire(s *keptSession) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now == s && s.users == 0 {
		k.drop(s)
	}
}

// drop lets nobody else use the session, and ends it once nobody does.
func (k *kept) drop(s *keptSession) {
	k.now = nil
	if s.users == 0 {
		s.end()
	}
}

// Close ends what is open, whoever uses it, and waits until it is gone.
func (k *kept) Close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.end()
	k.wait.Wait()
}
