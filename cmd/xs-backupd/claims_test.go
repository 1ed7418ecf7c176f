package main

import (
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

func testKey(t *testing.T, n byte) ssh.PublicKey {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// office is a school's root, with Ana's account, beside which the verbs run.
type office struct {
	t    *testing.T
	s    *store.Store
	root string
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, root: t.TempDir()}
	s, err := store.Create(o.root, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	o.s = s
	o.register("ANA", 1)
	return o
}

func (o *office) register(serial store.Serial, key byte) {
	o.t.Helper()
	r := store.Registration{Serial: serial, UUID: "u-" + string(serial), Nick: strings.ToLower(string(serial)), Key: testKey(o.t, key)}
	if _, err := o.s.Register(o.t.Context(), r, 100); err != nil {
		o.t.Fatal(err)
	}
}

// claim asks as a laptop and answers its state and sign.
func (o *office) claim(serial store.Serial, key byte, account, code string) store.Outcome {
	o.t.Helper()
	c := store.Claimant{Machine: store.Machine{Serial: serial, UUID: "u-" + string(serial)}, Key: testKey(o.t, key), Nick: "Eva\x1b[31m", From: "10.0.0.1"}
	var typed wire.Code
	if code != "" {
		var err error
		if typed, err = wire.ParseCode(code); err != nil {
			o.t.Fatal(err)
		}
	}
	out, err := o.s.Claim(o.t.Context(), c, account, typed, store.Approval)
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// run expects an exit status and something to be said.
func (o *office) run(status int, want string, args ...string) (out string) {
	o.t.Helper()
	got, out, log := call(o.t, nil, append(args, "--root", o.root)...)
	if got != status || !strings.Contains(out+log, want) || strings.Contains(out, "\x1b") {
		o.t.Errorf("%q: %d, not %d with %q:\n%s%s", args, got, status, want, out, log)
	}
	return out
}

func (o *office) accounts() (list []accountLine) {
	o.t.Helper()
	if err := json.Unmarshal([]byte(o.run(0, "", "accounts", "--json")), &list); err != nil {
		o.t.Fatal(err)
	}
	return list
}

func TestApprove(t *testing.T) {
	o := newOffice(t)
	o.run(1, "nobody asks", "approve", "ANA")
	o.run(1, "NOBODY", "approve", "NOBODY")
	sign := o.claim("ANA", 2, "ANA", "").Sign
	o.run(0, "'"+sign+"' waits: Eva?[31m ANA", "accounts")
	other := o.claim("SHC2", 3, "ANA", "").Sign
	o.run(0, "not recognised, asks for ANA", "accounts")
	o.run(1, "--sign '"+other+"'", "approve", "ANA")
	o.run(1, "nobody asks", "approve", "ANA", "--sign", "no such sign")
	o.run(0, sign, "approve", "--sign", strings.ToUpper(sign), "ANA")
	if list := o.accounts(); len(list) != 1 || len(list[0].Requests) != 2 || list[0].Requests[0].State != store.Granted || list[0].Requests[1].State != store.Waits {
		t.Errorf("%+v", list)
	}
	o.run(0, "was let in by approval", "accounts")
	o.run(0, "refused", "approve", "ANA", "--refuse") // who waits
	// Both are shown when the key of before comes.
	a, err := o.s.Account("ANA")
	if err != nil {
		t.Fatal(err)
	}
	old, _ := a.FindKey(testKey(t, 1))
	if err := o.s.CameBack(t.Context(), "ANA", old); err != nil {
		t.Fatal(err)
	}
	out := o.run(0, "is FROZEN", "accounts")
	for n := byte(1); n <= 2; n++ {
		if key := ssh.FingerprintSHA256(testKey(t, n)); !strings.Contains(out, key[:15]) {
			t.Errorf("%s is not in %s", key, out)
		}
	}
	o.run(0, "granted", "approve", "ANA")
	o.run(0, "refused", "approve", "ANA", "--refuse", "--json")
	if list := o.accounts(); list[0].Keys != 0 { // to approve what was frozen was to say that the old key is not the child's
		t.Errorf("%+v", list)
	}
	// A laptop that names no account.
	lost := o.claim("SHC9", 9, "", "").Sign
	if list := o.accounts(); len(list) != 2 || list[1].Account != "" || list[1].Requests[0].Sign != lost {
		t.Errorf("%+v", list)
	}
	o.run(0, lost, "approve", "ANA", "--sign", lost)
	o.run(0, "SHC9", "accounts")
}

func TestApproveAll(t *testing.T) {
	o := newOffice(t)
	o.register("BEN", 2)
	o.claim("ANA", 11, "ANA", "")
	o.claim("SHC9", 13, "ANA", "")
	out := o.run(0, "ANA", "approve", "--all", "--for", "1h", "--json")
	var lines []grantLine
	if err := json.Unmarshal([]byte(out), &lines); err != nil || len(lines) != 1 || lines[0].Account != "ANA" || lines[0].Serial != "ANA" {
		t.Errorf("%s %v", out, err)
	}
	if got := o.claim("BEN", 12, "BEN", ""); got.State != store.Granted {
		t.Errorf("%+v", got)
	}
	for _, args := range [][]string{{}, {"--all", "ANA"}, {"ANA", "--for", "1h"}, {"--all", "--for", "-1h"}, {"--all", "--for", "1000h"}, {"--all", "--refuse"},
		{"ANA", "BEN"}, {"../x"}, {"--all", "--sign", "x"}, {strings.Repeat("A", 4096)}} {
		o.run(2, "", append([]string{"approve"}, args...)...)
	}
}

func TestCode(t *testing.T) {
	o := newOffice(t)
	code := strings.TrimSuffix(o.run(0, "", "code", "ANA"), "\n")
	if len(code) != 9 || strings.Contains(code, "\n") {
		t.Errorf("%q", code)
	}
	if got := o.claim("SHC2", 2, "", code); got.State != store.Granted || got.Account != "ANA" {
		t.Errorf("%+v", got)
	}
	o.run(0, "was let in by code", "accounts")
	o.run(0, `"code": "`, "code", "ANA", "--json")
	o.run(1, "NOBODY", "code", "NOBODY")
	o.run(2, "ACCOUNT is missing", "code")
	o.run(2, "../x", "code", "../x")
}

func TestAliasVerb(t *testing.T) {
	o := newOffice(t)
	o.run(0, "SHC2", "alias", "ANA", "SHC2")
	o.run(0, "SHC2 is an alias", "accounts")
	if got := o.claim("SHC2", 2, "ANA", ""); got.State != store.Granted {
		t.Errorf("%+v", got)
	}
	o.run(0, "SHC2,ANA", "accounts")
	o.run(0, "", "alias", "ANA", "SHC2", "--remove")
	if list := o.accounts(); len(list[0].Machines) != 1 || list[0].Keys != 1 {
		t.Errorf("%+v", list)
	}
	// The uuid of a laptop that is registered here.
	o.register("BEN", 5)
	o.run(0, "u-BEN", "alias", "ANA", "BEN", "--json")
	o.run(0, "u9", "alias", "ANA", "SHC9/u9")
	o.run(1, "no alias", "alias", "ANA", "SHC7", "--remove")
	o.run(1, "says nothing", "alias", "ANA", "SHF00000000")
	o.run(2, "MACHINE is missing", "alias", "ANA")
	o.run(2, `".."`, "alias", "ANA", "../x")
	o.run(1, "NOBODY", "alias", "NOBODY", "SHC2")
}

// Two accounts that look like one child are named, whichever way they came about.
func TestTwins(t *testing.T) {
	list := []accountLine{
		{Account: "A", Nick: "Ana", Color: "#1,#2", keys: map[string]bool{"k1": true}}, {Account: "B", Nick: "Ana", Color: "#1,#2"},
		{Account: "C", Nick: "Ana", Color: "#3,#4", keys: map[string]bool{"k2": true}}, {Account: "D", Nick: "Eva", Color: "#1,#2", keys: map[string]bool{"k2": true}},
		{Account: "E"}, {Account: "F"},
	}
	findTwins(list)
	for i, want := range []string{"B", "A", "D", "C", "", ""} {
		got := ""
		for _, id := range list[i].LooksLike {
			got += string(id)
		}
		if got != want {
			t.Errorf("%s looks like %q, not %q", list[i].Account, got, want)
		}
	}
	if row := list[0].row(); !strings.Contains(row[len(row)-1], "looks like the child of B") {
		t.Errorf("%q", row)
	}
}
