package transfer

import (
	"context"
	"io"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	unguarded = os.Getenv("TRANSFER_TEST_UNGUARDED") != ""
	testChild.Main()
	if dir := os.Getenv("TRANSFER_TEST_PARENT"); dir != "" {
		testParent(dir)
	}
	if dir := os.Getenv("TRANSFER_TEST_SERVER"); dir != "" {
		os.Exit(testServer(dir, os.Args[1:]))
	}
	os.Exit(m.Run())
}

var testChild = Child{Sources: testSources, Allow: testAllow}

// start is Start for tests: the child ends with the test.
func start(t testing.TB, job Job) *Process {
	t.Helper()
	p, err := Start(t.Context(), job, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// pipe is two ends of a connection.
func pipe(t testing.TB) (a, b conn) {
	t.Helper()
	r1, w1, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r2, w2, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a, b = conn{r1, w2}, conn{r2, w1}
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	return a, b
}

type conn struct {
	io.ReadCloser
	w io.WriteCloser
}

func (c conn) Write(b []byte) (int, error) { return c.w.Write(b) }

func (c conn) Close() {
	c.ReadCloser.Close()
	c.w.Close()
}

// move runs one job against the other and answers what became of each.
func move(t testing.TB, from, to Job) (sent, received Stats, sendErr, receiveErr error) {
	t.Helper()
	return moveContext(t, t.Context(), from, to)
}

func moveContext(t testing.TB, ctx context.Context, from, to Job) (sent, received Stats, sendErr, receiveErr error) {
	t.Helper()
	a, b := pipe(t)
	sender, receiver := start(t, from), start(t, to)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sent, sendErr = sender.Run(ctx, a, a)
		a.Close()
	}()
	received, receiveErr = receiver.Run(ctx, b, b)
	b.Close()
	<-done
	return sent, received, sendErr, receiveErr
}
