package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// school is a server that lets known laptops in again by a policy.
func school(t *testing.T, reflash string) *bed.XS {
	t.Helper()
	return bed.XSFor(t, bed.ServerOptions{Args: []string{"--reflash", reflash}})
}

// laptopNo is one of a school's laptops, by its number; whose it is, is still to
// be said.
func laptopNo(n int) bed.Options {
	return bed.Options{Serial: fmt.Sprintf("SHC006%05d", n), UUID: fmt.Sprintf("5b2e8a3c-9d41-4f6e-8a70-1c0de06%05d", n)}
}

// pupil is a child whose Journal is safe at school, as it was then.
type pupil struct {
	*bed.XO
	account string
	journal bed.Journal
	owner   bed.Options // whose it is
}

// pupilAt has a child register, make n entries and back them up.
func pupilAt(t *testing.T, s *bed.XS, o bed.Options, n int) pupil {
	t.Helper()
	x := bed.XOFor(t, o)
	register(t, x, s)
	return backsUp(t, x, n)
}

// backsUp has a child that is registered make n entries and back them up.
func backsUp(t *testing.T, x *bed.XO, n int) pupil {
	t.Helper()
	_, journal := fill(t, x, n)
	done(t, x, "Backup")
	return pupil{x, property[string](t, x, "Account"), journal, x.Options}
}

// bareAt is a laptop in the school's network whose Sugar was never started.
func bareAt(t *testing.T, s *bed.XS, o bed.Options) *bed.XO {
	t.Helper()
	o.Bare = true
	x := bed.XOFor(t, o)
	must(t, x.PointAt(s))
	return x
}

func reflash(t *testing.T, x *bed.XO, s *bed.XS) {
	t.Helper()
	must(t, x.Reflash(t.Context()))
	must(t, x.PointAt(s))
}

// offer is one of FindBackups.
type offer struct {
	Account, Nick, Color, Group, Claim string
	Entries                            uint32
}

func offers(t *testing.T, x *bed.XO) (list []offer) {
	t.Helper()
	var found []map[string]dbus.Variant
	must(t, x.Backup().Call("org.laptop.Backup.FindBackups", 0).Store(&found))
	for _, f := range found {
		text := func(name string) string { s, _ := f[name].Value().(string); return s }
		o := offer{text("account"), text("nick"), text("color"), text("group"), text("claim"), 0}
		o.Entries, _ = f["entries"].Value().(uint32)
		if last, _ := f["last_backup"].Value().(int64); last == 0 != (o.Entries == 0) {
			t.Errorf("%+v was backed up last at %d", o, last)
		}
		list = append(list, o)
	}
	return list
}

// offered is what the school offers to the pupil's laptop.
func (p pupil) offered(claim string) offer {
	o := p.owner
	return offer{p.account, o.Nick, o.Color, o.Group, claim, uint32(len(p.journal))}
}

// offersOnly checks that a laptop is offered just these.
func offersOnly(t *testing.T, x *bed.XO, want ...offer) {
	t.Helper()
	if got := offers(t, x); !sameSet(got, want) {
		t.Errorf("offered: %+v, not %+v", got, want)
	}
}

func sameSet[E comparable](a, b []E) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(e E) bool { return !slices.Contains(b, e) })
}

// claim asks to be let in.
func claim(t *testing.T, x *bed.XO, account, code string) (state, sign string) {
	t.Helper()
	must(t, x.Backup().Call("org.laptop.Backup.Claim", 0, account, code).Store(&state, &sign))
	return state, sign
}

// letIn claims what has to be granted at once.
func letIn(t *testing.T, x *bed.XO, account, code string) {
	t.Helper()
	if state, _ := claim(t, x, account, code); state != "granted" {
		t.Fatalf("claim of %q: %s", account, state)
	}
}

// waits claims what has to wait for a person, and answers the sign.
func waits(t *testing.T, x *bed.XO, account string) string {
	t.Helper()
	state, sign := claim(t, x, account, "")
	if state != "pending" || len(strings.Fields(sign)) != 3 {
		t.Fatalf("claim of %q: %s, sign %q", account, state, sign)
	}
	if why := property[string](t, x, "StateReason"); !strings.Contains(why, sign) {
		t.Errorf("a child reads %q, and not the sign %q", why, sign)
	}
	return sign
}

// deniedClaim claims what has to fail with that error, and answers its words.
func deniedClaim(t *testing.T, x *bed.XO, want, account, code string) string {
	t.Helper()
	err := x.Backup().Call("org.laptop.Backup.Claim", 0, account, code).Err
	refused(t, err, want)
	return err.Error()
}

func dismiss(t *testing.T, x *bed.XO, reason string) {
	t.Helper()
	must(t, x.Backup().Call("org.laptop.Backup.Dismiss", 0, reason).Err)
}

