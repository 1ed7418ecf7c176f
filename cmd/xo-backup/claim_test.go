package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/dbus"
	"github.com/sugarlabs/xo-backupd/dbus/bustest"
)

const signSaid = `Ask whoever looks after the school server to approve the request with the sign: blue fish cup
They type: xs-backupd approve SHC1 --sign "blue fish cup"
`

const waitSaid = signSaid + "This waits until they have. Ctrl-C leaves the request standing.\n"

// pending is a claim that waits for what comes from the channel.
func pending(e *engine, decided <-chan dbus.Claim) {
	e.set(func(e *engine) {
		e.offers = []dbus.Found{ana()}
		e.claim = func(account, _ string) (dbus.Claim, error) {
			return dbus.Claim{Account: account, State: dbus.ClaimPending, Sign: "blue fish cup"}, nil
		}
		e.await = func(ctx context.Context) (dbus.Claim, error) {
			select {
			case c := <-decided:
				return c, nil
			case <-ctx.Done():
				return dbus.Claim{}, ctx.Err()
			}
		}
	})
}

// written is what a program has said so far.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// underWay is a program that runs.
type underWay struct {
	*exec.Cmd
	stdout, stderr written
}

func begin(t *testing.T, b *bustest.Bus, args ...string) *underWay {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bustest.Patience)
	t.Cleanup(cancel)
	w := &underWay{Cmd: b.Command(ctx, program, args...)}
	w.Stdout, w.Stderr = &w.stdout, &w.stderr
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

// end answers what it has said, and how it ended.
func (w *underWay) end() (stdout, stderr string, code int) {
	w.Wait()
	return w.stdout.String(), w.stderr.String(), w.ProcessState.ExitCode()
}

// wait begins a program, and answers when it has said that it waits.
func wait(t *testing.T, b *bustest.Bus, args ...string) *underWay {
	t.Helper()
	w := begin(t, b, args...)
	bustest.Await(t, "the sign", func() bool { return strings.HasSuffix(w.stderr.String(), "leaves the request standing.\n") })
	return w
}

// TestClaimIsAwaited: a person at the school server says yes, or no.
func TestClaimIsAwaited(t *testing.T) {
	b, e := bed(t)
	found := "The school server keeps " + anasWords() + ".\n"
	for _, c := range []struct {
		args           string
		decided        dbus.Claim
		code           int
		stdout, stderr string
	}{
		{"recover", dbus.Claim{Account: "SHC1", State: dbus.ClaimGranted}, 0, broughtBack, found + waitSaid},
		// Whoever looks after the school server knows better which one it is.
		{"recover --account SHC1", dbus.Claim{Account: "SHC7", State: dbus.ClaimGranted}, 0, broughtBack, waitSaid},
		{"recover 1234 5678", dbus.Claim{Account: "SHC1", State: dbus.ClaimGranted}, 0, broughtBack, strings.Replace(waitSaid, "SHC1", "ACCOUNT", 1)},
		{"recover", dbus.Claim{Account: "SHC1", State: dbus.ClaimDenied}, 1, "", found + waitSaid +
			"xo-backup: Whoever looks after the school server did not let this laptop in.\nNext: xo-backup recover CODE, with a code from whoever looks after the school server\n"},
		{"recover --json", dbus.Claim{Account: "SHC1", State: dbus.ClaimDenied}, 1,
			`"result":"failed","error_name":"org.laptop.Backup.Error.ClaimRefused","message":"Whoever looks`, waitSaid},
		{"recover --json", dbus.Claim{Account: "SHC1", State: dbus.ClaimGranted}, 0, `"operation":"restore","result":"done"`, waitSaid},
	} {
		decided := make(chan dbus.Claim)
		pending(e, decided)
		w := wait(t, b, strings.Fields(c.args)...)
		decided <- c.decided
		stdout, stderr, code := w.end()
		if code != c.code || !strings.Contains(stdout, c.stdout) || strings.Count(stdout, "\n") > 1 || stderr != c.stderr {
			t.Errorf("%s, %s: exit status %d\n%s%s", c.args, c.decided.State, code, stdout, stderr)
		}
	}
}

