package xs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

const anaUUID = "f9e8d7c6-1111-4222-8333-123456789abc"

// ana is her machine, which the bed has registered; other is another.
var (
	ana   = wire.ClaimRequest{Version: wire.Version, Serial: "SHC00000011", UUID: anaUUID, Nick: "Ana"}
	other = wire.ClaimRequest{Version: wire.Version, Serial: "SHC00000022", UUID: "0f1e2d3c-1111-4222-8333-123456789abc"}
)

// newClaimBed is a school server where Ana has backed up eight entries.
func newClaimBed(t *testing.T, change ...func(*Config)) *bed {
	t.Helper()
	b := newBed(t, change...)
	b.owner = newKey(t)
	b.account = b.register(ana.Serial, ana.UUID, b.owner.PublicKey())
	if o := b.backup(b.client(), anasJournal(t, 8)); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	return b
}

func anasJournal(t *testing.T, n int) string {
	t.Helper()
	dir := journal(t, n)
	text, err := (&datastore.Journal{Owner: datastore.Owner{Nick: "Ana", Color: "#FF0000,#00FF00", Group: "4B"}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	writeTreeFile(t, dir, "journal.cjson", text)
	return dir
}

// claim says one line as the user claim.
func (b *bed) claim(key ssh.Signer, ask string, req wire.ClaimRequest) wire.ClaimAnswer {
	b.t.Helper()
	c, err := b.dial(wire.ClaimUser, key)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	e := b.exec(c, wire.CommandClaim)
	defer e.Close()
	req.Ask = ask
	var a wire.ClaimAnswer
	if err := errors.Join(wire.WriteLine(e.in, req), wire.ReadLine(e.out, &a)); err != nil {
		b.t.Fatal(err)
	}
	if rest, _ := io.ReadAll(e.out); len(rest) > 0 {
		b.t.Errorf("more than a line: %q", rest)
	}
	return a
}

// may tells whether a key gets into Ana's account, and whether it may write there.
func (b *bed) may(key ssh.Signer) string {
	b.t.Helper()
	c, err := b.dial(b.account, key)
	if err != nil {
		return "nothing"
	}
	defer c.Close()
	e := b.exec(c, "backup")
	defer e.Close()
	a, err := e.ask(wire.BackupRequest{Version: wire.Version, Digest: "x"})
	switch {
	case err != nil || a.Error == nil:
		b.t.Fatalf("%+v %v", a, err)
	case a.Error.Code == wire.RefusedReadOnly:
		return "read"
	case a.Error.Code == wire.RefusedInput: // the digest: it would be taken
		return "write"
	}
	return a.Error.Code
}

func with(req wire.ClaimRequest, change func(*wire.ClaimRequest)) wire.ClaimRequest {
	change(&req)
	return req
}

func wants(req wire.ClaimRequest, account, code string) wire.ClaimRequest {
	return with(req, func(r *wire.ClaimRequest) { r.Account, r.Code = account, code })
}

// A laptop that was set up anew: it is told what there is, let in, brings it back
// and backs up again.
func TestClaimAfterReflash(t *testing.T) {
	b := newClaimBed(t)
	key := newKey(t)
	a := b.claim(key, wire.ClaimFind, ana)
	want := wire.Claimable{Account: b.account, Nick: "Ana", Color: "#FF0000,#00FF00", Group: "4B", Entries: 8, Claim: wire.ClaimAutomatic}
	if len(a.Backups) != 1 || a.Backups[0].LastBackup < time.Now().Unix()-60 || a.Backups[0].Bytes == 0 {
		t.Fatalf("%+v", a)
	}
	if got := a.Backups[0]; got.Account != want.Account || got.Nick != want.Nick || got.Color != want.Color || got.Group != want.Group ||
		got.Entries != want.Entries || got.Claim != want.Claim {
		t.Errorf("%+v", got)
	}
	if got := b.may(key); got != "nothing" {
		t.Errorf("it may %s", got)
	}
	for range 2 { // the answer may not have arrived
		if a := b.claim(key, wire.ClaimTake, wants(ana, b.account, "")); a.State != wire.ClaimGranted || a.Account != b.account || a.Error != nil {
			t.Fatalf("%+v", a)
		}
	}
	if got := b.may(key); got != "write" {
		t.Errorf("it may %s", got)
	}
	old := b.owner
	b.owner = key
	c := b.client()
	dir := filepath.Join(t.TempDir(), "x")
	if r, no := b.restore(c, "snapshots/latest", dir); no != nil || len(r.Kept) > 0 {
		t.Fatalf("%+v %v", r, no)
	}
	// What it has of its own pins what was there, until somebody has answered.
	if o := b.backup(c, anasJournal(t, 2)); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	pins := func() (n int) {
		t.Helper()
		status, body := b.api(c, http.MethodGet, "/snapshots", "")
		var list []wire.Snapshot
		if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK || len(list) != 2 || list[0].Pinned {
			t.Fatalf("%d %s %v", status, body, err)
		}
		for _, rec := range list {
			if rec.Pinned {
				n++
			}
		}
		return n
	}
	if pins() != 1 {
		t.Error("nothing is pinned")
	}
	if a := b.claim(newKey(t), wire.ClaimFind, ana); len(a.Backups) != 1 || a.Backups[0].Entries != 8 {
		t.Errorf("%+v", a)
	}
	for body, want := range map[string]int{`{"answer":"perhaps"}`: 400, `{"snapshot":"../x","answer":"restored"}`: 400, `[]`: 400} {
		if status, said := b.api(c, http.MethodPost, "/pins", body); status != want || pins() != 1 {
			t.Errorf("%s: %d %s", body, status, said)
		}
	}
	if status, said := b.api(c, http.MethodPost, "/pins", `{"answer":"restored"}`); status != http.StatusNoContent || pins() != 0 {
		t.Errorf("%d %s", status, said)
	}
	// Somebody comes with the old key: the claim is frozen, and both are seen.
	if got := b.may(old); got != "write" {
		t.Errorf("the old one may %s", got)
	}
	if got := b.may(key); got != "nothing" {
		t.Errorf("the new one may %s", got)
	}
	if a := b.claim(key, wire.ClaimState, wants(ana, b.account, "")); a.State != wire.ClaimFrozen || a.Sign == "" || a.Account != "" {
		t.Errorf("%+v", a)
	}
	e := b.exec(c, "api") // the connection that is still open
	if a, err := e.ask(wire.Hello{Version: wire.Version}); err != nil || a.Error == nil || a.Error.Code != wire.RefusedNotRegistered {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := b.store.Approve(t.Context(), store.AccountID(b.account), ""); err != nil {
		t.Fatal(err)
	}
	if b.may(key) != "write" || b.may(old) != "nothing" {
		t.Errorf("the new one may %s, the old one %s", b.may(key), b.may(old))
	}
}

// api asks one question over a session of its own.
func (b *bed) api(c *ssh.Client, method, path, body string) (int, string) {
	b.t.Helper()
	e := b.exec(c, "api")
	defer e.Close()
	if a, err := e.ask(wire.Hello{Version: wire.Version}); err != nil || a.Error != nil {
		b.t.Fatalf("%+v %v", a.Error, err)
	}
	fmt.Fprintf(e.in, "%s %s HTTP/1.1\r\nHost: xs\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	resp, err := http.ReadResponse(e.out, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(said)
}

func TestClaimPolicies(t *testing.T) {
	for policy, want := range map[store.Policy]string{store.Automatic: wire.ClaimGranted, store.Approval: wire.ClaimPending, store.CodeOnly: wire.ClaimPending} {
		t.Run(string(policy), func(t *testing.T) {
			b := newClaimBed(t, func(c *Config) { c.Reflash = string(policy) })
			key := newKey(t)
			if a := b.claim(key, wire.ClaimFind, ana); len(a.Backups) != 1 || a.Backups[0].Claim != string(policy) {
				t.Errorf("%+v", a)
			}
			a := b.claim(key, wire.ClaimTake, wants(ana, b.account, ""))
			if a.State != want || a.Sign == "" {
				t.Fatalf("%+v", a)
			}
			if want == wire.ClaimGranted {
				return
			}
			if got := b.may(key); got != "nothing" {
				t.Errorf("it may %s", got)
			}
			if s := b.claim(key, wire.ClaimState, ana); s.State != wire.ClaimPending || s.Sign != a.Sign {
				t.Errorf("%+v", s)
			}
			if policy == store.CodeOnly {
				code, err := b.store.NewCode(t.Context(), store.AccountID(b.account))
				if err != nil {
					t.Fatal(err)
				}
				a = b.claim(key, wire.ClaimTake, wants(ana, "", code.String()))
			} else {
				if _, err := b.store.Approve(t.Context(), store.AccountID(b.account), a.Sign); err != nil {
					t.Fatal(err)
				}
				a = b.claim(key, wire.ClaimState, ana)
			}
			if a.State != wire.ClaimGranted || a.Account != b.account || b.may(key) != "write" {
				t.Errorf("%+v", a)
			}
		})
	}
}

// Who is not recognised is told nothing, and the same whether an account exists.
func TestClaimTellsNothing(t *testing.T) {
	b := newClaimBed(t)
	key := newKey(t)
	for name, req := range map[string]wire.ClaimRequest{
		"serial alone": with(ana, func(r *wire.ClaimRequest) { r.UUID = "" }), "wrong uuid": with(ana, func(r *wire.ClaimRequest) { r.UUID = other.UUID }),
		"uuid alone": with(ana, func(r *wire.ClaimRequest) { r.Serial = "" }), "nothing": {Version: wire.Version}, "another": other,
		"says nothing": {Version: wire.Version, Serial: "SHF00000000", UUID: "00000000-0000-0000-0000-000000000000"},
	} {
		if a := b.claim(key, wire.ClaimFind, req); a.Backups != nil || a.Error != nil || a.State != "" || a.Account != "" {
			t.Errorf("%s: %+v", name, a)
		}
		here, nowhere := b.claim(key, wire.ClaimTake, wants(req, b.account, "")), b.claim(key, wire.ClaimTake, wants(req, "SHC00000099", ""))
		if here.Sign == "" || nowhere.Sign == "" || here.State != wire.ClaimPending {
			t.Errorf("%s: %+v", name, here)
		}
		here.Sign, nowhere.Sign = "", ""
		if fmt.Sprint(here) != fmt.Sprint(nowhere) {
			t.Errorf("%s: %+v and %+v", name, here, nowhere)
		}
	}
	if got := b.may(key); got != "nothing" {
		t.Errorf("it may %s", got)
	}
}

// Codes over the wire: in any script; one that was not typed as it should be is no
// try; all that are wrong are told the same; and who guesses has to wait.
func TestClaimCodes(t *testing.T) {
	b := newClaimBed(t)
	newCode := func() string {
		t.Helper()
		code, err := b.store.NewCode(t.Context(), store.AccountID(b.account))
		if err != nil {
			t.Fatal(err)
		}
		return code.String()
	}
	code := newCode()
	said := map[string]bool{}
	wrong := func(key ssh.Signer, code, account string) {
		t.Helper()
		a := b.claim(key, wire.ClaimTake, wants(other, account, code))
		if a.Error == nil || a.Error.Code != wire.RefusedClaim || a.State != "" || a.Account != "" {
			t.Fatalf("%+v", a)
		}
		said[fmt.Sprint(*a.Error)] = true
	}
	thief := newKey(t)
	for _, typed := range []string{"1", "abcdefgh", code[:8] + string('1'+(code[8]-'0')%9), strings.Repeat("1", 10_000), "\x00"} {
		for range 4 {
			if a := b.claim(thief, wire.ClaimTake, wants(other, "", typed)); a.Error == nil || a.Error.Code != wire.RefusedInput || len(a.Error.Message) > 200 {
				t.Fatalf("%.40q: %+v", typed, a)
			}
		}
	}
	arabic := strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r - '0' + '٠'
		}
		return r
	}, code)
	key := newKey(t)
	if a := b.claim(key, wire.ClaimTake, wants(wire.ClaimRequest{Version: wire.Version}, "", " "+arabic)); a.State != wire.ClaimGranted || a.Account != b.account {
		t.Fatalf("%+v", a)
	}
	wrong(thief, code, "")            // used
	wrong(thief, code, b.account)     // likewise, and the account exists
	wrong(thief, code, "SHC00000099") // and this does not
	wrong(newKey(t), newCode(), "SHC00000099")
	if len(said) != 1 {
		t.Errorf("%v", said)
	}
	a := b.claim(thief, wire.ClaimTake, wants(other, "", newCode()))
	if a.Error == nil || a.Error.Code != wire.RefusedClaim || a.Error.RetryAfter < 50 || a.Error.RetryAfter > 60 {
		t.Errorf("%+v", a)
	}
	// Nobody else waits.
	if a := b.claim(newKey(t), wire.ClaimTake, wants(wire.ClaimRequest{Version: wire.Version}, "", newCode())); a.State != wire.ClaimGranted {
		t.Errorf("%+v", a)
	}
}

// A child who is none of those that the laptop knows.
func TestClaimOwn(t *testing.T) {
	b := newClaimBed(t)
	key := newKey(t)
	a := b.claim(key, wire.ClaimOwn, with(ana, func(r *wire.ClaimRequest) { r.Nick = "Ben" }))
	if a.State != wire.ClaimGranted || a.Account == "" || a.Account == b.account || b.may(b.owner) != "write" || b.may(key) != "nothing" {
		t.Fatalf("%+v", a)
	}
	if again := b.claim(key, wire.ClaimOwn, ana); again.Account != a.Account {
		t.Errorf("%+v", again)
	}
	found := b.claim(newKey(t), wire.ClaimFind, ana)
	var nicks []string
	for _, f := range found.Backups {
		nicks = append(nicks, f.Nick)
	}
	if slices.Sort(nicks); !slices.Equal(nicks, []string{"Ana", "Ben"}) {
		t.Errorf("%+v", found)
	}
}

// The user claim can do nothing else, and hostile lines are refused in words.
func TestClaimRefuses(t *testing.T) {
	b := newClaimBed(t)
	c, err := b.dial(wire.ClaimUser, b.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, command := range []string{"backup", "api", "restore snapshots/latest", "rsync --server --sender -logDtpr . snapshots/latest/", "sh", "", "claim x"} {
		e := b.exec(c, command)
		if said, _ := io.ReadAll(e.err); e.Wait() == nil || !strings.Contains(string(said), "may only claim") {
			t.Errorf("%q: %q", command, said)
		}
	}
	long := strings.Repeat("A", 4<<10)
	for _, line := range []any{"x", wire.ClaimRequest{Version: 1, Ask: wire.ClaimFind}, with(ana, func(r *wire.ClaimRequest) { r.Ask = long }),
		with(ana, func(r *wire.ClaimRequest) { r.Ask, r.Serial = "find", "../x" }), with(ana, func(r *wire.ClaimRequest) { r.Ask, r.UUID = "find", long }),
		with(ana, func(r *wire.ClaimRequest) { r.Ask, r.UUID = "claim", "u\x1b[31m" }), with(ana, func(r *wire.ClaimRequest) { r.Ask, r.Nick = "claim", long }),
		with(ana, func(r *wire.ClaimRequest) { r.Ask, r.Account = "claim", "../../etc" }), with(ana, func(r *wire.ClaimRequest) { r.Ask, r.Account = "claim", long })} {
		e := b.exec(c, wire.CommandClaim)
		var a wire.ClaimAnswer
		err := errors.Join(wire.WriteLine(e.in, line), wire.ReadLine(e.out, &a))
		if err != nil || a.Error == nil || len(a.Error.Message) > 300 || a.State != "" {
			t.Errorf("%.80v: %+v %v", line, a, err)
		}
		e.Close()
	}
	if got := b.may(b.owner); got != "write" {
		t.Errorf("the owner may %s", got)
	}
}

// Sugar's registration of a laptop that is known: refused, with the sign.
func TestRegistrationBecomesClaim(t *testing.T) {
	b := newClaimBed(t)
	key := newKey(t)
	answer := b.tryRegister(ana.Serial, "Ana", ana.UUID, authorizedKey(key.PublicKey()))
	a := b.claim(key, wire.ClaimState, ana)
	said, _ := answer["error"].(string)
	if answer["success"] != "ERR" || a.State != wire.ClaimPending || a.Sign == "" || !strings.Contains(said, a.Sign) || b.may(key) != "nothing" {
		t.Errorf("%v %+v", answer, a)
	}
}

// Guesses of one address: after thirty wrong ones each takes its time.
func TestGuesses(t *testing.T) {
	g := newGuesses()
	g.pause = 50 * time.Millisecond
	at := time.Now()
	g.now = func() time.Time { return at }
	guess := func(from string) time.Duration {
		t.Helper()
		begun := time.Now()
		leave, err := g.enter(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		leave(true)
		return time.Since(begun)
	}
	for n := range freeGuesses {
		if d := guess(fmt.Sprintf("2001:db8::%x", n)); d > g.pause {
			t.Errorf("guess %d took %v", n, d)
		}
	}
	if d := guess("2001:db8::ffff"); d < g.pause {
		t.Errorf("only %v", d)
	}
	if d := guess("10.0.0.1"); d >= g.pause {
		t.Errorf("another address: %v", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := g.enter(ctx, "2001:db8::1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	at = at.Add(guessTime)
	if d := guess("2001:db8::1"); d >= g.pause {
		t.Errorf("for ever: %v", d)
	}
}
