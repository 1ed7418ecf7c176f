package xsclient

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

// cutOff leaves what a restore leaves that was cut off after it had begun.
func cutOff(t *testing.T) (*school, *pupil, string) {
	t.Helper()
	old, _ := rawJournal(t, 3, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, "")
	must(t, p.savePending(pendingRestore{Account: p.account(), Resolved: s.snap.ID}))
	return s, p, old
}

// A restore that was cut off is tried again until it is over; meanwhile it says
// what stops it.
func TestResumeRestore(t *testing.T) {
	s, p, old := cutOff(t)
	s.peer.set(func() {
		s.restore = func(ch ssh.Channel, _ *bufio.Reader, _ wire.RestoreRequest) {
			io.WriteString(ch, `{"version":2,"error":{"code":"busy","message":"Many laptops are here.","retry_after":900}}`+"\n")
		}
	})
	var slept []time.Duration
	p.sleep = func(_ context.Context, d time.Duration) error {
		slept = append(slept, d)
		reason := p.Status().StateReason
		for _, want := range []string{"The restore of the latest snapshot", "xo-backup cancel"} {
			if !strings.Contains(reason, want) {
				t.Errorf("after %d tries: %q, not %q", len(slept)-1, reason, want)
			}
		}
		if told := strings.Contains(reason, "Many laptops are here."); told != (len(slept) > 1) {
			t.Errorf("after %d tries: %q", len(slept)-1, reason)
		}
		_, err := p.Backup(t.Context(), BackupOptions{}, p.progress)
		if e := wantCode(t, err, Busy); e.Message != reason {
			t.Errorf("%q, not %q", e.Message, reason)
		}
		if len(slept) == 4 {
			s.peer.set(func() { s.restore = nil })
		}
		return nil
	}
	result, err := p.ResumeRestore(t.Context(), false, p.progress)
	must(t, err)
	if result.Partial || len(slept) != 4 || !p.sawPhase("waiting") {
		t.Errorf("%+v, slept %v", result, slept)
	}
	for i, d := range slept[1:] {
		if d < 15*time.Minute || d < slept[0]<<i/2 { // as the server has asked, and longer
			t.Errorf("slept %v", slept)
		}
	}
	p.holds(old)
	p.pending(false)
	if s := p.Status(); s.State != StateIdle || s.StateReason != "" {
		t.Errorf("%+v", s)
	}
}

// The pauses between tries grow up to an hour or so, and no further: after days
// they neither end nor vanish.
func TestResumePauses(t *testing.T) {
	_, p, _ := cutOff(t)
	p.peerGone(t)
	n := 0
	p.sleep = func(_ context.Context, d time.Duration) error {
		if n++; d < scheduleMinWait || d > scheduleMaxWait {
			t.Errorf("pause %d is %v", n, d)
		}
		if n == 80 {
			return context.Canceled
		}
		return nil
	}
	if _, err := p.ResumeRestore(t.Context(), false, p.progress); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What a person has to mend is said while it is not, in the State too.
func TestResumeWithoutRegistration(t *testing.T) {
	_, p, _ := cutOff(t)
	account := p.account()
	must(t, p.update(func(s *state) { s.Enrolled = false }))
	p.sleep = func(context.Context, time.Duration) error {
		if s := p.Status(); s.State != StateUnregistered || !strings.Contains(s.StateReason, "Register") || !strings.Contains(s.StateReason, "cancel") {
			t.Errorf("%+v", s)
		}
		return p.update(func(s *state) { s.Enrolled = true })
	}
	_, err := p.ResumeRestore(t.Context(), true, p.progress)
	must(t, err)
	if p.account() != account {
		t.Error(p.account())
	}
	p.pending(false)
}

// One that can never be finished ends; one that a person gives up is forgotten.
func TestResumeEnds(t *testing.T) {
	t.Run("for good", func(t *testing.T) {
		s, p, _ := cutOff(t)
		s.snapshots = []wire.Snapshot{}
		p.sleep = func(context.Context, time.Duration) error { t.Error("tried again"); return nil }
		_, err := p.ResumeRestore(t.Context(), true, p.progress)
		wantCode(t, err, NoSnapshot)
		p.pending(false)
	})
	t.Run("given up", func(t *testing.T) {
		_, p, _ := cutOff(t)
		p.peerGone(t)
		p.sleep = func(context.Context, time.Duration) error { return context.Canceled }
		_, err := p.ResumeRestore(t.Context(), true, p.progress)
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		must(t, p.AbandonRestore(t.Context()))
		p.pending(false)
		if s := p.Status(); s.StateReason != "" {
			t.Errorf("%+v", s)
		}
		_, err = p.Backup(t.Context(), BackupOptions{}, p.progress)
		wantCode(t, err, ServerUnavailable) // and not Busy
	})
	t.Run("another's", func(t *testing.T) {
		_, p, _ := cutOff(t)
		must(t, p.update(func(s *state) { s.Account = "SHC00000002" }))
		if o, ok := p.PendingRestore(); ok {
			t.Errorf("%+v goes on for another account", o)
		}
	})
}

// peerGone takes the school away.
func (p *pupil) peerGone(t *testing.T) {
	t.Helper()
	p.cfg.Server = "http://127.0.0.1:1"
	must(t, p.update(func(s *state) { s.Server, s.SSH = "http://127.0.0.1:1", "127.0.0.1:1" }))
}

// The restore that is not over is known by what was asked, and by what that came
// to; by nothing else.
func TestIsPending(t *testing.T) {
	s, p, _ := cutOff(t)
	for _, c := range []struct {
		RestoreOptions
		want bool
	}{
		{RestoreOptions{}, true},
		{RestoreOptions{Snapshot: s.snap.ID}, true},
		{RestoreOptions{Snapshot: "2026-11-22T21-30-05Z"}, false},
		{RestoreOptions{Replace: true}, false},
		{RestoreOptions{LeaveDeleted: true}, false},
	} {
		if got := p.IsPending(c.RestoreOptions); got != c.want {
			t.Errorf("%+v: %t", c.RestoreOptions, got)
		}
	}
	must(t, p.savePending(pendingRestore{RestoreOptions: RestoreOptions{Snapshot: s.snap.ID}, Account: p.account()}))
	if p.IsPending(RestoreOptions{}) {
		t.Error("the latest is not that one")
	}
}

// What another daemon has written is not overwritten with what was read before.
func TestRecoverReadsTheState(t *testing.T) {
	_, p, _ := cutOff(t)
	early := client(t, p.cfg)
	must(t, p.update(func(s *state) { s.LastResult = "written later" }))
	must(t, early.Recover(t.Context()))
	if got := early.Status().LastResult; got != "written later" {
		t.Errorf("%q", got)
	}
}
