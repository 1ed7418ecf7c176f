package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

const defaultIdleExit = 2 * time.Minute

// key is one that can be configured. set refuses a value that it cannot be.
type key struct {
	name string
	help string
	set  func(c *config, value any) error
}

var keys = append([]key{
	{"server", "`URL` of the school server (http://schoolserver)", text(checkURL, func(c *config) *string { return &c.Server })},
	{"registration", "`URL` of its registration service", text(checkURL, func(c *config) *string { return &c.Registration })},
	{"serial", "`SERIAL` number of this laptop", text(checkSerial, func(c *config) *string { return &c.Serial })},
	{"uuid", "`UUID` of this laptop", text(checkUUID, func(c *config) *string { return &c.UUID })},
	{"nick", "`NAME` of its child", text(checkNick, func(c *config) *string { return &c.Nick })},
	{"deployment_key", "public `KEY` (one line) whose certificates make a school server\ntrusted, instead of remembering the key of the first one met",
		text(checkKey, func(c *config) *string { return &c.DeploymentKey })},
	{"idle_exit", "end after this `TIME` without work; 0: never (2m)",
		within(0, forEver, func(c *config) *time.Duration { return &c.IdleExit })},
}, scheduleKeys...)

// joined is a key's name where no dot can be: in the environment and as a flag.
func (k key) joined(by string) string {
	return strings.NewReplacer(".", by, "_", by).Replace(k.name)
}

// keyCalled is the key of that name, joined by something unless that is "".
func keyCalled(name, by string) *key {
	i := slices.IndexFunc(keys, func(k key) bool {
		return k.name == name || by != "" && k.joined(by) == name
	})
	if i < 0 {
		return nil
	}
	return &keys[i]
}

func keyNames() string {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

func text(check func(string) error, to func(*config) *string) func(*config, any) error {
	return func(c *config, value any) error {
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("%v is not text in quotes", value)
		}
		if s != "" { // else as if it were not there
			if err := check(s); err != nil {
				return err
			}
		}
		*to(c) = s
		return nil
	}
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return fmt.Errorf("%.80q is not a URL like http://schoolserver:8000", s)
	}
	return nil
}

func checkSerial(s string) error {
	if why := wire.CheckName(s); why != "" {
		return fmt.Errorf("%.80q %s", s, why)
	}
	return nil
}

func checkUUID(s string) error {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return fmt.Errorf("%.80q is not up to 64 letters and digits", s)
	}
	return nil
}

func checkNick(s string) error {
	if !utf8.ValidString(s) || len(s) > 256 || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%.80q is not a name", s)
	}
	return nil
}

func checkKey(s string) error {
	if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(s)); err != nil || len(strings.TrimSpace(string(rest))) > 0 {
		return fmt.Errorf("%.60q is not one line of an OpenSSH public key", s)
	}
	return nil
}

const forEver = time.Duration(1<<63 - 1)

func within(least, most time.Duration, to func(*config) *time.Duration) func(*config, any) error {
	return func(c *config, value any) error {
		d, err := duration(value)
		if err != nil {
			return err
		}
		if d < least || d > most {
			return fmt.Errorf("%v is not between %v and %v", d, least, most)
		}
		*to(c) = d
		return nil
	}
}

// duration takes "2m", and 0 as a number too.
func duration(value any) (time.Duration, error) {
	var d time.Duration
	err := errors.New("")
	switch v := value.(type) {
	case string:
		if d, err = time.ParseDuration(strings.TrimSpace(v)); err == nil && d < 0 {
			err = errors.New("")
		}
	case int64:
		if v == 0 {
			err = nil
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%.80q is not a time like \"2m\" or \"90s\", or 0", fmt.Sprint(value))
	}
	return d, nil
}
