package xsclient

import (
	"fmt"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// The real school server: registered with owner's keys of every kind, asked,
// and asked again after it has forgotten nothing.
func TestRealServer(t *testing.T) {
	s := bed.XSFor(t, bed.ServerOptions{})
	for i, kind := range [][]string{{"-t", "dsa"}, {"-t", "dsa", "-m", "PEM"}, {"-t", "rsa"}, {"-t", "ecdsa"}, {"-t", "ed25519"}} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			cfg := laptop(t, newPeer(t), kind...)
			cfg.Server, cfg.Serial = s.URL(), fmt.Sprintf("SHC%08d", i+1) // 0 would say nothing
			cfg.UUID = fmt.Sprintf("%08d-0000-4000-8000-000000000000", i+1)
			c := client(t, cfg)
			if check, err := c.CheckServer(t.Context()); err != nil || check.Available {
				t.Errorf("before: %+v, %v", check, err)
			}
			if err := c.Register(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := c.Status(); got.State != StateIdle || got.Account != cfg.Serial {
				t.Errorf("%+v", got)
			}
			if check, err := c.CheckServer(t.Context()); err != nil || !check.Available {
				t.Errorf("after: %+v, %v", check, err)
			}
			if err := c.WouldTake(t.Context()); err != nil {
				t.Error(err)
			}
			if snaps, err := c.ListSnapshots(t.Context()); err != nil || len(snaps) != 0 {
				t.Errorf("%v, %v", snaps, err)
			}
			session, err := c.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			api, err := session.api(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer api.Close()
			_, err = api.RestorePath(t.Context(), "2026-11-23T21-30-05Z")
			wantCode(t, err, NoSnapshot)
			if saved, err := api.Saved(t.Context(), map[string]string{"a": "1"}); err != nil || len(saved) != 0 {
				t.Errorf("%v, %v", saved, err)
			}
		})
	}

	// Stopped: said in good time. Back, on the same ports: all is as it was.
	cfg := laptop(t, newPeer(t))
	cfg.Server, cfg.Serial = s.URL(), "SHC99999999"
	cfg.UUID = "99999999-0000-4000-8000-000000000000"
	c := client(t, cfg)
	if err := c.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	_, err := c.ListSnapshots(t.Context())
	wantCode(t, err, ServerUnavailable)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListSnapshots(t.Context()); err != nil {
		t.Error(err)
	}
}
