package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sugarlabs/xo-backupd/xs"
)

const (
	configFile = "/etc/xs-backupd/config.toml"
	envPrefix  = "XS_BACKUPD_"
)

func defaultRoot() string { return xs.Defaults().Root }

// fields lists the configuration's keys with their values' places.
func fields(c *xs.Config) map[string]reflect.Value {
	v := reflect.ValueOf(c).Elem()
	m := map[string]reflect.Value{}
	for i := range v.NumField() {
		m[v.Type().Field(i).Tag.Get("koanf")] = v.Field(i)
	}
	return m
}

// addFlags gives a verb a flag for each key that has none yet.
func addFlags(flags *pflag.FlagSet) {
	c := xs.Defaults()
	for key, v := range fields(&c) {
		if key != "root" {
			flags.String(strings.ReplaceAll(key, "_", "-"), "", fmt.Sprintf("%s (default %v)", about[key], v))
		}
	}
}

// about each key, for people.
var about = map[string]string{
	"http":                "address of the check that laptops make before a backup",
	"registration":        "address at which Sugar registers laptops",
	"ssh":                 "address of the sessions",
	"max_sessions":        "backups and restores at the same time",
	"max_load":            "load average, for each CPU, above which no backup begins",
	"min_free_mb":         "MB that stay free on the disk",
	"min_free_inodes":     "inodes that stay free on the disk",
	"account_quota_mb":    "MB of one copy of a Journal, 0 for any",
	"max_files":           "files and folders of one Journal as it travels",
	"max_accounts":        "accounts that registration makes",
	"reflash":             "how a laptop that is recognised is let in again: automatic, approval or code",
	"session_timeout":     "how long one session may take",
	"retry_after":         "how soon a laptop that was sent away may come again",
	"handshake_timeout":   "how long a connection may take to say who it is",
	"keepalive":           "how often a laptop has to show that it is there",
	"idle_timeout":        "how long a connection may rest",
	"max_connections":     "connections to each of the three addresses at the same time",
	"max_unauthenticated": "of those over ssh, those that have not said who they are",
	"drain":               "how long running sessions may go on after SIGTERM",
}

// config reads defaults, file, environment and flags, the later ones winning.
func (p *program) config(cmd *cobra.Command) (xs.Config, error) {
	c, err := p.load(cmd)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return c, &usageError{err}
	}
	return c, nil
}

func (p *program) load(cmd *cobra.Command) (xs.Config, error) {
	c := xs.Defaults()
	path, _ := cmd.Flags().GetString("config")
	named := path != ""
	if !named {
		path = configFile
	}
	k := koanf.New(".")
	err := k.Load(file.Provider(path), toml.Parser())
	if err != nil && (named || !errors.Is(err, fs.ErrNotExist)) {
		return c, fmt.Errorf("%s: %w", path, showLine(path, err))
	}
	if err := apply(&c, path, k); err != nil {
		return c, err
	}
	k = koanf.New(".")
	environ := env.Provider(".", env.Opt{
		Prefix:        envPrefix,
		EnvironFunc:   func() []string { return p.environ },
		TransformFunc: func(k, v string) (string, any) { return strings.ToLower(strings.TrimPrefix(k, envPrefix)), v },
	})
	if err := k.Load(environ, nil); err != nil {
		return c, err
	}
	if err := apply(&c, "environment", k); err != nil {
		return c, err
	}
	given := map[string]any{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "config" && f.Value.Type() == "string" {
			given[strings.ReplaceAll(f.Name, "-", "_")] = f.Value.String()
		}
	})
	k = koanf.New(".")
	if err := k.Load(confmap.Provider(given, "."), nil); err != nil {
		return c, err
	}
	return c, apply(&c, "command line", k)
}

// showLine adds the line of the file that the parser stumbled over, which it
// itself only counts, and what its key may be.
func showLine(path string, err error) error {
	var at interface{ Position() (row, column int) }
	if !errors.As(err, &at) {
		return err
	}
	row, _ := at.Position()
	b, _ := os.ReadFile(path)
	lines := strings.Split(string(b), "\n")
	if row < 1 || row > len(lines) {
		return err
	}
	line := strings.TrimSpace(lines[row-1])
	key, _, _ := strings.Cut(line, "=")
	return withRange(strings.TrimSpace(key), fmt.Errorf("line %d, %.80q: %w", row, line, err))
}

// withRange adds what the number of that key may be.
func withRange(key string, err error) error {
	if allowed := xs.Allowed(key); allowed != "" {
		return fmt.Errorf("%w; allowed is %s", err, allowed)
	}
	return err
}

// apply sets what k holds. The error names key, value and source.
func apply(c *xs.Config, source string, k *koanf.Koanf) error {
	known := fields(c)
	for _, key := range slices.Sorted(maps.Keys(k.All())) {
		field, ok := known[key]
		if !ok {
			return fmt.Errorf("%s: unknown key %.80q", source, key)
		}
		if err := set(field, k.Get(key)); err != nil {
			return withRange(key, fmt.Errorf("%s: %s = %.80q: %w", source, key, fmt.Sprint(k.Get(key)), err))
		}
	}
	return nil
}

// set takes a value of the file's own type, or text that says it.
func set(field reflect.Value, value any) error {
	text, isText := value.(string)
	switch field.Interface().(type) {
	case string:
		if !isText {
			return errors.New("text is wanted")
		}
		field.SetString(text)
		return nil
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New(`a time is wanted, like "90s" or "6h"`)
		}
		field.SetInt(int64(d))
		return nil
	case float64:
		f, ok := value.(float64)
		if n, isInt := value.(int64); isInt {
			f, ok = float64(n), true
		}
		if isText {
			var err error
			f, err = strconv.ParseFloat(text, 64)
			ok = err == nil
		}
		if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return errors.New("a number is wanted")
		}
		field.SetFloat(f)
		return nil
	}
	n, ok := value.(int64)
	if isText {
		var err error
		n, err = strconv.ParseInt(text, 10, 64)
		ok = err == nil
	}
	if !ok || field.OverflowInt(n) {
		return errors.New("a whole number is wanted")
	}
	field.SetInt(n)
	return nil
}
