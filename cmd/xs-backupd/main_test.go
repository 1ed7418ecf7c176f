package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

func TestMain(m *testing.M) {
	transfer.Child{Allow: datastore.CheckFile}.Main()
	os.Exit(m.Run())
}

// call runs the program and answers its exit status and what it said.
func call(t *testing.T, environ []string, args ...string) (status int, out, log string) {
	t.Helper()
	var o, l bytes.Buffer
	status = run(t.Context(), args, environ, &o, &l)
	return status, o.String(), l.String()
}

func TestUsage(t *testing.T) {
	root := t.TempDir()
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	long := strings.Repeat("A", 4<<10)
	for _, test := range []struct {
		args    []string
		environ []string
		status  int
		says    string // on standard error, or on standard output if status is 0
	}{
		{[]string{"--help"}, nil, 0, "xs-backupd serve"},
		{[]string{"serve", "--help"}, nil, 0, "--max-sessions"},
		{[]string{"--version"}, nil, 0, "xs-backupd version"},
		{nil, nil, 2, "a verb is wanted"},
		{[]string{"frobnicate"}, nil, 2, `"frobnicate"`},
		{[]string{"accounts", "--frob"}, nil, 2, "--frob"},
		{[]string{"accounts", "extra"}, nil, 2, `"extra"`},
		{[]string{"snapshots"}, nil, 2, "ACCOUNT is missing"},
		{[]string{"snapshots", "../x", "--root", root}, nil, 2, `"../x"`},
		{[]string{"snapshots", long, "--root", root}, nil, 2, "4096 bytes"},
		{[]string{"verify", "a\x00b", "--root", root}, nil, 2, `\x00`},
		{[]string{"snapshots", "SHC9", "--root", root}, nil, 1, "SHC9"},
		{[]string{"verify", "SHC9", "--root", root}, nil, 1, "SHC9"},
		{[]string{"accounts", "--root", root + "/nowhere"}, nil, 1, "nowhere"},
		{[]string{"--root", root, "accounts"}, nil, 0, "ACCOUNT"},
		{[]string{"accounts", "--root", root, "--json"}, nil, 0, "[]"},
		{[]string{"accounts"}, []string{"XS_BACKUPD_ROOT=" + root}, 0, "ACCOUNT"},
		{[]string{"accounts"}, []string{"XS_BACKUPD_ROOT=/nowhere", "XS_BACKUPD_FROB=1"}, 2, "frob"},
		{[]string{"accounts"}, []string{"XS_BACKUPD_MAX_LOAD=NaN"}, 2, "max_load"},
		{[]string{"accounts"}, []string{"XS_BACKUPD_MAX_SESSIONS=0"}, 2, "max_sessions"},
		{[]string{"accounts", "--config", file("root = \"" + root + "\"")}, nil, 0, "ACCOUNT"},
		{[]string{"accounts", "--config", file("root = \"/nowhere\""), "--root", root}, nil, 0, "ACCOUNT"},
		{[]string{"accounts", "--config", file("root = \"/nowhere\"")}, []string{"XS_BACKUPD_ROOT=" + root}, 0, "ACCOUNT"},
		{[]string{"accounts", "--config", "/nowhere.toml"}, nil, 2, "/nowhere.toml"},
		{[]string{"accounts", "--config", file("max_session = 1")}, nil, 2, "max_session"},
		{[]string{"accounts", "--config", file("[limits]\nmax_sessions = 1")}, nil, 2, "limits.max_sessions"},
		{[]string{"accounts", "--config", file("max_sessions = true")}, nil, 2, "max_sessions"},
		{[]string{"accounts", "--config", file("max_sessions = 1.5")}, nil, 2, "max_sessions"},
		{[]string{"accounts", "--config", file("max_files = 99999999999999999999")}, nil, 2, "config.toml"},
		{[]string{"accounts", "--config", file("root = 5")}, nil, 2, "root"},
		{[]string{"accounts", "--config", file("reflash = \"never\"")}, nil, 2, "allowed are automatic, approval and code"},
		{[]string{"accounts"}, []string{"XS_BACKUPD_REFLASH=code", "XS_BACKUPD_ROOT=" + root}, 0, "ACCOUNT"},
		{[]string{"accounts", "--config", file("drain = 20")}, nil, 2, "drain"},
		{[]string{"accounts", "--config", file("drain = \"-1s\"")}, nil, 2, "drain"},
		{[]string{"accounts", "--config", file("max_load = \"high\"")}, nil, 2, "max_load"},
		{[]string{"accounts", "--config", file("not toml")}, nil, 2, "config.toml"},
		{[]string{"accounts", "--config", file("max_load = 3\ndrain = \"5s\"\nroot = \"" + root + "\"")}, nil, 0, "ACCOUNT"},
		{[]string{"serve", "--root", root, "--ssh", "nowhere:x"}, nil, 1, "ssh"},
		{[]string{"serve", "--root", root, "--retry-after", "soon"}, nil, 2, "retry_after"},
	} {
		status, out, log := call(t, test.environ, test.args...)
		said := log
		if status == 0 {
			said = out
		}
		if status != test.status || !strings.Contains(said, test.says) || len(log) > 500 {
			t.Errorf("%.100q: %d %s%s", test.args, status, out, log)
		}
	}
}