func stateIs(t *testing.T, x *bed.XO, want string) {
	t.Helper()
	if got := property[string](t, x, "State"); got != want {
		t.Errorf("state %s, not %s: %s", got, want, property[string](t, x, "StateReason"))
	}
}

// told waits for the signal that a claim has come to a state.
func told(t *testing.T, claims <-chan bed.Claimed, account, state string) {
	t.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case c, ok := <-claims:
			if !ok {
				t.Fatal("the bus is gone")
			}
			if c == (bed.Claimed{Account: account, State: state}) {
				return
			}
			if c.State != "pending" {
				t.Fatalf("ClaimChanged %+v, not %s %s", c, account, state)
			}
		case <-patience:
			t.Fatalf("nobody told that the claim of %q is %s", account, state)
		}
	}
}

func listen(t *testing.T, x *bed.XO) <-chan bed.Claimed {
	t.Helper()
	claims, err := x.Claims()
	must(t, err)
	return claims
}

// line is an account as 'xs-backupd accounts --json' has it.
type line struct {
	Account, Nick, Color, Group string
	Machines                    []struct {
		Serial string
		Writes bool
	}
	Snapshots int
	Pinned    []string
	Entries   int
	Requests  []request
	LooksLike []string `json:"looks_like"`
}

type request struct {
	Sign, State, By, Nick, Serial, Account, Key string
	Beside                                      []string
	Back                                        int64
}

func accounts(t *testing.T, s *bed.XS) (list []line) {
	t.Helper()
	out, err := s.Run(t.Context(), "accounts", "--json")
	must(t, err)
	must(t, json.Unmarshal([]byte(out), &list))
	return list
}

// accountLine is that of one account; "" is of the laptops that wait for none.
func accountLine(t *testing.T, s *bed.XS, account string) line {
	t.Helper()
	list := accounts(t, s)
	i := slices.IndexFunc(list, func(l line) bool { return l.Account == account })
	if i < 0 {
		t.Fatalf("there is no account %q: %+v", account, list)
	}
	return list[i]
}

// by answers the request with that sign.
func (l line) by(t *testing.T, sign string) request {
	t.Helper()
	i := slices.IndexFunc(l.Requests, func(r request) bool { return r.Sign == sign })
	if i < 0 {
		t.Fatalf("nobody asks for %q by %q: %+v", l.Account, sign, l.Requests)
	}
	return l.Requests[i]
}

// writer is the serial of the laptop that backs up.
func (l line) writer() string {
	for _, m := range l.Machines {
		if m.Writes {
			return m.Serial
		}
	}
	return ""
}

// admin runs a verb of the administrator's.
func admin(t *testing.T, s *bed.XS, words ...string) string {
	t.Helper()
	out, err := s.Run(t.Context(), words...)
	must(t, err)
	return strings.TrimSpace(out)
}

// atSchool is what the server keeps of an account: who may do what, and its
// snapshots.
func atSchool(t *testing.T, s *bed.XS, account string) string {
	t.Helper()
	kept, err := os.ReadFile(filepath.Join(s.Root, account, "account.json"))
	must(t, err)
	snapshots, err := os.ReadDir(filepath.Join(s.Root, account, "snapshots"))
	must(t, err)
	return fmt.Sprint(string(kept), snapshots)
}

// setting reads one of Sugar's settings.
func setting(t *testing.T, x *bed.XO, schema, key string) string {
	t.Helper()
	out, err := x.Command(t.Context(), "gsettings", "get", schema, key).Output()
	must(t, err)
	return strings.Trim(strings.TrimSpace(string(out)), "'")
}

// isOf checks whose profile it is.
func isOf(t *testing.T, x *bed.XO, want bed.Options) {
	t.Helper()
	for key, value := range map[string]string{"nick": want.Nick, "color": want.Color, "group-label": want.Group} {
		if got := setting(t, x, "org.sugarlabs.user", key); got != value {
			t.Errorf("%s %q, not %q", key, got, value)
		}
	}
}

// isBack checks that a child has everything again, on that laptop, and that its
// next backup goes on where the last one ended.
func (p pupil) isBack(t *testing.T, x *bed.XO) {
	t.Helper()
	stateIs(t, x, "idle")
	done(t, x, "Restore", "")
	holds(t, x, p.journal)
	isOf(t, x, p.owner)
	_, err := x.Create(t.Context(), bed.Samples(1, 9)[0])
	must(t, err)
	must(t, x.Settle(t.Context()))
	done(t, x, "Backup")
	list := snapshots(t, x)
	if newest := list[0]["entries"].Value(); newest != uint32(len(p.journal)+1) || len(list) < 2 {
		t.Errorf("the newest of %d snapshots has %v entries", len(list), newest)
	}
	if got := property[string](t, x, "Account"); got != p.account {
		t.Errorf("account %s, not %s", got, p.account)
	}
}
