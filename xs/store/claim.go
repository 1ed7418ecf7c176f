package store

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
)

// ClaimID names a claim within its account.
type ClaimID string

// State is that of a claim.
type State string

const (
	Waits   State = wire.ClaimPending
	Granted State = wire.ClaimGranted
	Refused State = wire.ClaimRefused
	Frozen  State = wire.ClaimFrozen
)

// How a claim came, or was decided.
type How string

const (
	ByPolicy       How = "automatic"    // the machine was recognised
	ByPerson       How = "approval"     // an administrator said yes, or no
	ByCode         How = "code"         // it had a code
	ByAlias        How = "alias"        // an administrator had named the machine
	ByRegistration How = "registration" // Sugar registered a machine that is known
)

// Claim is a key that wants to be let into the account, or was.
type Claim struct {
	ID     ClaimID `json:"id"`
	Key    string  `json:"key"` // an authorized_keys line without comment
	Kind   Kind    `json:"kind"`
	Serial Serial  `json:"serial"`
	UUID   string  `json:"uuid"`
	Nick   string  `json:"nick,omitempty"`
	Sign   string  `json:"sign"`
	State  State   `json:"state"`
	By     How     `json:"by,omitempty"`
	Asked  int64   `json:"asked"`             // Unix seconds
	Since  int64   `json:"decided,omitempty"` // of its state, likewise
	// Back is when a former key of another machine was first seen again.
	Back int64 `json:"back,omitempty"`
	// Code is the hash of the code that let it in.
	Code string `json:"code,omitempty"`
	// What taking it back brings back: the serial that wrote, the machine that was
	// not listed, and what the key was of before.
	Was     Serial  `json:"was"`
	Lists   bool    `json:"lists,omitempty"`
	Known   bool    `json:"known,omitempty"`
	KnownAs ClaimID `json:"known_as,omitempty"`
}

// Bounds of what waits, and of what is remembered.
const (
	maxClaims  = 64
	maxWaiting = 16
	maxGranted = 8
	// waitTime is how long a request may wait, and a code be used; noTime is how
	// long a no counts. Both in seconds.
	waitTime = 7 * 24 * 3600
	noTime   = 24 * 3600
)

// Claimant is a machine that asks to be let in, and the key that it is to be let
// in with, which it has proved to hold.
type Claimant struct {
	Machine
	Key  ssh.PublicKey
	Kind Kind
	Nick string
	// From is the address that it asks from.
	From string
}

func (c Claimant) check() error {
	return checkWords(c.UUID, c.Nick)
}

// checkWords answers what is wrong with what a machine says of itself.
func checkWords(uuid, nick string) error {
	if len(uuid) > maxUUID || strings.ContainsFunc(uuid, func(c rune) bool { return c < ' ' || c > '~' }) {
		return &NameError{"uuid", uuid, fmt.Sprintf("is not up to %d printable characters", maxUUID)}
	}
	if len(nick) > maxNick || !utf8.ValidString(nick) {
		return &NameError{"nick", nick, fmt.Sprintf("is not text of up to %d bytes", maxNick)}
	}
	return nil
}

// Fingerprint is how people tell keys apart; line is as in authorized_keys.
func Fingerprint(line string) string {
	key, err := ParseKey(line)
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(key)
}

// claim answers the claim of that name.
func (a *Account) claim(id ClaimID) *Claim {
	return a.claimThat(func(c *Claim) bool { return c.ID == id })
}

// claimThat answers the newest claim that is so, or nil.
func (a *Account) claimThat(is func(*Claim) bool) *Claim {
	for i := len(a.Claims) - 1; i >= 0; i-- {
		if is(&a.Claims[i]) {
			return &a.Claims[i]
		}
	}
	return nil
}

// current is what is to be said of a claim by now: those that nobody answered, and
// a no of long ago, are none.
func (c *Claim) current(now int64) bool {
	switch c.State {
	case Waits:
		return now-c.Asked < waitTime
	case Refused:
		return now-c.Since < noTime
	}
	return true
}

// enter enters a request, unless the key has one that counts.
func (a *Account) enter(c Claim, now int64) (*Claim, error) {
	former := slices.ContainsFunc(a.Keys, func(k Key) bool { return k.Key == c.Key && k.Former != "" })
	if known := a.claimThat(func(k *Claim) bool { return k.Key == c.Key && k.current(now) }); known != nil && !(former && known.State == Granted) {
		return known, nil
	}
	// A request that nobody answered makes room, and so do the oldest of too many.
	a.Claims = slices.DeleteFunc(a.Claims, func(k Claim) bool { return k.State == Waits && !k.current(now) })
	a.forget(maxGranted - 1)
	a.shed(maxWaiting-1, func(k Claim) bool { return k.State == Waits })
	a.shed(maxClaims-1, func(k Claim) bool { return true })
	if len(a.Claims) >= maxClaims {
		return nil, fmt.Errorf("account %s has let in %d machines already: 'xs-backupd approve %s --refuse' takes one back", a.ID, len(a.Claims), a.ID)
	}
	c.State, c.Asked = Waits, now
	a.Claims = append(a.Claims, c)
	a.noteClaim(now, "asked", &c, c.By)
	a.events[len(a.events)-1].idle = true
	return &a.Claims[len(a.Claims)-1], nil
}

// shed drops the oldest claims of a kind, until there are no more than most. What
// is in effect stays.
func (a *Account) shed(most int, of func(Claim) bool) {
	n := 0
	for _, c := range a.Claims {
		if of(c) {
			n++
		}
	}
	a.Claims = slices.DeleteFunc(a.Claims, func(c Claim) bool {
		if n <= most || !of(c) || c.State == Granted || c.State == Frozen {
			return false
		}
		n--
		return true
	})
}

