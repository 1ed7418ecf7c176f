package xsclient

import (
	"bufio"
	"io"
	"os"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

// serveClaim answers one question about claims with what the test has to say: a
// string as it is, nil not at all, all else as a line of JSON.
func (p *peer) serveClaim(key string, ch ssh.Channel) {
	r := bufio.NewReader(ch)
	var request wire.ClaimRequest
	if wire.ReadLine(r, &request) != nil {
		return
	}
	var claims func(string, wire.ClaimRequest) any
	p.set(func() {
		p.claimed = append(p.claimed, request)
		claims = p.claims
	})
	switch answer := claims(key, request).(type) {
	case nil:
		io.Copy(io.Discard, r)
	case string:
		io.WriteString(ch, answer)
	default:
		wire.WriteLine(ch, answer)
	}
}

// says makes the peer answer every question about claims with that.
func (p *peer) says(answer any) {
	p.set(func() { p.claims = func(string, wire.ClaimRequest) any { return answer } })
}

// lets makes the peer let in whoever claims an account.
func (p *peer) lets() {
	p.set(func() {
		p.claims = func(key string, r wire.ClaimRequest) any {
			p.let(r.Account, key)
			return stateIs(wire.ClaimGranted, r.Account)
		}
	})
}

func (p *peer) let(account, key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[account] == nil {
		p.keys[account] = map[string]string{}
	}
	p.keys[account][key] = "backup"
}

func stateIs(state, account string) wire.ClaimAnswer {
	return wire.ClaimAnswer{Version: wire.Version, State: state, Account: account, Sign: "blue fish boat"}
}

// asks are what was asked for as who claims.
func (p *peer) asks() (asks []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.claimed {
		asks = append(asks, r.Ask)
	}
	return asks
}

// newcomer is a laptop that was set up anew: it has no profile yet.
func newcomer(t testing.TB, p *peer) Config {
	t.Helper()
	cfg := laptop(t, p, "-t", "ed25519")
	must(t, os.RemoveAll(cfg.Profile.Dir))
	cfg.Serial, cfg.UUID = "SHC1", "u1"
	return cfg
}

// stateOnDisk is what the next daemon would know, but for what was learnt of the
// server itself.
func (c *Client) stateOnDisk(t testing.TB) state {
	t.Helper()
	k, err := openState(c.cfg.StateDir)
	must(t, err)
	st := k.get()
	st.Server, st.SSH, st.HostKey = "", "", ""
	return st
}
