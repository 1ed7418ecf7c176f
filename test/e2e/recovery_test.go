package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// reflashed is an XO that was set up anew, the XS that has its Journal, and the
// line between them.
type reflashed struct {
	*bed.XO
	xs   *bed.XS
	line *bed.Proxy
	// before is the Journal that was lost, and what was drawn since.
	before bed.Journal
	url    string
}

// lose backs a Journal of n entries up, and loses it with the profile and all. The
// XS is served with these arguments besides.
func lose(t *testing.T, n int, args ...string) *reflashed {
	t.Helper()
	s := bed.XSFor(t, bed.ServerOptions{Args: args})
	x := bed.XOFor(t, bed.Options{})
	register(t, x, s)
	_, before := fill(t, x, n)
	done(t, x, "Backup")
	r := &reflashed{XO: x, xs: s, before: before}
	r.url, r.line = lineTo(t, s)
	r.reflash(t)
	return r
}

// reflash sets the laptop up anew: nothing of the child is on it any more, not even
// a folder for the profile. The firmware still says which machine it is.
func (r *reflashed) reflash(t *testing.T) {
	t.Helper()
	for _, name := range []string{bed.BackupName, bed.DataStoreName} {
		must(t, r.StopService(t.Context(), name))
	}
	must(t, os.RemoveAll(r.Home))
	must(t, os.Mkdir(r.Home, 0o700))
	must(t, r.Configure(fmt.Sprintf("server = %q\nregistration = %q\nserial = %q\nuuid = %q\n",
		r.url, r.xs.RegistrationURL(), r.Options.Serial, r.Options.UUID)))
}

// lineTo puts a line that can be cut between an XS and who asks for it at this URL.
func lineTo(t *testing.T, s *bed.XS) (at string, line *bed.Proxy) {
	t.Helper()
	ssh := []byte(s.SSH) // now: a restart writes it anew
	line, err := bed.NewProxy(s.SSH)
	must(t, err)
	t.Cleanup(func() { must(t, line.Close()) })
	to, err := url.Parse(s.URL())
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		b = bytes.ReplaceAll(b, ssh, []byte(line.Addr))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		r.Header.Set("Content-Length", fmt.Sprint(len(b)))
		return nil
	}
	// An XS that is away says nothing, not even that it is away.
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	web := httptest.NewServer(proxy)
	t.Cleanup(web.Close)
	return web.URL, line
}

// findBackups answers what FindBackups offers.
func (r *reflashed) findBackups(t *testing.T) []map[string]dbus.Variant {
	t.Helper()
	var out []map[string]dbus.Variant
	must(t, r.Backup().CallWithContext(t.Context(), "org.laptop.Backup.FindBackups", 0).Store(&out))
	return out
}

// offered checks that the lost Journal is offered, and what of it.
func (r *reflashed) offered(t *testing.T, entries int) {
	t.Helper()
	found := r.findBackups(t)
	if len(found) != 1 || found[0]["account"].Value() != r.Options.Serial || found[0]["entries"].Value() != uint32(entries) {
		t.Fatalf("FindBackups: %v", found)
	}
}

// notOffered checks that nothing is.
func (r *reflashed) notOffered(t *testing.T) {
	t.Helper()
	if found := r.findBackups(t); len(found) != 0 {
		t.Fatalf("FindBackups: %v", found)
	}
}

// claim claims the lost Journal, and answers what that came to.
func (r *reflashed) claim(t *testing.T) (state, sign string) {
	t.Helper()
	must(t, r.Backup().CallWithContext(t.Context(), "org.laptop.Backup.Claim", 0, r.Options.Serial, "").Store(&state, &sign))
	return state, sign
}

// claimed claims it where that is granted.
func (r *reflashed) claimed(t *testing.T) {
	t.Helper()
	if state, _ := r.claim(t); state != "granted" {
		t.Fatalf("Claim: %s", state)
	}
}

// claimChanges are the states that ClaimChanged tells from now on.
func (r *reflashed) claimChanges(t *testing.T) <-chan string {
	t.Helper()
	conn, err := r.Connect()
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.AddMatchSignal(dbus.WithMatchInterface("org.laptop.Backup"), dbus.WithMatchMember("ClaimChanged")))
	signals, states := make(chan *dbus.Signal, 100), make(chan string, 100)
	conn.Signal(signals)
	go func() { // until the connection is closed
		for s := range signals {
			if s.Name == "org.laptop.Backup.ClaimChanged" {
				states <- s.Body[1].(string)
			}
		}
	}()
	return states
}

// changesTo waits for the next ClaimChanged, which has to tell that.
func changesTo(t *testing.T, changes <-chan string, want string) {
	t.Helper()
	select {
	case state := <-changes:
		if state != want {
			t.Fatalf("ClaimChanged to %s, not to %s", state, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("no ClaimChanged to %s", want)
	}
}

// letIn tells whether the XS has let the laptop's key in.
func (r *reflashed) letIn(t *testing.T) bool {
	t.Helper()
	account, err := os.ReadFile(filepath.Join(account(t, r.xs), "account.json"))
	must(t, err)
	public, err := os.ReadFile(filepath.Join(r.Profile, "backup.key.pub"))
	if errors.Is(err, fs.ErrNotExist) {
		return false // it has none yet
	}
	must(t, err)
	return bytes.Contains(account, bytes.Fields(public)[1])
}

// awaitAccount waits until the laptop knows that it is let in.
func (r *reflashed) awaitAccount(t *testing.T) {
	t.Helper()
	for range 1000 {
		if property[string](t, r.XO, "Account") == r.Options.Serial {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("it is let in and does not know: %s", property[string](t, r.XO, "StateReason"))
}

// administer runs one of the administrator's verbs.
func (r *reflashed) administer(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.xs.Run(t.Context(), args...)
	must(t, err)
	return out
}

// draw makes an entry as an activity does, which is to stay.
func (r *reflashed) draw(t *testing.T, title string) {
	t.Helper()
	uid := create(t, r.XO, title)[title]
	must(t, r.Settle(t.Context()))
	r.before[uid] = onDisk(t, r.XO)[uid]
}
