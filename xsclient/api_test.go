package xsclient

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sugarlabs/xo-backupd/wire"
)

func TestAPI(t *testing.T) {
	p := newPeer(t)
	c := registered(t, p)
	s, err := c.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	api, err := s.api(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	snaps, err := api.Snapshots(t.Context())
	if err != nil || len(snaps) != 1 || snaps[0].Seq != 7 {
		t.Fatalf("%v, %v", snaps, err)
	}
	if path, err := api.RestorePath(t.Context(), snaps[0].ID); err != nil || path != "snapshots/"+snaps[0].ID {
		t.Errorf("%q, %v", path, err)
	}
	n := 0
	if err := api.Entries(t.Context(), snaps[0].ID, func(wire.Entry) error { n++; return nil }); err != nil || n != 2000 {
		t.Errorf("%d entries, %v", n, err)
	}
	// Given up in the midst: the next question is answered all the same.
	enough := errors.New("enough")
	if err := api.Entries(t.Context(), snaps[0].ID, func(wire.Entry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	if saved, err := api.Saved(t.Context(), map[string]string{"a": "1", "b": "2"}); err != nil || fmt.Sprint(saved) != "[a]" {
		t.Errorf("%v, %v", saved, err)
	}
}
