package xsclient

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// boot is a moment that no clock can get wrong: how many seconds after which
// start of the machine. "" is not known.
type boot struct {
	ID     string `json:"id"`
	Uptime int64  `json:"uptime"`
}

// thisBoot is now, as the kernel has it. Time that the machine slept counts.
func (c *Client) thisBoot() boot {
	id, err := os.ReadFile(filepath.Join(c.cfg.Root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return boot{}
	}
	uptime, err := os.ReadFile(filepath.Join(c.cfg.Root, "proc/uptime"))
	if err != nil {
		return boot{}
	}
	first, _, _ := strings.Cut(string(uptime), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return boot{}
	}
	return boot{strings.TrimSpace(string(id)), int64(seconds)}
}

// LastBackup is when the server last confirmed that it has the Journal, by its own
// clock (zero: never), and, if this machine was not started anew since, how long ago
// that is.
func (c *Client) LastBackup() (at time.Time, since time.Duration, thisBoot bool) {
	st, now := c.state.get(), c.thisBoot()
	if st.LastBackup == 0 {
		return time.Time{}, 0, false
	}
	at = time.Unix(st.LastBackup, 0)
	if now.ID == "" || now.ID != st.Boot.ID || now.Uptime < st.Boot.Uptime {
		return at, 0, false
	}
	return at, time.Duration(now.Uptime-st.Boot.Uptime) * time.Second, true
}
