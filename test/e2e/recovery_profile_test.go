package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// setting reads one of Sugar's, as Sugar does.
func (r *reflashed) setting(t *testing.T, schema, key string) string {
	t.Helper()
	out, err := r.Command(t.Context(), "gsettings", "get", schema, key).Output()
	must(t, err)
	return strings.Trim(strings.TrimSpace(string(out)), "'")
}

func (r *reflashed) set(t *testing.T, schema, key, value string) {
	t.Helper()
	must(t, r.Command(t.Context(), "gsettings", "set", schema, key, value).Run())
}

// owner is what Sugar's settings say of whose laptop it is.
func (r *reflashed) owner(t *testing.T) [3]string {
	t.Helper()
	var owner [3]string
	for i, key := range []string{"nick", "color", "group-label"} {
		owner[i] = r.setting(t, "org.sugarlabs.user", key)
	}
	return owner
}

const jabber, elsewhere = "jabber-server", "jabber.example.org"

// What a child typed stays; what the profile lacks comes back with the Journal. The
// server for collaboration is not touched.
func TestRecoveryFillsTheProfile(t *testing.T) {
	t.Parallel()
	r := lose(t, 5)
	for _, c := range []struct {
		name        string
		typed, want [3]string
		jabber      string
	}{
		{"nothing typed", [3]string{}, [3]string{"Amara", "#FF2B34,#00A0FF", "4th Grade"}, ""},
		{"all typed", [3]string{"Amara 2", "#008009,#FF8F00", "5th Grade"}, [3]string{"Amara 2", "#008009,#FF8F00", "5th Grade"}, elsewhere},
		{"a name typed", [3]string{"Ama"}, [3]string{"Ama", "#FF2B34,#00A0FF", "4th Grade"}, elsewhere},
		{"a colour chosen", [3]string{"", "#008009,#FF8F00", ""}, [3]string{"Amara", "#008009,#FF8F00", "4th Grade"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.reflash(t)
			for i, key := range []string{"nick", "color", "group-label"} {
				if c.typed[i] != "" {
					r.set(t, "org.sugarlabs.user", key, c.typed[i])
				}
			}
			if c.jabber != "" {
				r.set(t, "org.sugarlabs.collaboration", jabber, c.jabber)
			}
			r.offered(t, 5)
			r.claimed(t)
			if owner := r.owner(t); owner != c.typed {
				t.Errorf("claimed, and nothing is restored: %q", owner)
			}
			done(t, r.XO, "Restore", "")
			if owner := r.owner(t); owner != c.want {
				t.Errorf("it is %q, not %q", owner, c.want)
			}
			if now := r.setting(t, "org.sugarlabs.collaboration", jabber); now != c.jabber {
				t.Errorf("%s is %q", jabber, now)
			}
		})
	}
}

// wizard does what Sugar's first-boot wizard does once a child has answered it, by
// Sugar's own code, and tells what that thinks of the profile before and after.
const wizard = `
import sys, gi
gi.require_version('Gtk', '3.0')
from sugar3.graphics.xocolor import XoColor
from gi.repository import Gio
from jarabe import intro
from jarabe.intro import agepicker, window
print(intro.check_profile(), intro.check_group_label())
if len(sys.argv) > 1:
    child = window.UserProfile()
    child.nickname, child.colors = sys.argv[1], XoColor(sys.argv[2])
    child.age = agepicker.group_label_to_age(sys.argv[3])
    window.create_profile(child)
    Gio.Settings.sync()
    print(intro.check_profile(), intro.check_group_label())
`

// sugar runs that code, with the child's name, colour and group, if it is to answer.
func (r *reflashed) sugar(t *testing.T, child ...string) (valid []string) {
	t.Helper()
	cmd := r.Command(t.Context(), "/usr/bin/python3", append([]string{"-c", wizard}, child...)...)
	cmd.Env = append(cmd.Env, "SUGAR_GROUP_LABELS=/usr/share/sugar/data/group-labels.defaults") // as /usr/bin/sugar does
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("Sugar's first boot: %v: %s", err, said.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// Sugar's own first boot takes what an offer says for the child's answers, and makes
// its key beside ours. The laptop is whole then, for Sugar and for us, whether the
// Journal comes back before or after.
func TestRecoveryThroughSugarsWizard(t *testing.T) {
	t.Parallel()
	r := lose(t, 10)
	for _, first := range []bool{true, false} {
		name := map[bool]string{true: "the wizard first", false: "the Journal first"}[first]
		t.Run(name, func(t *testing.T) {
			r.reflash(t)
			if valid := r.sugar(t); valid[0] != "False False" {
				t.Fatalf("set up anew, and Sugar finds a profile: %s", valid)
			}
			offer := r.findBackups(t)[0]
			key, err := os.ReadFile(filepath.Join(r.Profile, "backup.key"))
			must(t, err)
			r.claimed(t)
			if !first {
				done(t, r.XO, "Restore", "")
			}
			text := func(name string) string { return offer[name].Value().(string) }
			valid := r.sugar(t, text("nick"), text("color"), text("group"))
			if last := valid[len(valid)-1]; last != "True True" {
				t.Errorf("after the wizard, Sugar finds the profile and group: %s", last)
			}
			if now, err := os.ReadFile(filepath.Join(r.Profile, "backup.key")); err != nil || string(now) != string(key) {
				t.Errorf("our key did not stay: %v", err)
			}
			if first {
				done(t, r.XO, "Restore", "")
			}
			holds(t, r.XO, r.before)
			r.draw(t, "drawn after the wizard")
			done(t, r.XO, "Backup")
			r.knownToSugar(t)
			if owner := r.owner(t); owner != [3]string{"Amara", "#FF2B34,#00A0FF", "4th Grade"} {
				t.Errorf("it is %q", owner)
			}
			if valid := r.sugar(t); valid[0] != "True True" {
				t.Errorf("in the end, Sugar finds the profile and group: %s", valid)
			}
		})
	}
}

// knownToSugar checks that Sugar knows of the registration, and the XS its key.
func (r *reflashed) knownToSugar(t *testing.T) {
	t.Helper()
	if backup := r.setting(t, "org.sugarlabs", "backup-url"); !strings.HasPrefix(backup, r.Options.Serial+"@") {
		t.Errorf("Sugar's backup-url is %q", backup)
	}
	if r.setting(t, "org.sugarlabs.collaboration", jabber) == "" {
		t.Errorf("Sugar has registered, and its %s is empty", jabber)
	}
	public, err := os.ReadFile(filepath.Join(r.Profile, "owner.key.pub"))
	must(t, err)
	kept, err := os.ReadFile(filepath.Join(account(t, r.xs), "account.json"))
	must(t, err)
	if !strings.Contains(string(kept), strings.Fields(string(public))[1]) {
		t.Error("the XS does not know Sugar's key")
	}
}
