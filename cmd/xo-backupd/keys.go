package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

const defaultIdleExit = 2 * time.Minute

// key is one that can be configured.
type key struct {
	name  string
	help  string
	check func(value any) error
}

var keys = []key{
	{"server", "`URL` of the school server (http://schoolserver)", text(checkURL)},
	{"registration", "`URL` of its registration service", text(checkURL)},
	{"serial", "`SERIAL` number of this laptop", text(checkSerial)},
	{"uuid", "`UUID` of this laptop", text(checkUUID)},
	{"nick", "`NAME` of its child", text(checkNick)},
	{"deployment_key", "public `KEY` (one line) whose certificates make a school server\ntrusted, instead of remembering the key of the first one met", text(checkKey)},
	{"idle_exit", "end after this `TIME` without work; 0: never (2m)", func(value any) error {
		_, err := duration(value)
		return err
	}},
}

func keyNames() string {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

func text(check func(string) error) func(any) error {
	return func(value any) error {
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("%v is not text in quotes", value)
		}
		if s == "" {
			return nil // as if it were not there
		}
		return check(s)
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
		return 0, fmt.Errorf("%.80q is not a time like \"2m\" or \"90s\" (0: never)", fmt.Sprint(value))
	}
	return d, nil
}
