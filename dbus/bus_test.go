package dbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

// The tests talk to a real dbus-daemon of their own.

const patience = bustest.Patience

// running is a service in this process.
type running struct {
	*Service
	t    testing.TB
	log  *syncBuffer
	stop context.CancelFunc
	over chan struct{}
	err  error
}

// serve runs a service on the bus and waits until it has its name.
func serve(t testing.TB, b *bustest.Bus, e Engine, cfg Config) *running {
	t.Helper()
	return serveOn(t, b, e, cfg, func(s *Service) (*godbus.Conn, error) { return s.Connect(b.Address) })
}

func serveOn(t testing.TB, b *bustest.Bus, e Engine, cfg Config, connect func(*Service) (*godbus.Conn, error)) *running {
	t.Helper()
	if cfg.StateDir == "" {
		cfg.StateDir = t.TempDir()
	}
	r := &running{t: t, log: &syncBuffer{}, over: make(chan struct{})}
	cfg.Log = slog.New(slog.NewTextHandler(r.log, nil))
	if cfg.Version == "" {
		cfg.Version = "1.2.3"
	}
	r.Service = New(cfg)
	conn, err := connect(r.Service)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() {
		defer close(r.over)
		r.err = r.Run(ctx, conn, e)
	}()
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Logf("service: %s", r.log)
		}
	})
	asker := b.Connect(t)
	bustest.Await(t, "the name on the bus", func() bool { return b.Owner(asker, BusName) != "" })
	return r
}

func (r *running) end() error {
	r.stop()
	return r.wait()
}

func (r *running) wait() error {
	select {
	case <-r.over:
	case <-time.After(patience):
		r.t.Error("the service does not end")
	}
	return r.err
}

// client calls the service.
type client struct {
	t testing.TB
	*godbus.Conn
}

func newClient(t testing.TB, b *bustest.Bus) client { return client{t, b.Connect(t)} }

func (c client) call(method string, args []any, answer ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Object(BusName, Path).CallWithContext(ctx, Interface+"."+method, 0, args...).Store(answer...)
}

func (c client) must(method string, args []any, answer ...any) {
	c.t.Helper()
	if err := c.call(method, args, answer...); err != nil {
		c.t.Fatalf("%s%v: %v", method, args, err)
	}
}

func (c client) job(method string, args ...any) (path godbus.ObjectPath) {
	c.t.Helper()
	c.must(method, args, &path)
	return path
}

// result of a job.
type result3 struct{ result, name, message string }

func (c client) wait(job godbus.ObjectPath) (r result3) {
	c.t.Helper()
	c.must("Wait", []any{job}, &r.result, &r.name, &r.message)
	return r
}

func (c client) get(at godbus.ObjectPath, iface, name string) any {
	c.t.Helper()
	v, err := c.Object(BusName, at).GetProperty(iface + "." + name)
	if err != nil {
		c.t.Fatalf("%s of %s: %v", name, at, err)
	}
	return v.Value()
}

func errorName(err error) string {
	var e godbus.Error
	if errors.As(err, &e) {
		return e.Name
	}
	return fmt.Sprint(err)
}

// signals from the service from now on.
func (c client) signals() <-chan *godbus.Signal {
	c.t.Helper()
	ch := make(chan *godbus.Signal, 10000)
	c.Signal(ch)
	if err := c.AddMatchSignal(godbus.WithMatchPathNamespace(Path)); err != nil {
		c.t.Fatal(err)
	}
	return ch
}

// next signal of that name.
func next(t testing.TB, ch <-chan *godbus.Signal, name string) *godbus.Signal {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case s := <-ch:
			if s.Name == name {
				return s
			}
		case <-timeout:
			t.Fatalf("no signal %s", name)
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var _ io.Writer = (*syncBuffer)(nil)

// fake is an engine that does what a test wants. What is not set succeeds.
type fake struct {
	register func(ctx context.Context) error
	trust    func(fingerprint string) error
	check    func(ctx context.Context) (Availability, error)
	backup   func(ctx context.Context, trigger string, progress func(Progress)) (Outcome, error)
	held     func() (why string, again time.Duration)
	list     func(ctx context.Context) ([]Snapshot, error)
	saved    func(uids []string) ([]string, error)
	restore  func(ctx context.Context, r RestoreRequest, progress func(Progress)) (Outcome, error)
	recovers func(ctx context.Context) error
	resume   func(ctx context.Context, atOnce bool, progress func(Progress)) (Outcome, error)
	abandon  func() error

	findBackups func(ctx context.Context) ([]Found, error)
	claim       func(ctx context.Context, account, code string) (Claim, error)
	dismiss     func(reason string) error
	await       func(ctx context.Context) (Claim, error) // nil: no claim waits

	find       func(ctx context.Context, snapshot string, query map[string]any, properties []string) ([]map[string]any, int, error)
	findIDs    func(snapshot string, query map[string]any) ([]string, error)
	props      func(snapshot, uid string) (map[string]any, error)
	filename   func(snapshot, uid string) (string, error)
	unique     func(snapshot, property string) ([]string, error)
	reindex    func(ctx context.Context, progress func(Progress)) (Outcome, error)
	restoreOne func(ctx context.Context, snapshot, uid string, progress func(Progress)) (Outcome, error)
	export     func(ctx context.Context, snapshot, uid, path string, progress func(Progress)) (Outcome, error)

	mu       sync.Mutex
	status   Status
	pending  *RestoreRequest
	resolved string // what its snapshot came to
}

func (f *fake) setPending(r *RestoreRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = r
}

func (f *fake) setStatus(change func(*Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.status)
}

func (f *fake) FindBackups(ctx context.Context) ([]Found, error) { return f.findBackups(ctx) }

func (f *fake) Claim(ctx context.Context, account, code string) (Claim, error) {
	return f.claim(ctx, account, code)
}

func (f *fake) Dismiss(_ context.Context, reason string) error { return f.dismiss(reason) }

func (f *fake) PendingClaim() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.await != nil
}

