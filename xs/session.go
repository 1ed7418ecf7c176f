package xs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

const (
	// openingTime is how long an opened channel may take to say what it wants.
	openingTime = time.Minute
	// closingTime is how long it may take to close, behind what is on its way on
	// a slow link.
	closingTime = time.Minute
	// leastPerSecond is what moves, on average, where anything moves: the slowest
	// Wi-Fi does ten times as much.
	leastPerSecond = 1 << 10
)

// session is one exec on one channel.
type session struct {
	*connection
	log    *slog.Logger
	caller *store.Account
	key    store.Key
	ch     ssh.Channel
	in     *bufio.Reader
	hangUp func()
	// work outlives the channel: what has arrived is brought to its end even
	// if nobody waits for the answer.
	work context.Context
	mu   sync.Mutex // one report at a time
}

// serveChannel waits for the one exec of a channel and runs it. live ends with
// the connection.
func (n *connection) serveChannel(live, work context.Context, ch ssh.Channel, requests <-chan *ssh.Request) {
	work, done := context.WithTimeout(work, n.Config.SessionTimeout)
	defer done()
	ctx, cancel := context.WithTimeout(live, n.Config.SessionTimeout)
	defer cancel()
	closed := make(chan struct{})
	defer close(closed)
	s := &session{connection: n, ch: ch, in: bufio.NewReader(ch), work: work, hangUp: func() { n.hangUp(ch, closed) },
		log: n.Log.With("account", n.account, "from", n.conn.RemoteAddr())}
	stop := context.AfterFunc(work, s.hangUp)
	defer stop()
	opening := time.AfterFunc(openingTime, s.hangUp)
	defer opening.Stop()

	var wg sync.WaitGroup
	defer wg.Wait()
	for req := range requests {
		command, ok := execOf(req)
		if req.WantReply {
			req.Reply(ok, nil)
		}
		if !ok {
			continue
		}
		opening.Stop()
		wg.Go(func() {
			defer cancel() // the channel is closed
			for req := range requests {
				if req.WantReply {
					req.Reply(false, nil)
				}
			}
		})
		status := s.exec(ctx, command)
		ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		s.hangUp()
		return
	}
	ch.Close()
}

// hangUp closes a channel. To the peer that is but a message: one that does not
// close it too loses the connection.
func (n *connection) hangUp(ch ssh.Channel, closed <-chan struct{}) {
	go func() {
		timer := time.NewTimer(min(closingTime, n.Config.IdleTimeout))
		defer timer.Stop()
		select {
		case <-closed:
		case <-timer.C:
			n.conn.Close()
		}
	}()
	ch.Close()
}

// execOf: no shell, no pty, no subsystem, no environment.
func execOf(req *ssh.Request) (string, bool) {
	if req.Type != "exec" {
		return "", false
	}
	var payload struct{ Command string }
	err := ssh.Unmarshal(req.Payload, &payload)
	return payload.Command, err == nil
}

func (s *session) exec(ctx context.Context, command string) (status uint32) {
	if s.claiming() {
		return s.execClaim(ctx, command)
	}
	name, arg, _ := strings.Cut(command, " ")
	var err error
	if s.caller, s.key, err = s.connection.find(); err != nil {
		s.log.Warn("session", "error", err)
		s.turnAway(name, err)
		return 1
	}
	s.log.Debug("exec", "command", fmt.Sprintf("%.200q", command))
	switch name {
	case wire.CommandBackup:
		err = s.backup()
	case wire.CommandRestore:
		err = s.restore(ctx, arg)
	case wire.CommandAPI:
		err = s.api(ctx)
	case "rsync":
		err = s.rsync(ctx, strings.Fields(arg))
	default:
		s.complain("%.80q: this school server runs only backup, restore, api, and rsync that reads snapshots/latest/", command)
		return 127
	}
	if err != nil {
		s.log.Warn("session failed", "command", name, "error", err)
		return 1
	}
	return 0
}

// turnAway refuses whoever may not even begin. Our own laptops say their first
// line before they hear anything.
func (s *session) turnAway(command string, err error) {
	if command == "rsync" {
		s.complain("xs-backupd: %s", s.refusal(err).Message)
		return
	}
	defer s.patience()()
	var line json.RawMessage
	_ = wire.ReadLine(s.in, &line) // whatever it says
	s.fail(err)
}

// patience is how long one line may take, there or back: a peer that keeps us
// waiting loses the session.
func (s *session) patience() (stop func() bool) {
	return time.AfterFunc(openingTime, s.hangUp).Stop
}

// complain says to a person at a stock client what is wrong.
func (s *session) complain(format string, a ...any) {
	defer s.patience()()
	fmt.Fprintf(s.ch.Stderr(), format+"\n", a...)
}

// open reads the first line of a session into v, whose version is *version.
func (s *session) open(v any, version *int) error {
	defer s.patience()()
	if err := wire.ReadLine(s.in, v); err != nil {
		return s.refuse(&wire.Refusal{Code: wire.RefusedInput, Message: "The first line of the session cannot be read: " + err.Error()})
	}
	if *version != wire.Version {
		return s.refuse(&wire.Refusal{Code: wire.RefusedVersion,
			Message: fmt.Sprintf("The laptop speaks version %d, this school server version %d.", *version, wire.Version)})
	}
	return nil
}

// answer says what comes next.
func (s *session) answer(a wire.Answer) error {
	defer s.patience()()
	a.Version = wire.Version
	return wire.WriteLine(s.ch, a)
}

