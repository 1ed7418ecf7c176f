package schedule

import (
	"context"
	"math"
	"path/filepath"
	"strconv"

	godbus "github.com/godbus/dbus/v5"
)

// power is what the laptop lives on. Zero: not known, or mains.
type power struct {
	onBattery bool
	percent   int
}

func (l Laptop) power(ctx context.Context) power {
	if p, ok := l.upower(ctx); ok {
		return p
	}
	return l.kernelPower()
}

// upower asks UPower, where it runs: it is not started for this.
func (l Laptop) upower(ctx context.Context) (p power, ok bool) {
	const (
		name                      = "org.freedesktop.UPower"
		path    godbus.ObjectPath = "/org/freedesktop/UPower"
		display godbus.ObjectPath = "/org/freedesktop/UPower/devices/DisplayDevice"
	)
	var percent float64
	if !l.ask(ctx, &p.onBattery, name, path, name, "OnBattery") {
		return power{}, false
	}
	if !p.onBattery {
		return p, true
	}
	// Before UPower 0.99 there is no such device.
	if !l.ask(ctx, &percent, name, display, name+".Device", "Percentage") {
		return power{}, false
	}
	p.percent = int(math.Round(percent))
	return p, true
}

// kernelPower asks the kernel: on an XO, of olpc-ac and olpc-battery. What other
// things have for a battery, a mouse say, does not count.
func (l Laptop) kernelPower() power {
	supplies, _ := filepath.Glob(filepath.Join(l.Root, "sys/class/power_supply/*"))
	var p power
	for _, supply := range supplies {
		says := func(name string) string { return read(filepath.Join(supply, name)) }
		switch {
		case says("scope") == "Device":
		case says("type") != "Battery":
			if says("online") == "1" {
				return power{}
			}
		case says("status") == "Discharging":
			percent, err := strconv.Atoi(says("capacity"))
			if err == nil {
				p = power{true, max(p.percent, percent)}
			}
		}
	}
	return p
}

// ask asks for a property of somebody on the system bus who runs already.
func (l Laptop) ask(ctx context.Context, answer any, name string, path godbus.ObjectPath, iface, property string) bool {
	if l.System == nil {
		return false
	}
	var v godbus.Variant
	err := l.System.Object(name, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get",
		godbus.FlagNoAutoStart, iface, property).Store(&v)
	return err == nil && v.Store(answer) == nil
}
