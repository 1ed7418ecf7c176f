package xs

import (
	"fmt"
	"time"
)

// Config is what an administrator may set. Names in the file, the environment
// and the flags are those of the tags.
type Config struct {
	Root         string `koanf:"root"`
	HTTP         string `koanf:"http"`
	Registration string `koanf:"registration"`
	SSH          string `koanf:"ssh"`

	// MaxSessions bounds backups and restores at the same time.
	MaxSessions int `koanf:"max_sessions"`
	// MaxLoad is the load average, for each CPU, above which no backup begins.
	MaxLoad float64 `koanf:"max_load"`
	// MinFreeMB and MinFreeInodes stay free on the root's file system.
	MinFreeMB     int64 `koanf:"min_free_mb"`
	MinFreeInodes int64 `koanf:"min_free_inodes"`
	// AccountQuotaMB bounds one copy of a Journal; 0: only the disk does.
	AccountQuotaMB int64 `koanf:"account_quota_mb"`
	// MaxFiles bounds the files and folders of one Journal as it travels.
	MaxFiles int `koanf:"max_files"`
	// MaxAccounts bounds how many accounts registration makes.
	MaxAccounts int `koanf:"max_accounts"`

	// SessionTimeout ends a session that takes longer.
	SessionTimeout time.Duration `koanf:"session_timeout"`
	// RetryAfter is what a busy server advises.
	RetryAfter time.Duration `koanf:"retry_after"`
	// HandshakeTimeout is how long a connection may take to say who it is.
	HandshakeTimeout time.Duration `koanf:"handshake_timeout"`
	// Keepalive is how often the other side has to show that it is there.
	Keepalive time.Duration `koanf:"keepalive"`
	// IdleTimeout ends a connection on which no session runs.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// MaxConnections bounds ssh connections; MaxUnauthenticated those of them
	// that have not said yet who they are.
	MaxConnections     int `koanf:"max_connections"`
	MaxUnauthenticated int `koanf:"max_unauthenticated"`
	// Drain is how long running sessions may go on after SIGTERM.
	Drain time.Duration `koanf:"drain"`
}

// Defaults suit a small PC in a school of some hundred XOs.
func Defaults() Config {
	return Config{
		Root: "/var/lib/xs-backupd", HTTP: ":80", Registration: ":8080", SSH: ":8022",
		MaxSessions: 10, MaxLoad: 8, MinFreeMB: 512, MinFreeInodes: 20_000,
		AccountQuotaMB: 16 << 10, MaxFiles: 200_000, MaxAccounts: 5_000,
		SessionTimeout: 6 * time.Hour, RetryAfter: 5 * time.Minute,
		HandshakeTimeout: 30 * time.Second, Keepalive: 20 * time.Second, IdleTimeout: 10 * time.Minute,
		MaxConnections: 1_000, MaxUnauthenticated: 100, Drain: 10 * time.Second,
	}
}

// Check answers what is wrong with the values, by name.
func (c Config) Check() error {
	if c.Root == "" {
		return fmt.Errorf("root is empty")
	}
	for _, v := range []struct {
		name       string
		value, min float64
	}{
		{"max_sessions", float64(c.MaxSessions), 1},
		{"max_load", c.MaxLoad, 0.01},
		{"min_free_mb", float64(c.MinFreeMB), 0},
		{"min_free_inodes", float64(c.MinFreeInodes), 0},
		{"account_quota_mb", float64(c.AccountQuotaMB), 0},
		{"max_files", float64(c.MaxFiles), 1},
		{"max_accounts", float64(c.MaxAccounts), 1},
		{"max_connections", float64(c.MaxConnections), 1},
		{"max_unauthenticated", float64(c.MaxUnauthenticated), 1},
		{"session_timeout", c.SessionTimeout.Seconds(), 1},
		{"retry_after", c.RetryAfter.Seconds(), 1},
		{"handshake_timeout", c.HandshakeTimeout.Seconds(), 1},
		{"keepalive", c.Keepalive.Seconds(), 0.1},
		{"idle_timeout", c.IdleTimeout.Seconds(), 0.1},
		{"drain", c.Drain.Seconds(), 0},
	} {
		// Written so that NaN is refused too.
		if !(v.value >= v.min) {
			return fmt.Errorf("%s is %v, and has to be at least %v", v.name, v.value, v.min)
		}
	}
	return nil
}