func (f *fake) AwaitClaim(ctx context.Context) (Claim, error) {
	f.mu.Lock()
	await := f.await
	f.mu.Unlock()
	return await(ctx)
}

func (f *fake) setAwait(await func(ctx context.Context) (Claim, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.await = await
}

func (f *fake) Register(ctx context.Context) error {
	if f.register == nil {
		return nil
	}
	return f.register(ctx)
}

func (f *fake) TrustServer(_ context.Context, fingerprint string) error {
	if f.trust == nil {
		return nil
	}
	return f.trust(fingerprint)
}

func (f *fake) CheckServer(ctx context.Context) (Availability, error) {
	if f.check == nil {
		return Availability{Available: true, Protocols: []int{1, 2}}, nil
	}
	return f.check(ctx)
}

func (f *fake) Backup(ctx context.Context, trigger string, progress func(Progress)) (Outcome, error) {
	if f.backup == nil {
		return Outcome{Message: "All is safe."}, nil
	}
	return f.backup(ctx, trigger, progress)
}

func (f *fake) HeldBack(context.Context) (string, time.Duration) {
	if f.held == nil {
		return "", 0
	}
	return f.held()
}

func (f *fake) ListSnapshots(ctx context.Context) ([]Snapshot, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list(ctx)
}

func (f *fake) Saved(_ context.Context, uids []string) ([]string, error) {
	if f.saved == nil {
		return uids, nil
	}
	return f.saved(uids)
}

func (f *fake) Restore(ctx context.Context, r RestoreRequest, progress func(Progress)) (Outcome, error) {
	if f.restore == nil {
		return Outcome{}, nil
	}
	return f.restore(ctx, r, progress)
}

func (f *fake) Recover(ctx context.Context) error {
	if f.recovers == nil {
		return nil
	}
	return f.recovers(ctx)
}

func (f *fake) PendingRestore() (RestoreRequest, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending == nil {
		return RestoreRequest{}, false
	}
	return *f.pending, true
}

func (f *fake) IsPending(r RestoreRequest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending == nil {
		return false
	}
	resolved := *f.pending
	resolved.Snapshot = f.resolved
	return r == *f.pending || f.resolved != "" && r == resolved
}

func (f *fake) ResumeRestore(ctx context.Context, atOnce bool, progress func(Progress)) (Outcome, error) {
	return f.resume(ctx, atOnce, progress)
}

func (f *fake) AbandonRestore(context.Context) error {
	f.setPending(nil)
	if f.abandon == nil {
		return nil
	}
	return f.abandon()
}

func (f *fake) Find(ctx context.Context, snapshot string, query map[string]any, properties []string) ([]map[string]any, int, error) {
	if f.find == nil {
		return nil, 0, nil
	}
	return f.find(ctx, snapshot, query, properties)
}

func (f *fake) FindIDs(_ context.Context, snapshot string, query map[string]any) ([]string, error) {
	if f.findIDs == nil {
		return nil, nil
	}
	return f.findIDs(snapshot, query)
}

func (f *fake) Properties(_ context.Context, snapshot, uid string) (map[string]any, error) {
	if f.props == nil {
		return nil, nil
	}
	return f.props(snapshot, uid)
}

func (f *fake) Filename(_ context.Context, snapshot, uid string) (string, error) {
	if f.filename == nil {
		return "", nil
	}
	return f.filename(snapshot, uid)
}

func (f *fake) UniqueValues(_ context.Context, snapshot, property string) ([]string, error) {
	if f.unique == nil {
		return nil, nil
	}
	return f.unique(snapshot, property)
}

func (f *fake) Reindex(ctx context.Context, progress func(Progress)) (Outcome, error) {
	if f.reindex == nil {
		return Outcome{}, nil
	}
	return f.reindex(ctx, progress)
}

func (f *fake) RestoreEntry(ctx context.Context, snapshot, uid string, progress func(Progress)) (Outcome, error) {
	if f.restoreOne == nil {
		return Outcome{}, nil
	}
	return f.restoreOne(ctx, snapshot, uid, progress)
}

func (f *fake) ExportEntry(ctx context.Context, snapshot, uid, path string, progress func(Progress)) (Outcome, error) {
	if f.export == nil {
		return Outcome{}, nil
	}
	return f.export(ctx, snapshot, uid, path, progress)
}

func (f *fake) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// word is an engine's error.
type word struct{ name, message string }

func (w word) Error() string                       { return w.message }
func (w word) BackupError() (name, message string) { return w.name, w.message }
