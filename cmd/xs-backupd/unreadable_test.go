package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// school makes three accounts, each of which has a snapshot of one file.
func school(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, id := range []string{"AAA", "BBB", "CCC"} {
		at := filepath.Join(root, id)
		account := `{"format":1,"id":"` + id + `","nick":"Amara","machines":[{"serial":"` + id + `","writes":true}]}`
		record, err := json.Marshal(wire.Snapshot{ID: "2026-11-23T21-30-05Z", Seq: 1, Confirmed: 1795469405, Bytes: 3,
			Digest: "ca2276f9f08c615d2208a3c70a8a2efce887a10330881574a52728cc70efe8a6"})
		if err != nil {
			t.Fatal(err)
		}
		snap := filepath.Join(at, "snapshots", "2026-11-23T21-30-05Z")
		err = errors.Join(os.MkdirAll(snap, 0o755), os.WriteFile(at+"/account.json", []byte(account), 0o600),
			os.WriteFile(snap+"/journal.cjson", []byte("abc"), 0o644), os.WriteFile(snap+".json", record, 0o600),
			os.WriteFile(snap+".manifest", []byte("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  journal.cjson\n"), 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The bug: one account that could not be read was the end of verify, accounts and
// status, and with --json nothing was printed at all.
func TestUnreadableAccount(t *testing.T) {
	for _, spoiled := range []string{"account.json", "snapshots"} {
		t.Run(spoiled, func(t *testing.T) {
			root := school(t)
			at := filepath.Join(root, "BBB", spoiled)
			if err := errors.Join(os.RemoveAll(at), os.WriteFile(at, []byte("{mice"), 0o600)); err != nil {
				t.Fatal(err)
			}
			ask := func(verb string, list any) {
				t.Helper()
				status, out, log := call(t, nil, verb, "--root", root, "--json")
				if err := json.Unmarshal([]byte(out), list); err != nil || status != 1 || !strings.Contains(log, "cannot be read") {
					t.Errorf("%s: %d %v\n%s%s", verb, status, err, out, log)
				}
				if status, out, log := call(t, nil, verb, "--root", root); status != 1 || !strings.Contains(out+log, "BBB") {
					t.Errorf("%s: %d\n%s%s", verb, status, out, log)
				}
			}
			var accounts []accountLine
			ask("accounts", &accounts)
			if len(accounts) != 3 || accounts[1].Problem == "" || accounts[2].Problem != "" || accounts[2].Snapshots != 1 {
				t.Errorf("%+v", accounts)
			}
			var lines []statusLine
			ask("status", &lines)
			if len(lines) != 1 || lines[0].Accounts != 3 || lines[0].Unreadable != 1 || lines[0].Snapshots != 2 {
				t.Errorf("%+v", lines)
			}
			var verified []verifyLine
			ask("verify", &verified)
			if !slices.ContainsFunc(verified, func(l verifyLine) bool { return l.Account == "BBB" && len(l.Problems) > 0 }) {
				t.Errorf("%+v", verified)
			}
			for _, id := range []store.AccountID{"AAA", "CCC"} {
				if !slices.ContainsFunc(verified, func(l verifyLine) bool { return l.Account == id && l.Files == 1 && len(l.Problems) == 0 }) {
					t.Errorf("%s was not verified: %+v", id, verified)
				}
			}
		})
	}
}

// What verify finds it notes where the server looks.
func TestVerifyNotes(t *testing.T) {
	root := school(t)
	snap := filepath.Join(root, "BBB/snapshots/2026-11-23T21-30-05Z")
	if err := os.WriteFile(snap+"/journal.cjson", []byte("abx"), 0o644); err != nil {
		t.Fatal(err)
	}
	status, out, log := call(t, nil, "verify", "--root", root)
	if status != 1 || !strings.Contains(out, "journal.cjson: is not what it was") || !strings.Contains(log, "1 of 3 snapshots are damaged") {
		t.Errorf("%d\n%s%s", status, out, log)
	}
	if b, err := os.ReadFile(snap + ".damaged"); err != nil || string(b) != "journal.cjson\n" {
		t.Errorf("%q %v", b, err)
	}
	// A snapshot that cannot be looked into hides no other.
	if err := errors.Join(os.RemoveAll(snap), os.WriteFile(snap, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if status, out, log := call(t, nil, "verify", "--root", root); status != 1 || !strings.Contains(out, "BBB 2026-11-23T21-30-05Z: ") ||
		!strings.Contains(out, "CCC 2026-11-23T21-30-05Z: 1 files are what they were") {
		t.Errorf("%d\n%s%s", status, out, log)
	}
}
