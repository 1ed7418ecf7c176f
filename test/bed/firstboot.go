package bed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Reflash sets the XO up anew: nothing of what was on its disk is left, and Sugar
// was never started. It is the same machine, by its firmware.
func (x *XO) Reflash(ctx context.Context) error {
	if err := x.end(endTime); err != nil {
		return err
	}
	for _, dir := range []string{"home", "tmp", "run"} {
		if err := os.RemoveAll(filepath.Join(x.Dir, dir)); err != nil {
			return err
		}
	}
	x.Options.Bare = true
	if err := x.lay(ctx); err != nil {
		return err
	}
	return x.startBus(ctx)
}

// firmware says which machine this is: to Sugar's registration by a tree like an
// XO's and, where there is no profile to tell, to our daemon by its configuration.
func (x *XO) firmware() error {
	files := map[string]string{}
	for _, v := range []struct{ file, key, value string }{
		{"SN", "SERIAL", x.Options.Serial}, {"U#", "UUID", x.Options.UUID},
	} {
		if v.value == "" {
			continue
		}
		files["ofw/mfg-data/"+v.file] = v.value + "\x00"
		if x.Options.Bare {
			x.env = append(x.env, "XO_BACKUPD_"+v.key+"="+v.value)
		}
	}
	return x.write(files)
}

// Wizard does what Sugar's first-boot wizard does in the end: it keeps the child's
// name, colours and group, and makes its key.
func (x *XO) Wizard(ctx context.Context) error {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	o := x.Options
	err := x.write(map[string]string{
		"home/.config/glib-2.0/settings/keyfile": fmt.Sprintf("[org/sugarlabs/user]\nnick=%s\ncolor=%s\ngroup-label=%s\n",
			quote(o.Nick), quote(o.Color), quote(o.Group)),
	})
	if err != nil {
		return err
	}
	return x.MakeOwnerKey(ctx)
}

// MakeOwnerKey makes Sugar's key, as its wizard does where the name and the colours
// are there already.
func (x *XO) MakeOwnerKey(ctx context.Context) error {
	if err := os.MkdirAll(x.Profile, 0o700); err != nil {
		return err
	}
	o := x.Options
	args := []string{"-q", "-t", o.Key, "-N", "", "-C", "", "-f", filepath.Join(x.Profile, "owner.key")}
	if !o.KeyNew && o.Key != "ed25519" {
		args = append(args, "-m", "PEM")
	}
	if out, err := exec.CommandContext(ctx, "ssh-keygen", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	return nil
}

// registrar is Sugar's own registration, at a school server on any port, of the
// machine whose tree is at a path: jarabe itself takes neither.
const registrar = `
import sys
from gi.repository import Gio
from jarabe.desktop import schoolserver
Gio.Settings.new('org.sugarlabs.collaboration').reset('jabber-server')
schoolserver._OFW_TREE = sys.argv[2]
try:
    schoolserver.register_laptop(sys.argv[1])
except schoolserver.RegisterError as error:
    sys.exit('registration: %s' % error)
Gio.Settings.sync()
print(Gio.Settings.new('org.sugarlabs').get_string('backup-url'), end='')
`

// SugarRegister has Sugar register the XO, and answers the backup-url that it keeps.
func (x *XO) SugarRegister(ctx context.Context, s *XS) (string, error) {
	cmd := x.Command(ctx, "/usr/bin/python3", "-c", registrar, s.RegistrationURL()+"/", filepath.Join(x.Dir, "ofw"))
	var said strings.Builder
	cmd.Stderr = &said
	url, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("jarabe: %w\n%s", err, said.String())
	}
	return string(url), nil
}

// Claimed is what a signal ClaimChanged tells.
type Claimed struct{ Account, State string }

// Claims answers what the daemon tells of claims from now on. It ends with the bus.
func (x *XO) Claims() (<-chan Claimed, error) {
	const member = "ClaimChanged"
	if err := x.Conn.AddMatchSignal(dbus.WithMatchInterface(BackupName), dbus.WithMatchMember(member)); err != nil {
		return nil, err
	}
	heard, claims := make(chan *dbus.Signal, 64), make(chan Claimed, 64)
	x.Conn.Signal(heard)
	go func() {
		defer close(claims)
		for s := range heard {
			var c Claimed
			if s.Name == BackupName+"."+member && dbus.Store(s.Body, &c.Account, &c.State) == nil {
				claims <- c
			}
		}
	}()
	return claims, nil
}
