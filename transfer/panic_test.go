package transfer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPanic: a peer that panics gokrazy, which it could if the guard let it
// through, ends that transfer and no other.
func TestPanic(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "a"), []byte("abc"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		job  Job
		say  []byte
		want string
	}{
		// In a goroutine of gokrazy's: nobody can recover it, the child dies.
		"receiver": {Job{Receive: to}, top().file("x", fileMode, 3).end().i32(7).framed(100),
			"broke rsync's protocol: runtime error: index out of range [7] with length 2"},
		"receiver, far out": {Job{Receive: to}, top().end().i32(0x7fffffff).framed(100),
			"broke rsync's protocol: runtime error: index out of range [2147483647] with length 1"},
		"receiver, negative": {Job{Receive: to}, top().end().i32(-7).framed(100),
			"broke rsync's protocol: runtime error: index out of range [-7]"},
		// In the child's own.
		"sender": {Dir(from, nil), new(wire).i32(27, 0, 7, 0, 0, 0, 0).Bytes(),
			"asked for what was not offered: runtime error: index out of range [7] with length 2"},
		"sender, negative": {Dir(from, nil), new(wire).i32(27, 0, -7, 0, 0, 0, 0).Bytes(),
			"asked for what was not offered: runtime error: index out of range [-7]"},
	} {
		t.Run(name, func(t *testing.T) {
			sender, receiver, goOn := halfway(t)
			p := startUnguarded(t, c.job)
			_, err := p.Run(t.Context(), bytes.NewReader(c.say), io.Discard)
			wantError(t, err, Refused, c.want)
			// The other transfer, and this program, go on.
			goOn()
			if err := errors.Join(<-sender, <-receiver); err != nil {
				t.Error(err)
			}
		})
	}
}

// startUnguarded is start, of a child that takes whatever the peer says.
func startUnguarded(t *testing.T, job Job) *Process {
	t.Helper()
	defer func(env []string) { childEnv = env }(childEnv)
	childEnv = append(slices.Clone(childEnv), "TRANSFER_TEST_UNGUARDED=1")
	return start(t, job)
}

// halfway is an honest transfer that has begun and waits for goOn.
func halfway(t *testing.T) (sender, receiver <-chan error, goOn func()) {
	t.Helper()
	a, b := pipe(t)
	from, to := start(t, Dir(grow(t, 20, 100_000), nil)), start(t, Job{Receive: t.TempDir()})
	sent, received := make(chan error, 1), make(chan error, 1)
	begun, wait := make(chan struct{}), make(chan struct{})
	go func() {
		_, err := from.Run(t.Context(), a, gate{a, begun, wait})
		a.Close()
		sent <- err
	}()
	go func() {
		_, err := to.Run(t.Context(), b, b)
		b.Close()
		received <- err
	}()
	select {
	case <-begun:
	case err := <-sent:
		t.Fatalf("ended before it began: %v", err)
	}
	return sent, received, func() { close(wait) }
}

// gate lets the first bytes through, says so, and waits before it takes more.
type gate struct {
	io.Writer
	begun, wait chan struct{}
}

func (g gate) Write(p []byte) (int, error) {
	n, err := g.Writer.Write(p)
	select {
	case <-g.begun:
	default:
		close(g.begun)
	}
	<-g.wait
	return n, err
}