// TestClaimOfOthers: that another claim is refused says nothing of this one.
func TestClaimOfOthers(t *testing.T) {
	b, e := bed(t)
	decided := make(chan dbus.Claim)
	pending(e, decided)
	w := wait(t, b, "recover")
	decided <- dbus.Claim{Account: "SHC2", State: dbus.ClaimDenied}
	// The daemon asks on when somebody claims.
	bustest.Await(t, "the daemon", func() bool {
		if out, err := b.Send(t, dbus.BusName, string(dbus.Path), dbus.Interface+".Claim", "string:SHC1", "string:"); err != nil {
			t.Fatal(out)
		}
		select {
		case decided <- dbus.Claim{Account: "SHC1", State: dbus.ClaimGranted}:
			return true
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
	if stdout, stderr, code := w.end(); code != 0 || stdout != broughtBack {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
}

// TestClaimIsLeft: Ctrl-C and --no-wait leave the request standing.
func TestClaimIsLeft(t *testing.T) {
	b, e := bed(t)
	pending(e, nil)
	for args, want := range map[string]string{
		"recover":                "\n\nThe request stands. Once it is approved: xo-backup recover\n",
		"recover --account SHC1": "\n\nThe request stands. Once it is approved: xo-backup recover --account SHC1\n",
	} {
		w := wait(t, b, strings.Fields(args)...)
		w.Process.Signal(syscall.SIGINT)
		if stdout, stderr, code := w.end(); code != 130 || stdout != "" || !strings.HasSuffix(stderr, want) {
			t.Errorf("%s: exit status %d\n%s%s", args, code, stdout, stderr)
		}
	}
	stdout, stderr, code := run(t, b, "recover", "--no-wait", "--account", "SHC1")
	if code != 1 || stdout != "" || stderr != signSaid+"Once they have: xo-backup recover --account SHC1\n" {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	stdout, stderr, code = run(t, b, "recover", "--no-wait", "--json")
	var p pendingClaim
	if err := json.Unmarshal([]byte(stdout), &p); err != nil || p.Result != "pending" || p.ErrorName != "" || p.Account != "SHC1" || p.Sign != "blue fish cup" || code != 1 || stderr != "" {
		t.Errorf("exit status %d, %v\n%s%s", code, err, stdout, stderr)
	}
	e.set(func(e *engine) {
		if e.answers != nil {
			t.Errorf("answered %q", e.answers)
		}
	})
	// It goes on where it was.
	e.set(func(e *engine) { e.claim, e.await = nil, nil })
	if stdout, stderr, code := run(t, b, "recover"); code != 0 || stdout != broughtBack {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
}

// TestClaimSurvivesTheDaemon: the answer comes from the next one.
func TestClaimSurvivesTheDaemon(t *testing.T) {
	b, e := bustest.Start(t), &engine{}
	decided := make(chan dbus.Claim)
	pending(e, decided)
	stop := serve(t, b, e)
	w := wait(t, b, "recover")
	stop()
	serve(t, b, e)
	decided <- dbus.Claim{Account: "SHC1", State: dbus.ClaimGranted}
	if stdout, stderr, code := w.end(); code != 0 || stdout != broughtBack {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
}

// impatient is the program without its patience.
func impatient(t *testing.T, b *bustest.Bus, args ...string) (stdout, stderr string, code int) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", b.Address)
	var out, err bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &err, columns: 80, patience: time.Millisecond}
	code = a.run(args)
	return out.String(), err.String(), code
}

// TestClaimIsAskedForAgain: no signal comes, and the school server and the daemon
// come and go meanwhile.
func TestClaimIsAskedForAgain(t *testing.T) {
	b, e := bed(t)
	await := func(ctx context.Context) (dbus.Claim, error) { <-ctx.Done(); return dbus.Claim{}, ctx.Err() }
	for _, c := range []struct {
		end            error // of the asking; nil: granted
		code           int
		stdout, stderr string
	}{
		{nil, 0, broughtBack, ""},
		{problem{"ClaimRefused", "No."}, 1, "", "xo-backup: No.\nNext: xo-backup recover CODE"},
		{problem{"DiskFull", "Full."}, 1, "", "xo-backup: Full.\n"},
	} {
		waits := dbus.Claim{State: dbus.ClaimPending, Sign: "blue fish cup"}
		turns := []func() (dbus.Claim, error){
			func() (dbus.Claim, error) { return waits, nil },
			func() (dbus.Claim, error) { return dbus.Claim{}, problem{"ServerUnavailable", "Away."} },
			func() (dbus.Claim, error) { return dbus.Claim{}, problem{"ServerBusy", "Busy."} },
			func() (dbus.Claim, error) { return dbus.Claim{}, context.Canceled }, // the daemon is about to end
			func() (dbus.Claim, error) { return waits, nil },
			func() (dbus.Claim, error) {
				return dbus.Claim{Account: "SHC1", State: dbus.ClaimGranted}, c.end
			},
		}
		e.set(func(e *engine) {
			e.await = await
			e.claim = func(string, string) (claim dbus.Claim, err error) {
				e.set(func(*engine) { claim, err = turns[0](); turns = turns[1:] })
				return claim, err
			}
		})
		stdout, stderr, code := impatient(t, b, "recover", "1234", "5678")
		if code != c.code || stdout != c.stdout || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%v: exit status %d\n%s%s", c.end, code, stdout, stderr)
		}
		// The code is given once.
		if got, want := e.claimed(), append([]string{"|1234 5678"}, slices.Repeat([]string{"|"}, 5)...); !reflect.DeepEqual(got, want) {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestPasses: a service that is not there for a moment comes back.
func TestPasses(t *testing.T) {
	b := bustest.Start(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", b.Address)
	d, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = d.claim(t.Context(), "SHC1", "")
	if err == nil || !passes(err) {
		t.Error(err)
	}
	d.Close()
	_, _, err = d.claim(t.Context(), "SHC1", "")
	if err == nil || passes(err) || passes(errors.New("anything else")) {
		t.Error(err)
	}
}
