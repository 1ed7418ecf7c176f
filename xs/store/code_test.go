package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

func TestCodes(t *testing.T) {
	b := newClaimBed(t)
	other := b.account("SHC00000005", "u5", 5)
	code := must[wire.Code](t)(b.NewCode(t.Context(), b.id))
	if _, err := wire.ParseCode(code.String()); err != nil || strings.Contains(string(code), "0") {
		t.Fatalf("%s: %v", code, err)
	}
	text, err := os.ReadFile(filepath.Join(b.Dir(), string(b.id), "account.json"))
	if err != nil || strings.Contains(string(text), string(code)) {
		t.Errorf("the code is kept: %v", err)
	}
	use := func(c Claimant, want AccountID, code wire.Code) error {
		t.Helper()
		out, err := b.Claim(t.Context(), c, string(want), code, Automatic)
		if err == nil && (out.State != Granted || out.Account != b.id) {
			t.Errorf("%+v", out)
		}
		return err
	}
	var nobody Claimant
	nobody.Key = testKey(2)
	for name, err := range map[string]error{
		"of another account":    use(machine("SHC00000007", "u7", 7), other, code),
		"of no account":         use(machine("SHC00000008", "u8", 8), "SHC00000099", code),
		"that nobody was given": use(machine("SHC00000009", "u9", 9), "", mustCode(t, code)),
	} {
		if !errors.Is(err, ErrCode) || err.Error() != ErrCode.Error() {
			t.Errorf("a code %s: %v", name, err)
		}
	}
	for range 2 { // the answer may not have arrived
		if err := use(nobody, "", code); err != nil {
			t.Error(err)
		}
	}
	b.may(2, "write")
	b.may(1, "read")
	if err := use(machine("SHC00000003", "u3", 3), "", code); !errors.Is(err, ErrCode) {
		t.Errorf("used twice: %v", err)
	}
	// The one before, and one of last week.
	old := must[wire.Code](t)(b.NewCode(t.Context(), b.id))
	fresh := must[wire.Code](t)(b.NewCode(t.Context(), b.id))
	if err := use(machine("SHC00000003", "u3", 3), "", old); !errors.Is(err, ErrCode) {
		t.Errorf("replaced: %v", err)
	}
	b.now = b.now.Add(7*24*time.Hour + time.Second)
	if err := use(machine("SHC00000003", "u3", 3), "", fresh); !errors.Is(err, ErrCode) {
		t.Errorf("too old: %v", err)
	}
	if _, err := b.NewCode(t.Context(), "SHC00000099"); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
}

// mustCode answers a code that is not this one.
func mustCode(t *testing.T, not wire.Code) wire.Code {
	t.Helper()
	for {
		if code := randomCode(); code != not {
			return code
		}
	}
}

// Wrong tries: three cost nothing, then it takes longer and longer, for that
// machine alone, also across a new start.
func TestTries(t *testing.T) {
	b := newClaimBed(t)
	code := must[wire.Code](t)(b.NewCode(t.Context(), b.id))
	wrong := mustCode(t, code)
	try := func(c Claimant, code wire.Code) (wait time.Duration) {
		t.Helper()
		_, err := b.Claim(t.Context(), c, "", code, Automatic)
		var no *TriesError
		if errors.As(err, &no) {
			return no.Wait
		}
		if !errors.Is(err, ErrCode) {
			t.Errorf("%v", err)
		}
		return 0
	}
	thief := machine("SHC00000009", "u9", 9)
	for n := range 4 {
		if wait := try(thief, wrong); wait > 0 {
			t.Errorf("try %d waits %v", n, wait)
		}
	}
	again := testStore(t, b.Dir())
	again.now = b.Store.now
	b.Store = again
	for n := 5; n <= 10; n++ {
		want := time.Minute << (n - 5)
		// Even the right code, and with another key.
		thief.Key = testKey(9 * n)
		if wait := try(thief, code); wait != want {
			t.Errorf("try %d waits %v, not %v", n, wait, want)
		}
		b.now = b.now.Add(want)
		if wait := try(thief, wrong); wait > 0 {
			t.Errorf("try %d waits %v more", n, wait)
		}
	}
	if wait := try(thief, code); wait != triesTime {
		t.Errorf("not locked: %v", wait)
	}
	// Nobody else, and a clock that jumps back locks nobody for longer.
	if wait := try(machine("SHC00000008", "u8", 8), wrong); wait != 0 {
		t.Errorf("another machine waits %v", wait)
	}
	b.now = b.now.Add(-365 * 24 * time.Hour)
	if wait := try(thief, wrong); wait > triesTime {
		t.Errorf("%v", wait)
	}
	b.now = b.now.Add(365*24*time.Hour + triesTime + time.Second)
	if wait := try(thief, wrong); wait > 0 {
		t.Errorf("locked for ever: %v", wait)
	}
	for n := range 2 * maxTried {
		if n%1000 == 0 {
			try(Claimant{Key: testKey(10_000 + n)}, wrong)
		}
	}
}

// Many laptops with the same code at once, in two processes: it lets in one.
func TestCodeOnce(t *testing.T) {
	b := newClaimBed(t)
	code := must[wire.Code](t)(b.NewCode(t.Context(), b.id))
	second := testStore(t, b.Dir())
	second.now = b.Store.now
	var in atomic.Int32
	var wg sync.WaitGroup
	for n := range 8 {
		s := []*Store{b.Store, second}[n%2]
		wg.Go(func() {
			c := Claimant{Key: testKey(100 + n), From: "10.0.0.1"}
			out, err := s.Claim(t.Context(), c, "", code, Automatic)
			switch {
			case err == nil && out.State == Granted:
				in.Add(1)
			case !errors.Is(err, ErrCode):
				t.Errorf("%+v %v", out, err)
			}
		})
	}
	wg.Wait()
	if n := in.Load(); n != 1 {
		t.Errorf("it let in %d", n)
	}
	if a := mustAccount(t, second, b.id); len(a.Keys) != 2 || len(a.Codes) != 0 {
		t.Errorf("%+v", a)
	}
}
