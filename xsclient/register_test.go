package xsclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sugarlabs/xo-backupd/wire"
)

// Register with an owner's key of each kind that Sugars have made.
func TestRegister(t *testing.T) {
	for _, kind := range []string{"dsa", "dsa PEM", "rsa", "ed25519", "ecdsa"} {
		t.Run(kind, func(t *testing.T) {
			p := newPeer(t)
			args := []string{"-t", strings.Fields(kind)[0]}
			if strings.HasSuffix(kind, "PEM") {
				args = append(args, "-m", "PEM")
			}
			cfg := laptop(t, p, args...)
			var told []Status
			cfg.Changed = func(s Status) { told = append(told, s) }
			c := client(t, cfg)
			if s := c.Status(); s.State != StateUnregistered || s.StateReason == "" {
				t.Errorf("before: %+v", s)
			}
			if err := c.Register(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := c.Status()
			if s.State != StateIdle || s.StateReason != "" || s.Account == "" || s.Account != s.Serial || s.Server != p.http.URL {
				t.Errorf("after: %+v", s)
			}
			if len(told) == 0 || told[len(told)-1] != s {
				t.Errorf("told: %+v", told)
			}
			if len(p.calls) != 1 || len(p.enrols) != 1 || p.enrols[0].Serial != s.Serial {
				t.Errorf("calls %v, enrols %v", p.calls, p.enrols)
			}
			if url, err := cfg.Profile.BackupURL(t.Context()); err != nil || url != s.Account+"@schoolserver:backup" {
				t.Errorf("backup-url %q, %v", url, err)
			}
			if j, err := cfg.Profile.JabberServer(t.Context()); err != nil || j != "schoolserver" {
				t.Errorf("jabber-server %q, %v", j, err)
			}
			for name, want := range map[string]string{"sn": s.Serial, "uuid": c.machine().UUID} {
				if b, err := os.ReadFile(filepath.Join(cfg.Profile.Dir, "identifiers", name)); err != nil || string(b) != want {
					t.Errorf("identifiers/%s: %q, %v", name, b, err)
				}
			}

			// Again, and by a daemon that was started anew: nothing happens.
			if err := client(t, cfg).Register(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(p.calls) != 1 || len(p.enrols) != 1 {
				t.Errorf("a second Register: calls %v, enrols %v", p.calls, p.enrols)
			}
			if _, err := client(t, cfg).ListSnapshots(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Where Sugar has registered, only our key is enrolled.
func TestRegisterAfterSugar(t *testing.T) {
	p := newPeer(t)
	cfg := laptop(t, p)
	owner, err := cfg.Profile.OwnerKey()
	if err != nil {
		t.Fatal(err)
	}
	p.keys["SHC1"] = map[string]string{string(owner.PublicKey().Marshal()): "owner"}
	if err := cfg.Profile.SetBackupURL(t.Context(), "SHC1@schoolserver:backup"); err != nil {
		t.Fatal(err)
	}
	c := client(t, cfg)
	if err := c.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(p.calls) != 0 || len(p.enrols) != 1 || c.Status().Account != "SHC1" {
		t.Errorf("calls %v, enrols %v, %+v", p.calls, p.enrols, c.Status())
	}
	// The server forgot all: registered anew, with the serial that is known.
	p.set(func() { p.keys = map[string]map[string]string{} })
	_, err = c.ListSnapshots(t.Context())
	wantCode(t, err, NotRegistered)
	if err := c.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	serial := c.Status().Serial
	p.set(func() { p.keys = map[string]map[string]string{} })
	if err := c.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(p.calls) != 2 || p.calls[0] != p.calls[1] || c.Status().Serial != serial || c.Status().Account != serial {
		t.Errorf("registered as %v; now %+v", p.calls, c.Status())
	}
}

// Wherever Register is cut off, the next one goes on, and the laptop stays the
// same laptop.
func TestRegisterCutOff(t *testing.T) {
	for cut := range 5 {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			p := newPeer(t)
			cfg := laptop(t, p)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var n atomic.Int32
			at := func() {
				if n.Add(1) == int32(cut+1) {
					cancel()
				}
			}
			p.check = func(w http.ResponseWriter, r *http.Request) { at(); p.honestCheck(w, r) }
			p.register = func(w http.ResponseWriter, r *http.Request) {
				at()
				p.honestRegister(w, r)
				at()
			}
			cfg.Changed = func(Status) { at() }
			err := client(t, cfg).Register(ctx)
			if err == nil && ctx.Err() == nil {
				t.Fatalf("was not cut off")
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("cut off: %v", err)
			}
			n.Store(100)
			c := client(t, cfg)
			if err := c.Register(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(p.keys) != 1 || c.Status().State != StateIdle {
				t.Errorf("accounts %d, %+v", len(p.keys), c.Status())
			}
		})
	}
}

func TestRegisterRefused(t *testing.T) {
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			b, err := wire.EncodeResponse(v)
			if err != nil {
				t.Error(err)
			}
			w.Write(b)
		}
	}
	for _, c := range []struct {
		name     string
		register http.HandlerFunc
		code     Code
		says     string
	}{
		{"ERR", answer(map[string]any{"success": "ERR", "error": "No more\nlaptops."}), ServerRefused, "No more laptops."},
		{"a fault", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(wire.EncodeFault(&wire.Fault{Code: 1, Message: "boo"}))
		}, ServerRefused, "boo"},
		{"an account that climbs", answer(map[string]any{"success": "OK", "backupurl": "../x@host:backup"}), ServerUnavailable, ""},
		{"no account", answer(map[string]any{"success": "OK", "backupurl": "@host:backup"}), ServerUnavailable, ""},
		{"an option for an account", answer(map[string]any{"success": "OK", "backupurl": "-oProxyCommand=x@host:backup"}), ServerUnavailable, ""},
		{"no backupurl", answer(map[string]any{"success": "OK"}), ServerUnavailable, ""},
		{"a list", answer([]any{"OK"}), ServerUnavailable, ""},
		{"not XML", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Log in") }, ServerUnavailable, ""},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, ServerUnavailable, ""},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/", http.StatusFound)
		}, ServerUnavailable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t)
			p.register = c.register
			cl := client(t, laptop(t, p))
			e := wantCode(t, cl.Register(t.Context()), c.code)
			if !strings.Contains(e.Message, c.says) {
				t.Errorf("message %q", e.Message)
			}
			if s := cl.Status(); s.State != StateUnregistered || s.Account != "" {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestRegisterWithoutOwnerKey(t *testing.T) {
	p := newPeer(t)
	cfg := laptop(t, p)
	if err := os.Remove(filepath.Join(cfg.Profile.Dir, "owner.key")); err != nil {
		t.Fatal(err)
	}
	e := wantCode(t, client(t, cfg).Register(t.Context()), NotRegistered)
	if !strings.Contains(e.Message, "owner.key") || len(p.calls) > 0 {
		t.Errorf("%v; calls %v", e, p.calls)
	}
}

// A machine's own serial is what it registers with; the configuration may
// override it.
func TestRegisterSerial(t *testing.T) {
	p := newPeer(t)
	cfg := laptop(t, p)
	sn := filepath.Join(cfg.Root, "ofw/mfg-data/SN")
	if err := os.MkdirAll(filepath.Dir(sn), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sn, []byte("SHC8120023B\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg.Nick = "Amara"
	if err := client(t, cfg).Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "[SHC8120023B Amara 00000000-0000-0000-0000-000000000000]"; len(p.calls) != 1 || p.calls[0] != want {
		t.Errorf("%q, want %q", p.calls, want)
	}
}

// Who asks for our key at the same time gets the same, which is the one that is kept.
func TestOneKey(t *testing.T) {
	c := client(t, laptop(t, newPeer(t), "-t", "ed25519"))
	made := make(chan string)
	for range 8 {
		go func() {
			key, err := c.ownKey()
			if err != nil {
				made <- err.Error()
				return
			}
			made <- hostKeyLine(key.PublicKey())
		}()
	}
	var all []string
	for range 8 {
		all = append(all, <-made)
	}
	kept, err := c.cfg.Profile.BackupKey(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range all {
		if key != hostKeyLine(kept.PublicKey()) {
			t.Errorf("%s, and kept is another", key)
		}
	}
}
