package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	gotoml "github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"github.com/sugarlabs/xo-backupd/schedule"
)

const (
	systemFile = "/etc/xo-backupd/config.toml"
	envPrefix  = "XO_BACKUPD_"
	delim      = "."
)

// config is what the program runs with. What is empty is found as Sugar finds it.
type config struct {
	Server, Registration, DeploymentKey string
	Serial, UUID, Nick                  string
	IdleExit                            time.Duration
	Schedule                            schedule.Settings

	getenv func(string) string
}

// usageError is a mistake in how the program was called or, if asked is set, no
// mistake but a question about it.
type usageError struct{ asked, mistake string }

func (e *usageError) Error() string { return e.mistake }

// loadConfig reads defaults, files, environment and flags, the later ones
// stronger. Whatever is wrong is an error that names the key and where it stands.
func loadConfig(args, environ []string) (*config, error) {
	flags, files, err := parseFlags(args)
	if err != nil {
		return nil, err
	}
	getenv := lookup(environ)
	all := koanf.New(delim)
	if len(files) == 0 {
		files = []string{systemFile}
		if dir, err := xdg(getenv, "XDG_CONFIG_HOME", ".config"); err == nil {
			files = append(files, filepath.Join(dir, "xo-backupd", "config.toml"))
		}
	}
	for _, name := range files {
		err := add(all, name, file.Provider(name), toml.Parser())
		var wrong *gotoml.DecodeError
		switch {
		case errors.Is(err, fs.ErrNotExist) && !flags.Changed("config"):
		case errors.As(err, &wrong):
			line, column := wrong.Position()
			return nil, fmt.Errorf("%s: line %d, column %d: %w", name, line, column, err)
		case err != nil:
			return nil, err
		}
	}
	if err := add(all, "environment", environment(environ), nil); err != nil {
		return nil, err
	}
	if err := add(all, "command line", settings(flags), nil); err != nil {
		return nil, err
	}
	cfg := &config{IdleExit: defaultIdleExit, Schedule: schedule.Default(), getenv: getenv}
	for _, k := range keys {
		if all.Exists(k.name) {
			_ = k.set(cfg, all.Get(k.name)) // add has tried
		}
	}
	if err := cfg.Schedule.Check(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return cfg, nil
}

// add checks what one source says and lays it over what is known.
func add(all *koanf.Koanf, source string, p koanf.Provider, parser koanf.Parser) error {
	one := koanf.New(delim)
	if err := one.Load(p, parser); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	values := one.All()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		known := keyCalled(name, "")
		if known == nil {
			return fmt.Errorf("%s: there is no key %q; there are: %s", source, name, keyNames())
		}
		if err := known.set(&config{}, values[name]); err != nil {
			return fmt.Errorf("%s: %s: %w", source, name, err)
		}
	}
	return all.Merge(one)
}

// environment takes XO_BACKUPD_SERVER for server, XO_BACKUPD_SCHEDULE_QUIET for
// schedule.quiet and so on.
func environment(environ []string) koanf.Provider {
	return env.Provider(delim, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			name = strings.ToLower(strings.TrimPrefix(name, envPrefix))
			if k := keyCalled(name, "_"); k != nil {
				name = k.name
			}
			return name, value
		},
	})
}

// settings are the flags that stand for keys.
func settings(flags *pflag.FlagSet) koanf.Provider {
	return posflag.ProviderWithFlag(flags, delim, nil, func(f *pflag.Flag) (string, any) {
		k := keyCalled(f.Name, "-")
		if !f.Changed || k == nil {
			return "", nil
		}
		return k.name, f.Value.String()
	})
}

func parseFlags(args []string) (flags *pflag.FlagSet, files []string, err error) {
	flags = pflag.NewFlagSet("xo-backupd", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {}
	flags.StringArrayVar(&files, "config", nil, "read this `FILE` instead of "+systemFile+" and\n$XDG_CONFIG_HOME/xo-backupd/config.toml")
	for _, k := range keys {
		flags.String(k.joined("-"), "", k.help)
	}
	showVersion := flags.Bool("version", false, "print the version")
	help := flags.BoolP("help", "h", false, "print this")
	switch err := flags.Parse(args); {
	case err != nil:
		return nil, nil, &usageError{mistake: err.Error()}
	case *help:
		return nil, nil, &usageError{asked: helpText(flags)}
	case *showVersion:
		return nil, nil, &usageError{asked: "xo-backupd " + version + "\n"}
	case flags.NArg() > 0:
		return nil, nil, &usageError{mistake: fmt.Sprintf("there is no argument %q", flags.Arg(0))}
	}
	return flags, files, nil
}

func helpText(flags *pflag.FlagSet) string {
	return `xo-backupd backs this laptop's Journal up to the school server and brings it back.

The session bus starts it when somebody calls org.laptop.Backup; the command
xo-backup does, and so does Sugar. It ends by itself when it has nothing to do.

Usage: xo-backupd [flags]

` + flags.FlagUsages() + `
Every key but --config can also stand in a configuration file (idle_exit = "2m",
schedule.quiet = "22:00-06:00"), or in the environment (XO_BACKUPD_IDLE_EXIT=2m,
XO_BACKUPD_SCHEDULE_QUIET=22:00-06:00). What is not set is found as Sugar finds it.
The profile is found through SUGAR_HOME and SUGAR_PROFILE.
`
}

// lookup is os.Getenv for a given environment.
func lookup(environ []string) func(string) string {
	return func(name string) string {
		for _, line := range environ {
			if value, ok := strings.CutPrefix(line, name+"="); ok {
				return value
			}
		}
		return ""
	}
}
