package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/schedule"
)

const someKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl deployment"

func write(t *testing.T, contents string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(name, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestConfigOrder: defaults, file, environment, flags.
func TestConfigOrder(t *testing.T) {
	home := t.TempDir()
	own := filepath.Join(home, ".config", "xo-backupd")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(filepath.Join(own, "config.toml"), []byte(`
server = "http://file"
serial = "FILE"
nick = "Zoë \"Z\""
idle_exit = 0
deployment_key = "`+someKey+`"
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	environ := []string{"HOME=" + home, "XO_BACKUPD_SERIAL=ENV", "XO_BACKUPD_UUID=ENV", "XO_BACKUPD=1", "OTHER=x"}
	cfg, err := loadConfig([]string{"--uuid", "FLAG", "--registration=http://flag:8080/"}, environ)
	if err != nil {
		t.Fatal(err)
	}
	want := config{Server: "http://file", Registration: "http://flag:8080/", DeploymentKey: someKey, Serial: "ENV", UUID: "FLAG", Nick: `Zoë "Z"`}
	if cfg.getenv("OTHER") != "x" {
		t.Error("the environment is lost")
	}
	cfg.getenv = nil
	if got := *cfg; got.Server != want.Server || got.Registration != want.Registration || got.DeploymentKey != want.DeploymentKey ||
		got.Serial != want.Serial || got.UUID != want.UUID || got.Nick != want.Nick || got.IdleExit != 0 {
		t.Errorf("%+v", got)
	}
	// --config is instead of the usual files, and several can be given.
	cfg, err = loadConfig([]string{"--config", write(t, `server = "http://a"`), "--config", write(t, `serial = "B"`)}, environ[:1])
	if err != nil || cfg.Server != "http://a" || cfg.Serial != "B" || cfg.Nick != "" || cfg.IdleExit != 2*time.Minute {
		t.Errorf("%+v %v", cfg, err)
	}
	if cfg, err = loadConfig(nil, []string{"HOME=/nonexistent"}); err != nil || cfg.IdleExit != 2*time.Minute {
		t.Errorf("%+v %v", cfg, err)
	}
}

// TestScheduleConfig: as numbers and words in a file, and as text elsewhere.
func TestScheduleConfig(t *testing.T) {
	cfg, err := loadConfig(nil, []string{"HOME=/nonexistent"})
	if err != nil || cfg.Schedule != schedule.Default() {
		t.Errorf("%+v %v", cfg, err)
	}
	name := write(t, `
[schedule]
enabled = false
every = "12h"
spread = 0
quiet = "22:00-06:00"
battery = 50
metered = true
load = 2
`)
	cfg, err = loadConfig([]string{"--config", name, "--schedule-spread=30m"},
		[]string{"XO_BACKUPD_SCHEDULE_FROM=07:30", "XO_BACKUPD_SCHEDULE_BATTERY=40", "XO_BACKUPD_SCHEDULE_ENABLED=true", "XO_BACKUPD_SCHEDULE_LOAD=0.5"})
	want := schedule.Settings{
		Enabled: true, Every: 12 * time.Hour, From: 7*time.Hour + 30*time.Minute, Spread: 30 * time.Minute,
		Quiet: schedule.Hours{From: 22 * time.Hour, To: 6 * time.Hour}, Battery: 40, Metered: true, Load: 0.5,
	}
	if err != nil || cfg.Schedule != want {
		t.Errorf("%+v %v", cfg, err)
	}
}

// TestWrongConfig: each mistake is an error that names the key and the place.
func TestWrongConfig(t *testing.T) {
	for _, c := range []struct{ contents, want string }{
		{`servr = "http://x"`, `there is no key "servr"; there are: server, `},
		{"[server]\nurl = \"http://x\"", `there is no key "server.url"`},
		{"[schedule]\ndayly = \"14:00\"", `there is no key "schedule.dayly"`},
		{`server = 7`, "server: 7 is not text"},
		{`server = ["http://a"]`, "server: [http://a] is not text"},
		{`server = "schoolserver"`, `server: "schoolserver" is not a URL`},
		{`server = "ftp://x"`, `server: "ftp://x" is not a URL`},
		{`server = "http://"`, `server: "http://" is not a URL`},
		{`server = "http://user:secret@x"`, `is not a URL`},
		{`registration = "http://[::1"`, "registration: "},
		{`serial = "../../etc"`, "serial: "},
		{`serial = "SHC.1"`, "letters, digits, - and _ are allowed"}, // as the XS would say, much later
		{`serial = "_SHC1"`, "serial: "},
		{`uuid = "a/b"`, "uuid: "},
		{`serial = "` + strings.Repeat("x", 4096) + `"`, "serial: "},
		{"nick = \"a\\u0000b\"", "nick: "},
		{`uuid = "a b"`, "uuid: "},
		{`deployment_key = "ssh-ed25519 nonsense"`, "deployment_key: "},
		{`deployment_key = "` + someKey + `\n` + someKey + `"`, "deployment_key: "},
		{`idle_exit = "2"`, `idle_exit: "2" is not a time like`},
		{`idle_exit = 120`, `idle_exit: "120" is not a time like`},
		{`idle_exit = "-2m"`, `idle_exit: "-2m" is not`},
		{`idle_exit = true`, `idle_exit: "true" is not`},
		{"[schedule]\nenabled = \"sometimes\"", `schedule.enabled: "sometimes" is neither true nor false`},
		{`schedule.metered = 1`, `schedule.metered: "1" is neither`},
		{`schedule.every = "1m"`, "schedule.every: 1m0s is not between 1h0m0s and 744h0m0s"},
		{`schedule.every = "daily"`, `schedule.every: "daily" is not a time`},
		{`schedule.from = 8`, `schedule.from: "8" is not a time of day like "08:00"`},
		{`schedule.from = 08:00:00`, `schedule.from: "08:00:00" is not a time of day`}, // TOML knows times
		{`schedule.spread = 3`, `schedule.spread: "3" is not a time`},
		{`schedule.quiet = "22:00"`, `schedule.quiet: "22:00" are not hours like "22:00-06:00"`},
		{`schedule.battery = 101`, `schedule.battery: "101" is not a number from 0 to 100`},
		{`schedule.battery = "nan"`, `schedule.battery: "nan" is not`},
		{`schedule.load = -1`, `schedule.load: "-1" is not a number`},
		{"server = \"http://a\"\nserver = ", "line 2, column "},
		{"\xff\xfe", ""},
	} {
		name := write(t, c.contents)
		_, err := loadConfig([]string{"--config", name}, nil)
		if err == nil || !strings.Contains(err.Error(), name+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q: %v", c.contents, err)
		}
		var usage *usageError
		if errors.As(err, &usage) {
			t.Errorf("%.80q is a usage error", c.contents)
		}
	}
	for _, c := range []struct {
		args, environ []string
		want          string
	}{
		{[]string{"--config", "/nonexistent/x"}, nil, "/nonexistent/x"},
		{[]string{"--config", "/"}, nil, "/: "},
		{nil, []string{"XO_BACKUPD_SERVR=x"}, `environment: there is no key "servr"`},
		{nil, []string{"XO_BACKUPD_SCHEDULE_NONSENSE=x"}, `environment: there is no key "schedule_nonsense"`},
		{nil, []string{"XO_BACKUPD_SCHEDULE_LOAD=much"}, `environment: schedule.load: "much" is not`},
		{[]string{"--schedule-quiet=always"}, nil, `command line: schedule.quiet: "always" are not`},
		{[]string{"--schedule-spread=24h"}, nil, `configuration: schedule.spread: 24h0m0s is not shorter than schedule.every, 24h0m0s`},
		{nil, []string{"XO_BACKUPD_IDLE_EXIT=soon"}, `environment: idle_exit: "soon" is not`},
		{[]string{"--server=x"}, nil, `command line: server: "x" is not a URL`},
		{[]string{"--sever=x"}, nil, "unknown flag: --sever"},
		{[]string{"start"}, nil, `no argument "start"`},
		{[]string{"--config"}, nil, "--config"},
	} {
		if _, err := loadConfig(c.args, c.environ); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v: %v", c.args, c.environ, err)
		}
	}
}