// refuse answers that nothing comes next, and is the session's error.
func (s *session) refuse(no *wire.Refusal) error {
	if err := s.answer(wire.Answer{Error: no}); err != nil {
		return errors.Join(no, err)
	}
	return no
}

// fail refuses because of err.
func (s *session) fail(err error) error {
	s.refuse(s.refusal(err)) // which the log need not have beside err
	return err
}

func (s *session) failed(err error) word { return func() error { return s.fail(err) } }

// end tells the XO what went wrong after the answer.
func (s *session) end(err error) error {
	s.report(wire.Report{End: true, Error: s.refusal(err)})
	return err
}

// keptAtOnce is how many kept entries are told of in one line: far from MaxLine.
const keptAtOnce = 1000

// report tells how it goes. Whoever does not listen learns nothing; a failure
// shows on the data's own way.
func (s *session) report(r wire.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(r.Kept) > keptAtOnce {
		s.line(wire.Report{Kept: r.Kept[:keptAtOnce]})
		r.Kept = r.Kept[keptAtOnce:]
	}
	s.line(r)
}

// mention reports what nothing waits for, unless the last report is still on its
// way.
func (s *session) mention(r wire.Report) {
	if s.mu.TryLock() {
		go func() {
			defer s.mu.Unlock()
			s.line(r)
		}()
	}
}

func (s *session) line(r wire.Report) {
	defer s.patience()()
	_ = wire.WriteLine(s.ch.Stderr(), r)
}

// watch ends ctx when next to nothing has moved, in both directions, for the idle
// timeout: a laptop that is there and does nothing keeps a slot, and the account,
// from others.
func (s *session) watch(ctx context.Context, child *transfer.Process) (watched context.Context, stop func()) {
	ctx, end := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(s.Config.IdleTimeout)
		defer tick.Stop()
		least := int64(leastPerSecond * s.Config.IdleTimeout.Seconds())
		for last := int64(0); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			sent, received := child.Progress()
			if moved := sent + received - last; moved < least {
				end(&transfer.Error{Kind: transfer.Cut, Message: fmt.Sprintf("only %d bytes moved in %v", moved, s.Config.IdleTimeout)})
				return
			}
			last = sent + received
		}
	})
	return ctx, func() { end(nil); wg.Wait() }
}

// refusal is the one place where an error becomes what an XO is told.
func (s *session) refusal(err error) *wire.Refusal {
	var (
		no    *wire.Refusal
		moved *transfer.Error
		tree  *store.TreeError
		name  *store.NameError
		typed *wire.CodeError
		tries *store.TriesError
		bad   *datastore.DamagedError
		lost  *store.DamagedError
		code  = wire.RefusedFailed
	)
	switch {
	case errors.As(err, &no):
		return no
	case errors.As(err, &tree):
		return &wire.Refusal{Code: wire.RefusedInput, Message: tree.Error()}
	case errors.As(err, &name):
		return &wire.Refusal{Code: wire.RefusedInput, Message: name.Error()}
	case errors.As(err, &typed):
		return &wire.Refusal{Code: wire.RefusedInput, Message: typed.Error()}
	case errors.As(err, &tries):
		return &wire.Refusal{Code: wire.RefusedClaim, Message: tries.Error(), RetryAfter: int(math.Ceil(tries.Wait.Seconds()))}
	case errors.Is(err, store.ErrCode):
		return &wire.Refusal{Code: wire.RefusedClaim, Message: store.ErrCode.Error()}
	case errors.Is(err, store.ErrFull):
		return &wire.Refusal{Code: wire.RefusedFull, Message: err.Error()}
	case errors.As(err, &lost):
		return &wire.Refusal{Code: wire.RefusedDamaged,
			Message: fmt.Sprintf("The backup %s is damaged at school: choose another one, and tell whoever looks after the server.", lost.Snapshot)}
	case errors.Is(err, store.ErrNoAccount), errors.Is(err, errDenied):
		return notRegistered()
	case errors.Is(err, store.ErrReadsOnly), errors.Is(err, store.ErrNotWriter):
		return &wire.Refusal{Code: wire.RefusedReadOnly, Message: err.Error()}
	case errors.Is(err, store.ErrNoSnapshot):
		return &wire.Refusal{Code: wire.RefusedNoSnapshot, Message: err.Error()}
	case errors.Is(err, store.ErrNoEntry):
		return &wire.Refusal{Code: wire.RefusedNoEntry, Message: err.Error()}
	case errors.As(err, &bad):
		return &wire.Refusal{Code: wire.RefusedDamaged, Message: bad.Error()}
	case errors.Is(err, store.ErrInUse):
		no = s.room.busy("This Journal is being backed up by another session right now.")
		no.Code = wire.RefusedInUse
		return no
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return s.room.full()
	case errors.As(err, &moved):
		switch moved.Kind {
		case transfer.Full:
			return s.room.full()
		case transfer.Refused, transfer.Limit:
			return &wire.Refusal{Code: wire.RefusedInput, Message: "The transfer was refused: " + moved.Message}
		}
		return &wire.Refusal{Code: code, Message: "The transfer failed: " + moved.Message, RetryAfter: s.room.seconds()}
	}
	return &wire.Refusal{Code: code, Message: "The school server could not do it; its log says why.", RetryAfter: s.room.seconds()}
}
