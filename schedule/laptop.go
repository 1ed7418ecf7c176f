package schedule

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// Laptop is where to look. Nothing is kept: each look is anew.
type Laptop struct {
	Root    string       // where /proc and /sys are
	Journal string       // the folder of Sugar's datastore
	System  *godbus.Conn // the system bus; nil: there is none
}

// Look finds out how the laptop stands.
func (l Laptop) Look(ctx context.Context, now time.Time) Standing {
	power := l.power(ctx)
	network := l.network(ctx)
	return Standing{
		OnBattery: power.onBattery,
		Percent:   power.percent,
		Offline:   network.offline,
		Metered:   network.metered,
		Saving:    l.saving(now),
		Load:      l.load(),
	}
}

// savedFor is how long what was saved counts as being saved: an activity that is
// left saves a second time, with its preview.
const savedFor = time.Minute

// saving tells whether something was saved just now. Sugar's datastore removes a
// file from its folder (ds_clean) before each change and makes it anew after:
// both change the folder.
func (l Laptop) saving(now time.Time) bool {
	info, err := os.Stat(l.Journal)
	if err != nil {
		return false
	}
	ago := now.Sub(info.ModTime())
	return ago >= 0 && ago < savedFor
}

// load is the average over a minute, for each processor.
func (l Laptop) load() float64 {
	first, _, _ := strings.Cut(read(filepath.Join(l.Root, "proc/loadavg")), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load / float64(runtime.NumCPU())
}

// read answers a line of the kernel's, "" where there is none.
func read(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}
