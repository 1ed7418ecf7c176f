package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

type objectPath = dbus.ObjectPath

// start begins a job and answers it.
func start(t *testing.T, x *bed.XO, method string, args ...any) objectPath {
	t.Helper()
	var path objectPath
	must(t, x.Backup().CallWithContext(t.Context(), "org.laptop.Backup."+method, 0, args...).Store(&path))
	return path
}

// options makes an a{sv} of strings, as dbus-send does.
func options(pairs ...string) map[string]dbus.Variant {
	out := map[string]dbus.Variant{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = dbus.MakeVariant(pairs[i+1])
	}
	return out
}

func stateFile(x *bed.XO) string {
	return filepath.Join(x.Home, ".local/share/xo-backupd/state.json")
}

// moveSSH makes a stopped daemon believe that the ssh listener is elsewhere.
func moveSSH(t *testing.T, x *bed.XO, from, to string) {
	t.Helper()
	b, err := os.ReadFile(stateFile(x))
	must(t, err)
	if !strings.Contains(string(b), from) {
		t.Fatalf("no %s in %s", from, b)
	}
	must(t, os.WriteFile(stateFile(x), []byte(strings.ReplaceAll(string(b), from, to)), 0o600))
}
