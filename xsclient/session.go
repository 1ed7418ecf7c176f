package xsclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

// openTimeout bounds connecting and authenticating, and each opening of a
// channel after that.
const openTimeout = 20 * time.Second

// session is one SSH connection to the XS, opened for one operation. It ends
// when that operation's ctx ends, when nothing moves any more (link.go), or
// with Close.
type session struct {
	ctx    context.Context // of the operation
	client *Client
	conn   ssh.Conn
	link   *link
	host   string // for messages

	account string
	server  ssh.PublicKey // its host key, without a certificate

	stop func() bool // undoes ctx's hold on the link
	wait sync.WaitGroup
}

// Close ends the connection and waits for all that belonged to it.
func (s *session) Close() error {
	s.stop()
	s.link.Close()
	s.wait.Wait()
	return nil
}

// explain puts what a broken connection said into an Error: the caller gave
// up, the link died, or the server ended it.
func (s *session) explain(err error) error {
	var known *Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case cancelled(s.ctx) != nil:
		return cancelled(s.ctx)
	case s.link.dead():
		return unavailable(fmt.Sprintf("The connection to the school server %s was lost: is the network in reach?", s.host), err)
	default:
		return unavailable(fmt.Sprintf("The school server %s stopped answering: please try again later.", s.host), err)
	}
}

// channel is one command on the XS.
type channel struct {
	Stdout *bufio.Reader
	Stdin  io.Writer
	Stderr io.Reader

	session *session
	ch      ssh.Channel
	stop    func() bool
}

// exec starts a command. The channel, and with it the whole session, ends when
// ctx does: a channel alone cannot be ended while its peer does not answer.
func (s *session) exec(ctx context.Context, command string) (*channel, error) {
	stop := context.AfterFunc(ctx, func() { s.link.Close() })
	c, err := s.start(command)
	if err != nil {
		stop()
		if cancelled(ctx) != nil {
			return nil, cancelled(ctx)
		}
		return nil, s.explain(err)
	}
	c.stop = stop
	return c, nil
}

func (s *session) start(command string) (*channel, error) {
	timer := time.AfterFunc(s.client.openTimeout, s.link.giveUp)
	defer timer.Stop()
	ch, requests, err := s.conn.OpenChannel("session", nil)
	if err != nil {
		return nil, err
	}
	c := &channel{
		Stdout:  bufio.NewReaderSize(ch, 32<<10),
		Stdin:   ch,
		Stderr:  ch.Stderr(),
		session: s,
		ch:      ch,
		stop:    func() bool { return true },
	}
	// How a command ends is in the last report, not in its exit status.
	s.wait.Go(func() { ssh.DiscardRequests(requests) })
	ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err == nil && !ok {
		err = badAnswer(fmt.Sprintf("the server does not know the command %q", command))
	}
	if err != nil {
		ch.Close()
		return nil, err
	}
	return c, nil
}

// ask sends the first line and reads the XS's. A server that does not answer is
// given up: the opening has a bound, what follows has none but ctx.
func (c *channel) ask(ctx context.Context, request, answer any) error {
	timer := time.AfterFunc(c.session.client.openTimeout, c.session.link.giveUp)
	defer timer.Stop()
	err := wire.WriteLine(c.Stdin, request)
	if err == nil {
		err = wire.ReadLine(c.Stdout, answer)
	}
	switch {
	case cancelled(ctx) != nil:
		return cancelled(ctx)
	case isJSON(err):
		return badAnswer(err.Error())
	case err != nil:
		return c.session.explain(err)
	}
	return nil
}

// open asks what an Answer follows. One that refuses is an error.
func (c *channel) open(ctx context.Context, request any) (wire.Answer, error) {
	var answer wire.Answer
	if err := c.ask(ctx, request, &answer); err != nil {
		return wire.Answer{}, err
	}
	switch {
	case answer.Error != nil:
		return wire.Answer{}, refused(answer.Error)
	case answer.Version != wire.Version:
		return wire.Answer{}, badAnswer(fmt.Sprintf("an answer of version %d", answer.Version))
	}
	return answer, nil
}

// isJSON tells a peer that says the wrong thing from one that says nothing.
func isJSON(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.Is(err, wire.ErrLineTooLong) || errors.As(err, &syntax) || errors.As(err, &kind)
}

// CloseWrite says that no more will be sent.
func (c *channel) CloseWrite() error { return c.ch.CloseWrite() }

// Close ends the command.
func (c *channel) Close() error {
	c.stop()
	return c.ch.Close()
}
