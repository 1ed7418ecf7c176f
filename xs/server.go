package xs

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/net/netutil"

	"github.com/sugarlabs/xo-backupd/xs/store"
)

// Server is a school server. Its fields are set before Serve.
type Server struct {
	Store  *store.Store
	Config Config
	Log    *slog.Logger
	// Ready, if not nil, is called when all is in place and laptops are served.
	Ready func()
}

// Listeners are where a Server is reached.
type Listeners struct{ HTTP, Registration, SSH net.Listener }

// running is a Server while it serves.
type running struct {
	*Server
	hostKey  ssh.Signer
	hostCert *ssh.Certificate // nil: none
	ssh      *ssh.ServerConfig
	sshPort  string
	regPort  string
	room     *room
	// apis and connections are shared out among the accounts; bodies bounds the
	// large requests that are in memory at once.
	apis, connections *share
	bodies            chan struct{}
	guesses           *guesses
	ending            context.Context // ends when the server is to end
}

// Serve serves until ctx ends, and then lets running sessions go on for
// Config.Drain at most. The listeners are closed when it returns.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	r := &running{Server: s, room: newRoom(s.Store.Dir(), s.Config),
		sshPort: port(l.SSH), regPort: port(l.Registration),
		apis: newShare(apisOfOne), connections: newShare(max(1, s.Config.MaxConnections/connectionsOfOne)), bodies: make(chan struct{}, maxBodies), guesses: newGuesses()}
	defer l.HTTP.Close()
	defer l.Registration.Close()
	defer l.SSH.Close()
	release, err := s.Store.Serve()
	if err != nil {
		return err
	}
	defer release()
	if err := s.Store.Sweep(ctx); err != nil {
		return err
	}
	if err := r.loadHostKey(); err != nil {
		return err
	}
	r.ssh = r.sshConfig()

	// work outlives ctx by the time that sessions have to come to an end.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r.ending = ctx

	var wg sync.WaitGroup
	serve := func(name string, f func() error) {
		wg.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				fail(&listenerError{name, err})
			}
		})
	}
	check, registration := r.httpServer(r.checkHandler()), r.httpServer(r.registrationHandler())
	serve("http", func() error { return check.Serve(r.limited(l.HTTP)) })
	serve("registration", func() error { return registration.Serve(r.limited(l.Registration)) })
	serve("ssh", func() error { return r.serveSSH(ctx, work, l.SSH) })

	if s.Ready != nil {
		s.Ready()
	}
	<-ctx.Done()
	s.Log.Info("draining", "for", s.Config.Drain)
	l.SSH.Close()
	timer := time.AfterFunc(s.Config.Drain, cut)
	defer timer.Stop()
	shut, done := context.WithTimeout(work, max(s.Config.Drain, time.Second))
	defer done()
	err = errors.Join(check.Shutdown(shut), registration.Shutdown(shut))
	if err != nil {
		check.Close()
		registration.Close()
	}
	wg.Wait()
	var failed *listenerError
	if errors.As(context.Cause(ctx), &failed) {
		return failed
	}
	return nil
}

type listenerError struct {
	name string
	err  error
}

func (e *listenerError) Error() string { return e.name + ": " + e.err.Error() }
func (e *listenerError) Unwrap() error { return e.err }

// answerTime is how long a stranger's question may wait for its turn.
const answerTime = 15 * time.Second

// limited accepts no more than may be served at once; the others wait.
func (r *running) limited(l net.Listener) net.Listener {
	return netutil.LimitListener(l, r.Config.MaxConnections)
}

// httpServer has bounds on everything a stranger may send. A question that has
// waited too long ends by itself, and only then its connection: what still works
// for somebody counts as long as it does.
func (r *running) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			ctx, done := context.WithTimeout(req.Context(), answerTime)
			defer done()
			h.ServeHTTP(w, req.WithContext(ctx))
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(r.Log.Handler(), slog.LevelDebug),
	}
}

func port(l net.Listener) string {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return strconv.Itoa(a.Port)
	}
	_, p, _ := net.SplitHostPort(l.Addr().String())
	return p
}
