package xsclient

import (
	"strings"
	"testing"
)

func TestDiscovery(t *testing.T) {
	p := newPeer(t)
	cfg := laptop(t, p)
	cfg.Server = ""
	c := client(t, cfg)
	for _, step := range []struct{ backup, jabber, state, want string }{
		{"", "", "", "http://schoolserver"},
		{"", "jabber.school", "", "http://jabber.school"},
		{"SHC1@xs.school:backup", "jabber.school", "", "http://xs.school"},
		{"SHC1@xs.school:backup", "", "http://xs.school:4711", "http://xs.school:4711"},
		{"SHC1@xs.school:backup", "", "http://127.0.0.1:4711", "http://xs.school"},
		{"nonsense", "a b", "http://127.0.0.1:4711", "http://127.0.0.1:4711"},
	} {
		for _, err := range []error{
			cfg.Profile.SetBackupURL(t.Context(), step.backup),
			cfg.Profile.SetJabberServer(t.Context(), step.jabber),
			c.update(func(st *state) { st.Server = step.state }),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if u, err := c.server(t.Context()); err != nil || u.String() != step.want {
			t.Errorf("%+v: %v, %v", step, u, err)
		}
	}
	for _, bad := range []string{"schoolserver", "ftp://x", "http://", "http://u:p@x", "://"} {
		cfg.Server = bad
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "server") {
			t.Errorf("server %q: %v", bad, err)
		}
	}
}
