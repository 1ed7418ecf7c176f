package xsclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// hostTrust decides whether a server is ours by the key it shows.
type hostTrust struct {
	pinned ssh.PublicKey // nil: none yet
	deploy ssh.PublicKey // nil: pin
	now    func() time.Time
	server string // the URL that told where it is; "" if nobody was asked
	brief  bool   // nothing is remembered of who is trusted

	met   ssh.PublicKey // set by check: the key of who is trusted
	wrong ssh.PublicKey // set by check: what was shown instead
	why   error
}

func (c *Client) hostTrust() *hostTrust {
	return &hostTrust{pinned: c.pinned(), deploy: c.deploy, now: c.now}
}

// pinned answers the key of our server, nil before there is one.
func (c *Client) pinned() ssh.PublicKey { return parseHostKey(c.state.get().HostKey) }

func parseHostKey(line string) ssh.PublicKey {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil
	}
	return key
}

func hostKeyLine(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// check is the ssh.HostKeyCallback.
func (t *hostTrust) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	cert, _ := key.(*ssh.Certificate)
	plain := key
	if cert != nil {
		plain = cert.Key
	}
	switch {
	case t.deploy != nil:
		t.why = t.checkCertificate(cert)
	case t.pinned == nil:
		t.why = errors.New("no server is trusted yet")
	case !bytes.Equal(t.pinned.Marshal(), plain.Marshal()):
		t.why = fmt.Errorf("the server's key is %s, not %s", ssh.FingerprintSHA256(plain), ssh.FingerprintSHA256(t.pinned))
	}
	if t.why != nil {
		t.wrong = plain
	} else {
		t.met = plain
	}
	return t.why
}

// checkCertificate accepts any host certificate that the deployment has
// signed, whichever names are in it: a laptop that moves to another of the
// deployment's schools meets another server by the same name.
func (t *hostTrust) checkCertificate(cert *ssh.Certificate) error {
	if cert == nil {
		return errors.New("the server shows no certificate of the deployment")
	}
	if cert.CertType != ssh.HostCert {
		return errors.New("the server's certificate is not one for hosts")
	}
	if !bytes.Equal(cert.SignatureKey.Marshal(), t.deploy.Marshal()) {
		return fmt.Errorf("the server's certificate is signed by %s, not by the deployment", ssh.FingerprintSHA256(cert.SignatureKey))
	}
	checker := ssh.CertChecker{
		IsHostAuthority: func(auth ssh.PublicKey, _ string) bool { return true }, // looked at above
		// An XO's clock falls back to 1970: a certificate that is not valid
		// yet by it says nothing. One that is not valid any more does.
		Clock: func() time.Time {
			now := t.now()
			if after := time.Unix(int64(min(cert.ValidAfter, 1<<62)), 0); now.Before(after) {
				return after
			}
			return now
		},
	}
	name := ""
	if len(cert.ValidPrincipals) > 0 {
		name = cert.ValidPrincipals[0]
	}
	return checker.CheckCert(name, cert)
}

// algorithms asks for the kind of key that is trusted first, and for every
// other after it: a server that has changed its key's kind is to be recognised
// as another server, not as one that cannot be spoken with.
func (t *hostTrust) algorithms() []string {
	var certs, plain []string
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if strings.Contains(a, "-cert-") {
			certs = append(certs, a)
		} else {
			plain = append(plain, a)
		}
	}
	if t.deploy != nil {
		return append(certs, plain...)
	}
	if t.pinned != nil {
		kind := t.pinned.Type()
		slices.SortStableFunc(plain, func(a, b string) int {
			return rank(a, kind) - rank(b, kind)
		})
	}
	return append(plain, certs...)
}

func rank(algorithm, kind string) int {
	if algorithm == kind || kind == ssh.KeyAlgoRSA && strings.HasPrefix(algorithm, "rsa-sha2-") {
		return 0
	}
	return 1
}

// wrongServer remembers what another server showed, and says that nothing was
// sent to it.
func (c *Client) wrongServer(host string, t *hostTrust) error {
	err := c.update(func(st *state) {
		if !t.brief || t.deploy != nil || st.HostKey != "" { // else none is ours yet
			st.SeenKey = hostKeyLine(t.wrong)
		}
	})
	if err != nil {
		c.cfg.Log.Warn("cannot keep the state", "error", err)
	}
	next := fmt.Sprintf("If the school has a new server, trust it: its fingerprint is %s.", ssh.FingerprintSHA256(t.wrong))
	if t.deploy != nil {
		next = "Please tell whoever looks after the school server."
	}
	return &Error{
		Code:    WrongServer,
		Message: fmt.Sprintf("What answers at %s is not this laptop's school server, so nothing was sent. %s", host, next),
		Err:     t.why,
	}
}

func newServerReason(seen string) string {
	fingerprint := "unknown"
	if key := parseHostKey(seen); key != nil {
		fingerprint = ssh.FingerprintSHA256(key)
	}
	return fmt.Sprintf("Another school server answers than the one this laptop trusts; its fingerprint is %s. If the school has a new server, trust it.", fingerprint)
}

// sawTrusted keeps where the trusted server was found, pins its key if it is
// the first, and forgets about another one that was seen meanwhile.
func (c *Client) sawTrusted(trust *hostTrust, addr string) error {
	return c.update(func(st *state) {
		st.SeenKey = ""
		if trust.brief {
			return
		}
		st.SSH = addr
		if trust.server != "" {
			st.Server = trust.server
		}
		if trust.deploy == nil {
			st.HostKey = hostKeyLine(trust.pinned)
		}
	})
}

// TrustServer makes the server whose key has this fingerprint (SHA256:…) ours:
// the one that was met instead of ours, or, where none was, the one that
// answers now.
func (c *Client) TrustServer(ctx context.Context, fingerprint string) error {
	if c.deploy != nil {
		return &Error{Code: InvalidArgument, Message: "This laptop trusts only servers that carry its deployment's certificate: please ask whoever looks after the school server."}
	}
	seen := c.state.get().SeenKey
	if seen == "" {
		ctx, cancel := withinAMinute(ctx)
		defer cancel()
		found, err := c.service(ctx)
		if err != nil {
			return err
		}
		seen = found.HostKey
	}
	key := parseHostKey(seen)
	if key == nil || ssh.FingerprintSHA256(key) != fingerprint {
		return &Error{Code: InvalidArgument, Message: fmt.Sprintf("No school server with the fingerprint %.80q was seen: compare it with what the server shows.", fingerprint)}
	}
	return c.update(func(st *state) {
		if line := hostKeyLine(key); st.HostKey != line {
			// It may know nothing of this laptop, and have nothing of it.
			*st = state{Version: st.Version, Account: st.Account, Server: st.Server, HostKey: line,
				FirstBoot: st.FirstBoot, Answer: st.Answer} // whose laptop it is stays so
		}
		st.SeenKey = ""
		st.SSH = "" // the new one may listen elsewhere
	})
}
