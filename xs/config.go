package xs

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sugarlabs/xo-backupd/xs/store"
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
	// Reflash is how a machine that is recognised, and has another key than before,
	// is let in again: one of store.Policies.
	Reflash string `koanf:"reflash"`

	// SessionTimeout ends a session that takes longer.
	SessionTimeout time.Duration `koanf:"session_timeout"`
	// RetryAfter is what a busy server advises.
	RetryAfter time.Duration `koanf:"retry_after"`
	// HandshakeTimeout is how long a connection may take to say who it is.
	HandshakeTimeout time.Duration `koanf:"handshake_timeout"`
	// Keepalive is how often the other side has to show that it is there.
	Keepalive time.Duration `koanf:"keepalive"`
	// IdleTimeout ends a connection on which no session runs, and a session in
	// which next to nothing moves.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// MaxConnections bounds the connections of each listener; MaxUnauthenticated
	// those over ssh that have not said yet who they are.
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
		AccountQuotaMB: 16 << 10, MaxFiles: 200_000, MaxAccounts: 5_000, Reflash: string(store.Automatic),
		SessionTimeout: 6 * time.Hour, RetryAfter: 5 * time.Minute,
		HandshakeTimeout: 30 * time.Second, Keepalive: 20 * time.Second, IdleTimeout: 10 * time.Minute,
		MaxConnections: 1_000, MaxUnauthenticated: 100, Drain: 10 * time.Second,
	}
}

// bound is a number of the configuration beside what it may be.
type bound struct {
	key, value, allowed string
	ok                  bool
}

func within[T ~int | ~int64 | ~float64](key string, value, low, high T) bound {
	return bound{key, fmt.Sprint(value), fmt.Sprintf("%v to %v", low, high),
		low <= value && value <= high} // NaN is not
}

// bounds of the numbers: none overflows when it becomes bytes, is doubled, or
// is waited for three times.
func (c Config) bounds() []bound {
	const day = 24 * time.Hour
	return []bound{
		within("max_sessions", c.MaxSessions, 1, 10_000),
		within("max_load", c.MaxLoad, 0.01, 10_000),
		within("min_free_mb", c.MinFreeMB, 0, 1_000_000_000_000),
		within("min_free_inodes", c.MinFreeInodes, 0, 1_000_000_000_000),
		within("account_quota_mb", c.AccountQuotaMB, 0, 1_000_000_000_000),
		within("max_files", c.MaxFiles, 1, 100_000_000),
		within("max_accounts", c.MaxAccounts, 1, 10_000_000),
		within("max_connections", c.MaxConnections, 1, 1_000_000),
		within("max_unauthenticated", c.MaxUnauthenticated, 1, 1_000_000),
		within("session_timeout", c.SessionTimeout, time.Second, 30*day),
		within("retry_after", c.RetryAfter, time.Second, day),
		within("handshake_timeout", c.HandshakeTimeout, time.Second, time.Hour),
		within("keepalive", c.Keepalive, 100*time.Millisecond, time.Hour),
		within("idle_timeout", c.IdleTimeout, 100*time.Millisecond, 30*day),
		within("drain", c.Drain, 0, day),
	}
}

// Allowed answers what the number of that key may be, as "LOW to HIGH", or ""
// where the key is not that of a number.
func Allowed(key string) string {
	for _, b := range Defaults().bounds() {
		if b.key == key {
			return b.allowed
		}
	}
	return ""
}

func (c Config) policy() store.Policy { return store.Policy(c.Reflash) }

// Check answers what is wrong with the values, by name.
func (c Config) Check() error {
	if c.Root == "" {
		return errors.New("root is empty")
	}
	if !slices.Contains(store.Policies(), c.policy()) {
		return fmt.Errorf("reflash is %.40q; allowed are %s, %s and %s", c.Reflash, store.Automatic, store.Approval, store.CodeOnly)
	}
	for _, b := range c.bounds() {
		if !b.ok {
			return fmt.Errorf("%s is %s; allowed is %s", b.key, b.value, b.allowed)
		}
	}
	return nil
}
