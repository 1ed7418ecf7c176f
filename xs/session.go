package xs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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
	// closingTime is how long it may take to close.
	closingTime = 10 * time.Second
)

// session is one exec on one channel.
type session struct {
	*connection
	log    *slog.Logger
	caller *store.Account
	key    store.Key
	ch     ssh.Channel
	in     *bufio.Reader
	// work outlives the channel: what has arrived is brought to its end even
	// if nobody waits for the answer.
	work context.Context
	mu   sync.Mutex // one report at a time
}

// serveChannel waits for the one exec of a channel and runs it. live ends with
// the connection.
func (n *connection) serveChannel(live, work context.Context, ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	work, done := context.WithTimeout(work, n.Config.SessionTimeout)
	defer done()
	ctx, cancel := context.WithTimeout(live, n.Config.SessionTimeout)
	defer cancel()
	// A peer that neither reads nor closes loses the connection.
	stop := context.AfterFunc(work, func() {
		ch.Close()
		time.AfterFunc(closingTime, func() { n.conn.Close() })
	})
	defer stop()
	opening := time.AfterFunc(openingTime, func() { ch.Close() })
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
		status := n.exec(ctx, work, ch, command)
		ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		ch.Close()
		return
	}
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

func (n *connection) exec(ctx, work context.Context, ch ssh.Channel, command string) (status uint32) {
	caller, key, err := n.key()
	s := &session{connection: n, caller: caller, key: key, ch: ch, in: bufio.NewReader(ch), work: work,
		log: n.Log.With("account", n.account, "from", n.conn.RemoteAddr())}
	name, arg, _ := strings.Cut(command, " ")
	if err != nil {
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
		fmt.Fprintf(ch.Stderr(), "%.80q: this school server runs only backup, restore, api, and rsync that reads snapshots/latest/\n", command)
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
		fmt.Fprintf(s.ch.Stderr(), "xs-backupd: %s\n", s.refusal(err).Message)
		return
	}
	timer := time.AfterFunc(openingTime, func() { s.ch.Close() })
	defer timer.Stop()
	var line json.RawMessage
	_ = wire.ReadLine(s.in, &line) // whatever it says
	s.fail(err)
}

// open reads the first line of a session into v, whose version is *version.
func (s *session) open(v any, version *int) error {
	timer := time.AfterFunc(openingTime, func() { s.ch.Close() })
	defer timer.Stop()
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
		_ = wire.WriteLine(s.ch.Stderr(), wire.Report{Kept: r.Kept[:keptAtOnce]})
		r.Kept = r.Kept[keptAtOnce:]
	}
	_ = wire.WriteLine(s.ch.Stderr(), r)
}

// watch closes the channel when nothing has moved in either direction for the
// idle timeout: a laptop that is there and does nothing keeps a slot, and the
// account, from others.
func (s *session) watch(child *transfer.Process) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(s.Config.IdleTimeout)
		defer tick.Stop()
		last := int64(-1)
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			sent, received := child.Progress()
			if sent+received == last {
				s.log.Warn("nothing moves: the session is ended")
				s.ch.Close()
				return
			}
			last = sent + received
		}
	})
	return func() { close(done); wg.Wait() }
}

// refusal is the one place where an error becomes what an XO is told.
func (s *session) refusal(err error) *wire.Refusal {
	var (
		no    *wire.Refusal
		moved *transfer.Error
		tree  *store.TreeError
		name  *store.NameError
		bad   *datastore.DamagedError
		code  = wire.RefusedFailed
	)
	switch {
	case errors.As(err, &no):
		return no
	case errors.As(err, &tree):
		return &wire.Refusal{Code: wire.RefusedInput, Message: tree.Error()}
	case errors.As(err, &name):
		return &wire.Refusal{Code: wire.RefusedInput, Message: name.Error()}
	case errors.Is(err, store.ErrNoAccount), errors.Is(err, errDenied):
		return notRegistered()
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