// forget drops the oldest claims that others followed, until no more than most are
// granted, and the keys that came by them: a laptop may be set up anew each month.
func (a *Account) forget(most int) {
	for {
		n, oldest := 0, -1
		for i, c := range a.Claims {
			if c.State != Granted {
				continue
			}
			n++
			if next, ok := a.formerOf(c.Key); ok && next != "" && oldest < 0 {
				oldest = i
			}
		}
		if n <= most || oldest < 0 {
			return
		}
		c := a.Claims[oldest]
		next, _ := a.formerOf(c.Key)
		for i := range a.Keys {
			if a.Keys[i].Former == c.ID {
				a.Keys[i].Former = next
			}
		}
		a.Keys = slices.DeleteFunc(a.Keys, func(k Key) bool { return k.Claim == c.ID })
		a.Claims = slices.Delete(a.Claims, oldest, oldest+1)
	}
}

// broughtIn answers the claim that the key is in the account by, or nil.
func (a *Account) broughtIn(key string) *Claim {
	for _, k := range a.Keys {
		if k.Key == key && k.Claim != "" {
			return a.claim(k.Claim)
		}
	}
	return nil
}

// formerOf answers by which claim the key became a former one, if it is there.
func (a *Account) formerOf(key string) (ClaimID, bool) {
	for _, k := range a.Keys {
		if k.Key == key {
			return k.Former, true
		}
	}
	return "", false
}

// grant lets the claim's key in: its machine is the one that writes from now on.
// The keys of before are not removed: they may read, and tell if they come again
// that the claim was none of its child's.
func (a *Account) grant(c *Claim, by How, now int64) error {
	writer, _ := a.Writer()
	again := c.State == Frozen
	if !again {
		c.Was = writer.Serial
		c.Lists = !a.has(c.Serial)
	}
	for i := range a.Keys {
		switch k := &a.Keys[i]; {
		case k.Key == c.Key && k.Claim != c.ID:
			c.Known, c.KnownAs, k.Former, k.Serial = true, k.Former, "", c.Serial
		case k.Claim == c.ID:
			k.Former = ""
		case k.Former == "":
			k.Former = c.ID
		}
	}
	if !c.Known && !again {
		if err := a.setKey(Key{Key: c.Key, Kind: c.Kind, Serial: c.Serial, Added: now, Claim: c.ID}); err != nil {
			return err
		}
	}
	if err := a.setMachine(Machine{Serial: c.Serial, UUID: c.UUID, Since: now}); err != nil {
		return err
	}
	for i := range a.Machines {
		m := &a.Machines[i]
		m.Writes = m.Serial == c.Serial
		if m.Writes && m.UUID == "" {
			m.UUID = c.UUID
		}
	}
	c.State, c.By, c.Since = Granted, by, now
	a.noteClaim(now, "granted", c, by)
	// What the same machine asked for besides is answered by this.
	m := Machine{Serial: c.Serial, UUID: c.UUID}
	id := c.ID
	a.Claims = slices.DeleteFunc(a.Claims, func(o Claim) bool {
		return o.ID != id && o.State == Waits && m.is(Machine{Serial: o.Serial, UUID: o.UUID})
	})
	return nil
}

// suspend takes the claim out of effect: things are as if it had not been granted.
func (a *Account) suspend(c *Claim, to State, now int64) {
	// If another claim came since, that one is what the keys of before gave way to.
	next, _ := a.formerOf(c.Key)
	for i := range a.Keys {
		k := &a.Keys[i]
		if k.Former == c.ID {
			k.Former = next
		}
		if k.Key == c.Key && c.Known {
			k.Former, c.Known = c.KnownAs, false
		}
	}
	if next == "" {
		for i := range a.Machines {
			a.Machines[i].Writes = a.Machines[i].Serial == c.Was
		}
	}
	c.State, c.Since = to, now
}

// takeBack undoes a claim for good: the keys that came by it go.
func (a *Account) takeBack(c *Claim, now int64) {
	if c.State == Granted {
		a.suspend(c, Refused, now)
	}
	a.Keys = slices.DeleteFunc(a.Keys, func(k Key) bool { return k.Claim == c.ID })
	if c.Lists && !slices.ContainsFunc(a.Keys, func(k Key) bool { return k.Serial == c.Serial }) {
		a.Machines = slices.DeleteFunc(a.Machines, func(m Machine) bool { return m.Serial == c.Serial })
	}
	c.State, c.Since = Refused, now
}

// settle makes a claim final after it was frozen: the other one of the machine's
// two was not the child's.
func (a *Account) settle(c *Claim) {
	a.Keys = slices.DeleteFunc(a.Keys, func(k Key) bool { return k.Former == c.ID && k.Serial == c.Serial })
}

// cameBack is told of each key that opened a connection. A machine that was set up
// anew has its old key no more: if that key comes, somebody else claimed.
func (a *Account) cameBack(key string, now int64) {
	for range a.Claims {
		i := slices.IndexFunc(a.Keys, func(k Key) bool { return k.Key == key })
		if i < 0 || a.Keys[i].Former == "" {
			return
		}
		c := a.claim(a.Keys[i].Former)
		if c == nil || c.State != Granted {
			return
		}
		if c.Serial == "" || a.Keys[i].Serial != c.Serial {
			// The machine that was replaced: it reads, as it may.
			if c.Back == 0 {
				c.Back = now
				a.note(Event{Time: now, Event: "former machine came back", Claim: string(c.ID), Serial: a.Keys[i].Serial, Key: Fingerprint(key)})
			}
			return
		}
		a.suspend(c, Frozen, now)
		a.noteClaim(now, "frozen", c, "")
	}
}