// Numbers have bounds: what would overflow as bytes or as a time is refused, and
// the error names key, value and range, wherever the number stands.
func TestBounds(t *testing.T) {
	root := t.TempDir()
	for _, test := range []struct{ key, value, allowed string }{
		{"max_sessions", "10001", "1 to 10000"},
		{"max_sessions", "-1", "1 to 10000"},
		{"max_load", "10001", "0.01 to 10000"},
		{"min_free_mb", "9223372036854775807", "0 to 1000000000000"},
		{"min_free_inodes", "-5", "0 to 1000000000000"},
		{"account_quota_mb", "17592186044416", "0 to 1000000000000"}, // 1<<64 bytes
		{"account_quota_mb", "99999999999999999999", "0 to 1000000000000"},
		{"max_files", "4611686018427387904", "1 to 100000000"},
		{"max_accounts", "10000001", "1 to 10000000"},
		{"max_connections", "0", "1 to 1000000"},
		{"max_unauthenticated", "1000001", "1 to 1000000"},
		{"session_timeout", "2562047h", "1s to 720h0m0s"},
		{"session_timeout", "99999999h", "1s to 720h0m0s"},
		{"retry_after", "25h", "1s to 24h0m0s"},
		{"handshake_timeout", "-1s", "1s to 1h0m0s"},
		{"keepalive", "1000000h", "100ms to 1h0m0s"},
		{"idle_timeout", "1ns", "100ms to 720h0m0s"},
		{"drain", "48h", "0s to 24h0m0s"},
	} {
		text := test.value
		if strings.Trim(text, "-.e0123456789") != "" {
			text = `"` + text + `"`
		}
		file := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(file, []byte("# bounds\n"+test.key+" = "+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		environ := []string{"XS_BACKUPD_" + strings.ToUpper(test.key) + "=" + test.value}
		for source, run := range map[string]func() (int, string, string){
			"file":        func() (int, string, string) { return call(t, nil, "status", "--root", root, "--config", file) },
			"environment": func() (int, string, string) { return call(t, environ, "status", "--root", root) },
		} {
			status, _, log := run()
			for _, want := range []string{test.key, strings.TrimSuffix(test.value, "h"), test.allowed} {
				if status != 2 || !strings.Contains(log, want) {
					t.Errorf("%s in the %s: %d %s", test.key, source, status, log)
				}
			}
		}
	}
}

// Serve prints one line when all three listen; the verbs work beside it, and
// after it.
func TestServe(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--root", root, "--http", "127.0.0.1:0", "--registration", "127.0.0.1:0",
			"--ssh", "127.0.0.1:0", "--min-free-mb", "0", "--max-load", "1000"}, nil, w, t.Output())
		w.Close()
	}()
	out := bufio.NewReader(r)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ HTTP, Registration, SSH string }
	if err := json.Unmarshal([]byte(line), &at); err != nil {
		t.Fatal(err)
	}
	key := "AAAAC3NzaC1lZDI1NTE5AAAAIIzAm0mzh2lSfKIaCwCx+yBg1Bf4hTMv0D3pIWCn4aQ2"
	body, err := wire.EncodeCall("register", "SHC00000001", "Ama\x1b[31mra", "u1", key)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+at.Registration, "text/xml", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	look := func(serving bool) {
		t.Helper()
		if status, out, log := call(t, nil, "accounts", "--root", root); status != 0 || !strings.Contains(out, "SHC00000001") || strings.Contains(out, "\x1b") {
			t.Errorf("accounts: %d %q %s", status, out, log)
		}
		var accounts []accountLine
		if _, out, _ := call(t, nil, "--root", root, "accounts", "--json"); json.Unmarshal([]byte(out), &accounts) != nil || len(accounts) != 1 || accounts[0].Keys != 1 {
			t.Errorf("accounts: %s", out)
		}
		if status, out, log := call(t, nil, "snapshots", "SHC00000001", "--json", "--root", root); status != 0 || strings.TrimSpace(out) != "[]" {
			t.Errorf("snapshots: %d %q %s", status, out, log)
		}
		if status, out, log := call(t, nil, "verify", "--root", root, "--json"); status != 0 || strings.TrimSpace(out) != "[]" {
			t.Errorf("verify: %d %q %s", status, out, log)
		}
		var lines []statusLine
		if _, out, _ := call(t, nil, "status", "--root", root, "--json"); json.Unmarshal([]byte(out), &lines) != nil || len(lines) != 1 || lines[0].Serving != serving || lines[0].Accounts != 1 {
			t.Errorf("status: %s", out)
		}
	}
	look(true)
	if status, _, log := call(t, nil, "serve", "--root", root, "--http", "127.0.0.1:0", "--registration", "127.0.0.1:0", "--ssh", "127.0.0.1:0"); status != 1 || !strings.Contains(log, "another") {
		t.Errorf("a second server: %d %s", status, log)
	}
	cancel()
	rest, _ := io.ReadAll(out)
	if status := <-ended; status != 0 || len(rest) > 0 {
		t.Errorf("serve ended with %d, and said %q", status, rest)
	}
	look(false)
}
