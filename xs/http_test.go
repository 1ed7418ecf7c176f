package xs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

func getJSON(t testing.TB, url string, status int, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil || resp.StatusCode != status {
		t.Errorf("%s: %s %v", url, resp.Status, err)
	}
}

func TestCheck(t *testing.T) {
	b := newBed(t)
	get := func(path string) (int, string, string) {
		t.Helper()
		resp, err := http.Get("http://" + b.http + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), resp.Header.Get("Retry-After")
	}
	long := strings.Repeat("A", 4<<10)
	for _, test := range []struct {
		path   string
		status int
		body   string // "" stands for any
	}{
		{"/backup/1/available/SHC00000001", 200, ""},
		{"/backup/1/available/SHC00000002", 403, ""},
		{"/backup/1/available/SHF00000000", 403, ""},
		{"/backup/1/available/..%2f..%2fetc", 400, ""},
		{"/backup/1/available/a%00b", 400, ""},
		{"/backup/1/available/" + long, 400, ""},
		{"/backup/3/available/SHC00000001", 404, "1,2"},
		{"/backup/0/available/SHC00000001", 404, "1,2"},
		{"/backup/x", 404, "1,2"},
		{"/backup/1/available/", 404, "1,2"},
		{"/backup/2", 200, ""},
		{"/", 404, ""},
	} {
		status, body, _ := get(test.path)
		if status != test.status || test.body != "" && body != test.body {
			t.Errorf("%.60s: %d %.200q", test.path, status, body)
		}
		if strings.HasPrefix(test.path, "/backup/1/available/S") && body != "" {
			t.Errorf("%s: %q", test.path, body)
		}
	}
	var a wire.Availability
	getJSON(t, "http://"+b.http+"/backup/2/available/SHC00000001", 200, &a)
	if !a.Available {
		t.Errorf("%+v", a)
	}
	getJSON(t, "http://"+b.http+"/backup/2/available/SHC00000002", 403, &a)
	if a.Available || a.Code != wire.RefusedNotRegistered || a.Reason == "" {
		t.Errorf("%+v", a)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b.start(func(c *Config) { c.MinFreeMB = 1 << 40 })
	if status, _, retry := get("/backup/1/available/SHC00000001"); status != 503 || retry != "300" {
		t.Errorf("%d %s", status, retry)
	}
	getJSON(t, "http://"+b.http+"/backup/2/available/SHC00000001", 503, &a)
	if a.Available || a.Code != wire.RefusedFull || a.RetryAfter != 300 {
		t.Errorf("%+v", a)
	}
}

func TestRegistration(t *testing.T) {
	b := newBed(t)
	key := authorizedKey(newKey(t).PublicKey())
	base := strings.Fields(key)[1]
	for name, test := range map[string]struct {
		params []any
		ok     bool
	}{
		"new":          {[]any{"SHC00000005", "Amara", "u5", base}, true},
		"again":        {[]any{"SHC00000005", "Amara", "u5", base}, true},
		"other key":    {[]any{"SHC00000001", "Eve", "u1", base}, false},
		"climbs":       {[]any{"../../etc", "Eve", "u1", authorizedKey(newKey(t).PublicKey())}, false},
		"NUL":          {[]any{"SHC\x00", "Eve", "u1", authorizedKey(newKey(t).PublicKey())}, false},
		"long serial":  {[]any{strings.Repeat("A", 4<<10), "Eve", "u1", base}, false},
		"long nick":    {[]any{"SHC6", strings.Repeat("A", 4<<10), "u1", authorizedKey(newKey(t).PublicKey())}, false},
		"no key":       {[]any{"SHC00000007", "Eve", "u1", ""}, false},
		"bad key":      {[]any{"SHC00000007", "Eve", "u1", "AAAAB3NzaC1kc3MAAACB"}, false},
		"says nothing": {[]any{"SHF00000000", "Eve", "00000000-0000-0000-0000-000000000000", authorizedKey(newKey(t).PublicKey())}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "again" || name == "other key" {
				b.tryRegister("SHC00000005", "Amara", "u5", base)
			}
			if name == "other key" { // a key that nobody has yet
				test.params[3] = authorizedKey(newKey(t).PublicKey())
			}
			answer := b.tryRegister(test.params...)
			if (answer["success"] == "OK") != test.ok {
				t.Errorf("%v", answer)
			}
			if said, _ := answer["error"].(string); !test.ok && (said == "" || len(said) > 300) {
				t.Errorf("%v", answer)
			}
			t.Log(answer)
		})
	}
	for name, body := range map[string]string{"not XML": "hello", "other method": call(t, "system.listMethods"),
		"three": call(t, "register", "a", "b", "c"), "numbers": call(t, "register", 1, 2, 3, 4), "huge": strings.Repeat("<a>", 1<<20)} {
		resp, err := http.Post("http://"+b.registration+"/", "text/xml", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_, err = wire.DecodeResponse(resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if c, err := b.dial("SHC00000005", b.owner); err == nil {
		c.Close()
		t.Error("the wrong key opens SHC00000005")
	}
	if c, err := b.dial(b.account, b.owner); err != nil {
		t.Errorf("the first key no longer opens its account: %v", err)
	} else {
		c.Close()
	}
}

func call(t testing.TB, method string, params ...any) string {
	t.Helper()
	b, err := wire.EncodeCall(method, params...)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// apiClient speaks HTTP over one channel.
func (b *bed) apiClient(c *ssh.Client) *http.Client {
	b.t.Helper()
	e := b.exec(c, "api")
	a, err := e.ask(wire.Hello{Version: wire.Version})
	if err != nil || a.Action != wire.ActionServe {
		b.t.Fatalf("%+v %v", a, err)
	}
	ours, theirs := net.Pipe()
	go func() { io.Copy(e.in, theirs); e.Close() }()
	go func() { io.Copy(theirs, e.out); theirs.Close() }()
	b.t.Cleanup(func() { ours.Close() })
	return &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}}
}

// keyRequest asks for the key to be let in, over that connection.
func (b *bed) keyRequest(c *ssh.Client, key ssh.Signer, serial, comment string) wire.KeyRequest {
	b.t.Helper()
	k := wire.KeyRequest{Key: authorizedKey(key.PublicKey()) + comment, Serial: serial}
	proof, err := key.Sign(rand.Reader, wire.KeyProof(c.SessionID(), c.User(), k.Key))
	if err != nil {
		b.t.Fatal(err)
	}
	k.Proof = base64.StdEncoding.EncodeToString(ssh.Marshal(proof))
	return k
}

func TestAPI(t *testing.T) {
	b := newBed(t)
	c := b.client()
	h := b.apiClient(c)
	ask := func(method, path string, body, v any) (int, []byte) {
		t.Helper()
		var r io.Reader
		if body != nil {
			j, _ := json.Marshal(body)
			r = bytes.NewReader(j)
		}
		req, err := http.NewRequest(method, "http://xs"+path, r)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.Do(req)
		if err != nil {
			t.Fatalf("%s %.60s: %v", method, path, err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if v != nil {
			if err := json.Unmarshal(answer, v); err != nil {
				t.Errorf("%s %s: %q %v", method, path, answer, err)
			}
		}
		return resp.StatusCode, answer
	}
	var list []wire.Snapshot
	if status, _ := ask("GET", "/snapshots", nil, &list); status != 200 || list == nil || len(list) != 0 {
		t.Errorf("%d %v", status, list)
	}
	var saved wire.SavedAnswer
	if status, _ := ask("POST", "/saved", wire.SavedRequest{}, &saved); status != 200 || saved.UIDs == nil {
		t.Errorf("%d %v", status, saved)
	}
	dir := journal(t, 12)
	if o := b.backup(c, dir); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	writeEntry(t, dir, 1, "changed", []byte("new"))
	second := b.backup(c, dir)
	ask("GET", "/snapshots", nil, &list)
	if len(list) != 2 || list[0].ID != second.snapshot.ID || list[0].Seq != 2 {
		t.Errorf("%+v", list)
	}
	var one wire.Snapshot
	for _, ref := range []string{"latest", list[0].ID} {
		if ask("GET", "/snapshots/"+ref, nil, &one); one != list[0] {
			t.Errorf("%s: %+v", ref, one)
		}
	}
	var path wire.RestorePath
	if ask("GET", "/snapshots/latest/restore", nil, &path); path.Path != "snapshots/"+list[0].ID {
		t.Errorf("%+v", path)
	}
	_, lines := ask("GET", "/snapshots/latest/entries", nil, nil)
	versions := map[string]string{}
	for line := range bytes.Lines(lines) {
		var e wire.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		versions[e.UID] = e.Version
	}
	if len(versions) != 12 {
		t.Errorf("%d entries:\n%s", len(versions), lines)
	}
	versions[string(uid(3))] = "another"
	if ask("POST", "/saved", wire.SavedRequest{Entries: versions}, &saved); len(saved.UIDs) != 11 {
		t.Errorf("%+v", saved)
	}
	for n, kind := range map[int]string{1: ".data", 7: ".data", 2: ".cjson"} {
		status, got := ask("GET", "/snapshots/latest/entries/"+string(uid(n))+kind, nil, nil)
		e, raw, err := datastore.ReadEntry(os.DirFS(dir), uid(n))
		if err != nil {
			t.Fatal(err)
		}
		if status != 200 || kind == ".data" && sha256.Sum256(got) != e.Data.SHA256 || kind == ".cjson" && !bytes.Equal(got, raw) {
			t.Errorf("%d%s: %d, %d bytes", n, kind, status, len(got))
		}
	}
	long := strings.Repeat("A", 4<<10)
	for _, test := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"GET", "/snapshots/2020-01-01T00-00-00Z", nil, 404},
		{"GET", "/snapshots/..%2f..%2fetc", nil, 400},
		{"GET", "/snapshots/a%00b", nil, 400},
		{"GET", "/snapshots/" + long, nil, 400},
		{"GET", "/snapshots/latest/entries/" + string(uid(99)) + ".cjson", nil, 404},
		{"GET", "/snapshots/latest/entries/" + string(uid(99)) + ".xoj", nil, 404},
		{"GET", "/snapshots/latest/entries/" + string(uid(1)) + ".zip", nil, 404},
		{"GET", "/snapshots/2020-01-01T00-00-00Z/entries/" + string(uid(1)) + ".xoj", nil, 404},
		{"GET", "/snapshots/latest/entries/..%2f..%2faccount.xoj", nil, 400},
		{"GET", "/snapshots/latest/entries/" + string(uid(0)) + ".data", nil, 404},
		{"GET", "/snapshots/latest/entries/..%2f..%2faccount.json", nil, 400},
		{"GET", "/", nil, 404},
		{"DELETE", "/snapshots/latest", nil, 404},
		{"POST", "/keys", wire.KeyRequest{Key: "nonsense", Serial: "SHC00000001"}, 400},
		{"POST", "/keys", wire.KeyRequest{Key: authorizedKey(b.owner.PublicKey()), Serial: "../"}, 400},
		{"POST", "/keys", "text", 400},
	} {
		var no wire.Refusal
		status, _ := ask(test.method, test.path, test.body, &no)
		if status != test.status || no.Code == "" || no.Message == "" || len(no.Message) > 300 {
			t.Errorf("%s %.60s: %d %+v", test.method, test.path, status, no)
		}
	}
	// A key of our own, enrolled by the owner's, opens sessions; and enrols another.
	key := newKey(t)
	request := b.keyRequest(c, key, "SHC00000001", " comment")
	// Only by who holds it: what is another's would lead that one here.
	for name, wrong := range map[string]wire.KeyRequest{
		"none":               {Key: request.Key, Serial: request.Serial},
		"nonsense":           {Key: request.Key, Serial: request.Serial, Proof: "AAAA"},
		"of another key":     {Key: request.Key, Serial: request.Serial, Proof: b.keyRequest(c, newKey(t), "SHC00000001", "").Proof},
		"of another session": {Key: request.Key, Serial: request.Serial, Proof: b.keyRequest(b.client(), key, "SHC00000001", " comment").Proof},
		"of another's key":   {Key: authorizedKey(newKey(t).PublicKey()), Serial: request.Serial, Proof: request.Proof},
	} {
		var no wire.Refusal
		if status, _ := ask("POST", "/keys", wrong, &no); status != 400 || no.Code != wire.RefusedInput {
			t.Errorf("a proof that is %s: %d %+v", name, status, no)
		}
	}
	if status, body := ask("POST", "/keys", request, nil); status != 204 {
		t.Fatalf("%d %s", status, body)
	}
	own, err := b.dial(b.account, key)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if o := b.backup(own, dir); !o.confirmed {
		t.Errorf("%+v", o)
	}
}

// An account that goes while its laptop is connected, or the key alone: the
// laptop is told to register again, whatever it asks for.
func TestNotRegisteredAnyMore(t *testing.T) {
	for name, remove := range map[string]func(account string) error{
		"account": func(dir string) error { return os.RemoveAll(dir) },
		"key": func(dir string) error {
			b, err := os.ReadFile(dir + "/account.json")
			if err != nil {
				return err
			}
			b = bytes.Replace(b, []byte(`"ssh-ed25519 `), []byte(`"ssh-ed25519 x`), 1)
			return os.WriteFile(dir+"/account.json", b, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			c := b.client()
			if o := b.backup(c, journal(t, 2)); o.refusal != nil {
				t.Fatal(o.refusal)
			}
			h := b.apiClient(c)
			if err := remove(b.root + "/" + b.account); err != nil {
				t.Fatal(err)
			}
			if o := b.backup(c, journal(t, 3)); o.refusal == nil || o.refusal.Code != wire.RefusedNotRegistered {
				t.Errorf("backup: %+v", o.refusal)
			}
			if _, no := b.restore(c, "snapshots/latest", t.TempDir()+"/x"); no == nil || no.Code != wire.RefusedNotRegistered {
				t.Errorf("restore: %+v", no)
			}
			if a, err := b.exec(c, "api").ask(wire.Hello{Version: wire.Version}); err != nil || a.Error == nil || a.Error.Code != wire.RefusedNotRegistered {
				t.Errorf("api: %+v %v", a, err)
			}
			if name == "account" { // an api session that is open already
				resp, err := h.Get("http://xs/snapshots")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				var no wire.Refusal
				if err := json.NewDecoder(resp.Body).Decode(&no); err != nil || resp.StatusCode != 403 || no.Code != wire.RefusedNotRegistered {
					t.Errorf("%s %+v %v", resp.Status, no, err)
				}
			}
		})
	}
}

// A machine that only reads is told so when it backs up.
func TestReadOnly(t *testing.T) {
	b := newBed(t)
	c := b.client()
	h := b.apiClient(c)
	dir := journal(t, 2)
	if o := b.backup(c, dir); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	older, newer := newKey(t), newKey(t)
	for i, key := range []ssh.Signer{older, newer} {
		j, _ := json.Marshal(b.keyRequest(c, key, fmt.Sprintf("SHC0000001%d", i), ""))
		resp, err := h.Post("http://xs/keys", "application/json", bytes.NewReader(j))
		if err != nil || resp.StatusCode != 204 {
			t.Fatal(resp, err)
		}
	}
	for key, want := range map[ssh.Signer]string{older: wire.RefusedReadOnly, newer: ""} {
		k, err := b.dial(b.account, key)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		got := ""
		if o := b.backup(k, dir); o.refusal != nil {
			got = o.refusal.Code
		}
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
		if _, no := b.restore(k, "snapshots/latest", t.TempDir()+"/x"); no != nil {
			t.Error(no)
		}
	}
}
