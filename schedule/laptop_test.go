package schedule

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// kernel makes a /proc and a /sys below a root.
func kernel(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestKernelPower(t *testing.T) {
	const supplies = "sys/class/power_supply/"
	xo := func(online, status, capacity string) map[string]string {
		return map[string]string{
			supplies + "olpc-ac/type": "Mains", supplies + "olpc-ac/online": online,
			supplies + "olpc-battery/type": "Battery", supplies + "olpc-battery/status": status, supplies + "olpc-battery/capacity": capacity,
		}
	}
	mouse := xo("1", "Full", "100")
	for name, value := range map[string]string{"type": "Battery", "scope": "Device", "status": "Discharging", "capacity": "3"} {
		mouse[supplies+"hidpp_battery_0/"+name] = value
	}
	two := xo("0", "Discharging", "5")
	for name, value := range map[string]string{"type": "Battery", "status": "Discharging", "capacity": "60"} {
		two[supplies+"BAT1/"+name] = value
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  power
	}{
		"an XO on its battery":   {xo("0", "Discharging", "22"), power{true, 22}},
		"an XO that is charged":  {xo("1", "Charging", "22"), power{}},
		"an XO with a full one":  {xo("1", "Full", "100"), power{}},
		"mains come before":      {xo("1", "Discharging", "22"), power{}},
		"no battery in it":       {xo("1", "", ""), power{}},
		"a battery that says no": {xo("0", "Discharging", ""), power{}},
		"a mouse":                {mouse, power{}},
		"two batteries":          {two, power{true, 60}},
		"nothing":                {nil, power{}},
	} {
		if got := (Laptop{Root: kernel(t, c.files)}).power(t.Context()); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestLoad(t *testing.T) {
	text := fmt.Sprintf("%.2f 0.05 0.01 1/203 4711", 1.5*float64(runtime.NumCPU()))
	if got := (Laptop{Root: kernel(t, map[string]string{"proc/loadavg": text})}).load(); got < 1.49 || got > 1.51 {
		t.Errorf("%v", got)
	}
	for _, text := range []string{"", "nonsense"} {
		if got := (Laptop{Root: kernel(t, map[string]string{"proc/loadavg": text})}).load(); got != 0 {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestSaving(t *testing.T) {
	l := Laptop{Journal: t.TempDir()}
	now := time.Now()
	for ago, want := range map[time.Duration]bool{
		0: true, 59 * time.Second: true, time.Minute: false, time.Hour: false,
		-time.Hour: false, // the clock went back meanwhile
	} {
		if err := os.Chtimes(l.Journal, now, now.Add(-ago)); err != nil {
			t.Fatal(err)
		}
		if got := l.saving(now); got != want {
			t.Errorf("%v ago: %v", ago, got)
		}
	}
	// As Sugar's datastore does it, before and after a change.
	flag := filepath.Join(l.Journal, "ds_clean")
	old := func() {
		t.Helper()
		if err := os.Chtimes(l.Journal, now, now.Add(-time.Hour)); err != nil || l.saving(time.Now()) {
			t.Fatal(err)
		}
	}
	old()
	if err := os.WriteFile(flag, nil, 0o644); err != nil || !l.saving(time.Now()) {
		t.Errorf("made anew: %v", err)
	}
	old()
	if err := os.Remove(flag); err != nil || !l.saving(time.Now()) {
		t.Errorf("removed: %v", err)
	}
	l.Journal = filepath.Join(l.Journal, "none")
	if l.saving(now) {
		t.Error("there is no Journal")
	}
}

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		signal godbus.Signal
		state  uint32
		ok     bool
	}{
		{godbus.Signal{Name: "org.freedesktop.NetworkManager.StateChanged", Body: []any{uint32(70)}}, 70, true},
		{godbus.Signal{Name: "org.freedesktop.NetworkManager.StateChanged", Body: []any{"70"}}, 0, false},
		{godbus.Signal{Name: "org.freedesktop.NetworkManager.StateChanged"}, 0, false},
		{godbus.Signal{Name: "org.freedesktop.DBus.NameAcquired", Body: []any{":1.7"}}, 0, false},
	} {
		if state, ok := stateIn(&c.signal); state != c.state || ok != c.ok {
			t.Errorf("%+v: %d %v", c.signal, state, ok)
		}
	}
	for state, want := range map[uint32]bool{0: true, 10: false, 20: false, 40: false, 50: true, 60: true, 70: true} {
		if connected(state) != want {
			t.Errorf("state %d: %v", state, !want)
		}
	}
}
