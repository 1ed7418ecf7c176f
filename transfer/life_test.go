package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// endless is a tree of one file that takes too long to send.
type endless struct{}

func (endless) Open(name string) (fs.File, error) {
	if name == "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return &endlessFile{name: name}, nil
}

func (endless) Stat(name string) (fs.FileInfo, error) { return endlessInfo(name), nil }

func (endless) ReadDir(string) ([]fs.DirEntry, error) {
	return []fs.DirEntry{fs.FileInfoToDirEntry(endlessInfo("file"))}, nil
}

type endlessFile struct{ name string }

func (f *endlessFile) Stat() (fs.FileInfo, error)       { return endlessInfo(f.name), nil }
func (*endlessFile) Read(b []byte) (int, error)         { return len(b), nil }
func (*endlessFile) Close() error                       { return nil }
func (*endlessFile) Seek(n int64, _ int) (int64, error) { return n, nil }

type endlessInfo string

func (i endlessInfo) Name() string       { return string(i) }
func (i endlessInfo) Size() int64        { return 8 << 30 }
func (i endlessInfo) ModTime() time.Time { return time.Unix(1, 0) }
func (i endlessInfo) Sys() any           { return nil }
func (i endlessInfo) IsDir() bool        { return i == "." }
func (i endlessInfo) Mode() fs.FileMode {
	if i == "." {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

func init() {
	testSources["endless"] = func(context.Context, json.RawMessage, func(any)) (fs.FS, error) {
		return endless{}, nil
	}
	testSources["glutton"] = func(context.Context, json.RawMessage, func(any)) (fs.FS, error) {
		var all [][]byte
		for range 1 << 10 {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
		}
		runtime.KeepAlive(all)
		return endless{}, nil
	}
	testSources["panic"] = func(context.Context, json.RawMessage, func(any)) (fs.FS, error) {
		panic("of a source")
	}
	testSources["probe"] = probe
	testSources["count"] = func(_ context.Context, _ json.RawMessage, report func(any)) (fs.FS, error) {
		for i := range 100 {
			report(i)
		}
		return endless{}, nil
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a, b := pipe(t)
	to := t.TempDir()
	sender, receiver := start(t, Job{Send: "endless"}), start(t, Job{Receive: to})
	ended := make(chan error, 2)
	go func() { _, err := sender.Run(ctx, a, a); ended <- err }()
	go func() { _, err := receiver.Run(ctx, b, b); ended <- err }()
	for sent := int64(0); sent < 1<<20; { // it is under way
		sent, _ = sender.Progress()
		select {
		case err := <-ended:
			t.Fatalf("ended by itself: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	for range 2 {
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a cancelled transfer goes on")
		}
	}
	for _, p := range []*Process{sender, receiver} {
		if err := unix.Kill(p.cmd.Process.Pid, 0); err == nil {
			t.Error("the child is still there")
		}
	}
	// What the receiver left half-written goes when the next one begins.
	_, _, err1, err2 := move(t, Dir(grow(t, 3, 10), nil), Job{Receive: to})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for name := range snapshot(t, to) {
		if strings.HasPrefix(name, ".") && name != "." {
			t.Errorf("%s is left", name)
		}
	}
}

func TestStartCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx, Job{Send: "endless"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := p.Run(t.Context(), endlessReader{}, io.Discard); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(b []byte) (int, error) { return len(b), nil }

func TestTimeLimit(t *testing.T) {
	_, _, err1, err2 := move(t, Job{Send: "endless", Limits: Limits{Time: 100 * time.Millisecond}}, Job{Receive: t.TempDir()})
	wantError(t, err1, Limit, "longer than 100ms")
	wantError(t, err2, Cut, "connection ended")
}

func TestMemoryLimit(t *testing.T) {
	p := start(t, Job{Send: "glutton", Limits: Limits{Memory: 64 << 20}})
	wantError(t, p.Ready(t.Context()), Limit, "more memory")
}

func TestFileSizeLimit(t *testing.T) {
	_, _, _, err := move(t, Job{Send: "endless"}, Job{Receive: t.TempDir(), Limits: Limits{FileSize: 8 << 20}})
	wantError(t, err, Refused, `"file": 8589934592 bytes are more than may be received`)
}

func TestSources(t *testing.T) {
	for name, want := range map[string]string{
		"fail": "no Journal here", "panic": "panic: of a source", "none": `no source is called "none"`,
	} {
		p := start(t, Job{Send: name})
		wantError(t, p.Ready(t.Context()), Failed, want)
		_, err := p.Run(t.Context(), strings.NewReader(""), io.Discard)
		wantError(t, err, Failed, want)
	}
	var got []string
	p, err := Start(t.Context(), Job{Send: "count"}, func(raw json.RawMessage) { got = append(got, string(raw)) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 100 || got[7] != "7" || got[99] != "99" {
		t.Errorf("reports: %v", got)
	}
}

// TestParentKilled: a child does not outlive its parent, even one that has no
// time to say goodbye.
func TestParentKilled(t *testing.T) {
	parent := exec.Command("/proc/self/exe", "-test.run=^$")
	parent.Env = append(os.Environ(), "TRANSFER_TEST_PARENT="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var fds []unix.PollFd
	for word := range strings.FieldsSeq(line) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed, as it says
	for i := range fds {
		for {
			n, err := unix.Poll(fds[i:i+1], 10_000)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n == 0 {
				t.Errorf("child %d outlives its parent (%v)", i, err)
			}
			break
		}
	}
}

// testParent is the parent that TestParentKilled kills: one child at work, one
// that waits.
func testParent(dir string) {
	ctx := context.Background()
	busy, err := Start(ctx, Job{Send: "endless"}, nil)
	if err != nil {
		os.Exit(1)
	}
	idle, err := Start(ctx, Job{Receive: dir}, nil)
	if err != nil || busy.Ready(ctx) != nil || idle.Ready(ctx) != nil {
		os.Exit(1)
	}
	go busy.Run(ctx, strings.NewReader(new(wire).i32(27, 0, 1, 0, 0, 0, 0).String()), io.Discard)
	os.Stdout.WriteString(strconv.Itoa(busy.cmd.Process.Pid) + " " + strconv.Itoa(idle.cmd.Process.Pid) + "\n")
	select {}
}

// TestFull: a disk without room, or without inodes, is told as what it is.
func TestFull(t *testing.T) {
	for options, from := range map[string]string{
		"size=1m":                grow(t, 100, 100_000),
		"size=100m,nr_inodes=50": grow(t, 100, 10),
	} {
		to := filepath.Join(t.TempDir(), "full")
		if err := os.Mkdir(to, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", to, "tmpfs", 0, options); err != nil {
			t.Skipf("mounting is refused: %v", err)
		}
		_, _, sendErr, err := move(t, Dir(from, nil), Job{Receive: to})
		if err := unix.Unmount(to, 0); err != nil {
			t.Error(err)
		}
		wantError(t, err, Full, "no space left")
		wantError(t, sendErr, Cut, "")
	}
}

// mute is a peer that says what it has to and then neither reads nor writes.
type mute struct {
	io.Reader
	full chan struct{}
}

func (m *mute) Write(b []byte) (int, error) {
	<-m.full
	return 0, io.ErrClosedPipe
}

// The bug: a Run whose peer did not read went on after its child was gone, and
// with it whatever waited for Run.
func TestEndedBesideMutePeer(t *testing.T) {
	p := start(t, Job{Send: "endless"})
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	peer := &mute{r, make(chan struct{})}
	defer close(peer.full)
	defer w.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Run(t.Context(), peer, peer)
		ended <- err
	}()
	if _, err := w.Write([]byte{27, 0, 0, 0, 0, 0, 0, 0}); err != nil { // the list is wanted
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	p.kill()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("nothing arrived, and yet no error")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run goes on without its child")
	}
}

// What has to stay free stays so, although all that is listed would fit into what
// there is.
func TestKeep(t *testing.T) {
	for name, limits := range map[string]Limits{
		"bytes": {KeepBytes: 12 << 20}, "inodes": {KeepInodes: 40},
	} {
		t.Run(name, func(t *testing.T) {
			from, at := t.TempDir(), t.TempDir()
			if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=16m,nr_inodes=50"); err != nil {
				t.Skipf("mounting is refused here: %v", err)
			}
			defer unix.Unmount(at, unix.MNT_DETACH)
			for i := range 20 {
				if err := os.WriteFile(filepath.Join(from, strconv.Itoa(i)), make([]byte, 400<<10), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, _, _, err := move(t, Dir(from, nil), Job{Receive: at, Limits: limits})
			var full *Error
			if !errors.As(err, &full) || full.Kind != Full {
				t.Errorf("%v", err)
			}
			var st unix.Statfs_t
			if err := unix.Statfs(at, &st); err != nil {
				t.Fatal(err)
			}
			if left := int64(st.Bavail) * int64(st.Bsize); left < limits.KeepBytes || int64(st.Ffree) < limits.KeepInodes {
				t.Errorf("%d bytes and %d inodes are left", left, st.Ffree)
			}
		})
	}
}
