package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Registration is what Sugar sends. Nothing in it is proved: it can make an
// account, and never touch one.
type Registration struct {
	Serial Serial
	UUID   string
	Nick   string
	Key    ssh.PublicKey
	// Own: the key was proved, and whoever has it is none of the children that the
	// machine is known to have. It gets an account of its own.
	Own bool
}

// ErrOtherKey: a machine that is known came with another key.
var ErrOtherKey = errors.New("this laptop is already known here, with another key")

// OtherKeyError is ErrOtherKey, and the sign of the request that it became.
type OtherKeyError struct{ Sign string }

func (e *OtherKeyError) Error() string {
	return fmt.Sprintf("%v; it asks to be let in again, and waits for the school server's administrator under the sign: %s", ErrOtherKey, e.Sign)
}
func (e *OtherKeyError) Unwrap() error { return ErrOtherKey }

// ErrFull: no more accounts are made.
var ErrFull = errors.New("this school server takes no more laptops")

// Register answers the account of whoever holds the key, and makes one where
// the key is new. Saying the same again is answered the same. A known machine
// with a new key is not let in, since the key may be anybody's: it asks for that.
func (s *Store) Register(ctx context.Context, r Registration, maxAccounts int) (AccountID, error) {
	if r.Own {
		// A person may have let it in before it said so, or it was let in by mistake: else
		// that account would be answered as its own.
		if err := s.leaveAll(ctx, r.Key); err != nil {
			return "", err
		}
	}
	id, err := s.register(ctx, r, maxAccounts)
	if err == nil && r.Own {
		err = s.withdraw(ctx, r)
	}
	if !errors.Is(err, ErrOtherKey) {
		return id, err
	}
	known, again := s.recognised(ctx, Machine{Serial: r.Serial, UUID: r.UUID})
	if again != nil || len(known) != 1 {
		return "", errors.Join(err, again) // of several children only a claim says which
	}
	secret, again := s.secret(ctx)
	if again != nil {
		return "", again
	}
	c := Claimant{Machine: Machine{Serial: r.Serial, UUID: r.UUID}, Key: r.Key, Kind: Owner, Nick: r.Nick}
	asked := c.claim(ByRegistration, sign(secret, keyLine(r.Key), string(known[0].ID)))
	again = s.edit(ctx, known[0].ID, func(a *Account) error {
		if c := a.broughtIn(asked.Key); c != nil {
			asked.Sign = c.Sign // it waits with that: one laptop, one question
			return nil
		}
		_, err := a.enter(asked, s.now().Unix())
		return err
	})
	if again != nil {
		return "", again
	}
	return "", &OtherKeyError{asked.Sign}
}

// withdraw takes back what the machine's child has asked for before it wanted an
// account of its own: with this key, or by a registration, which Sugar made of its
// other one. Else it would come into another child's Journal with the next yes.
func (s *Store) withdraw(ctx context.Context, r Registration) error {
	m, line := Machine{Serial: r.Serial, UUID: r.UUID}, keyLine(r.Key)
	asks := func(c Claim) bool {
		return c.State == Waits && (c.Key == line || c.By == ByRegistration) && m.is(Machine{Serial: c.Serial, UUID: c.UUID})
	}
	known, err := s.recognised(ctx, m)
	if err != nil {
		return err
	}
	for _, a := range known {
		if !slices.ContainsFunc(a.Claims, asks) {
			continue
		}
		err := s.edit(ctx, a.ID, func(a *Account) error {
			for _, c := range a.Claims {
				if asks(c) {
					a.noteClaim(s.now().Unix(), "withdrawn", &c, c.By)
				}
			}
			a.Claims = slices.DeleteFunc(a.Claims, asks)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.unqueue(ctx, line)
}

func (s *Store) register(ctx context.Context, r Registration, maxAccounts int) (AccountID, error) {
	if err := checkWords(r.UUID, r.Nick); err != nil {
		return "", err
	}
	// One registration at a time, whoever makes it, so that two of the same
	// machine do not make two accounts.
	log, err := s.lockLog(ctx)
	if err != nil {
		return "", err
	}
	defer log.Close()
	if err := s.catchUp(log); err != nil {
		return "", err
	}
	holders, _ := s.under(keyWord(keyLine(r.Key)))
	if id := newestOf(holders, r.Key); id != "" {
		return id, nil
	}
	m := Machine{Serial: r.Serial, UUID: r.UUID, Writes: true, Since: s.now().Unix()}
	same, shared := s.under(serialWord(m.Serial))
	known := false
	for _, a := range same {
		for _, o := range a.Machines {
			shared = shared || o.Serial == m.Serial && !strings.EqualFold(o.UUID, m.UUID)
			known = known || o.Serial == m.Serial
		}
	}
	if m.Speaks() && !shared && known && !r.Own {
		return "", ErrOtherKey
	}
	if n := s.index.count(); n >= maxAccounts {
		return "", fmt.Errorf("%w: there are %d accounts", ErrFull, n)
	}
	id := newAccountID()
	if m.Speaks() && !shared {
		// The serial names the folder, unless something there has that name.
		if own, err := ParseAccountID(string(m.Serial)); err == nil {
			if _, err := s.root.Lstat(string(own)); errors.Is(err, fs.ErrNotExist) {
				id = own
			}
		}
	}
	if err := note(log, id); err != nil {
		return "", err
	}
	return id, s.create(&Account{Format: accountFormat, ID: id, Nick: r.Nick, Created: m.Since,
		Machines: []Machine{m},
		Keys:     []Key{{Key: keyLine(r.Key), Kind: Owner, Serial: m.Serial, Added: m.Since}}})
}

// newestOf answers the account that the key is in: the one that it came into last,
// since a claim may have moved it. One whose place another took counts last.
func newestOf(holders []*Account, key ssh.PublicKey) (id AccountID) {
	var best Key
	for _, a := range holders {
		k, ok := a.FindKey(key)
		if ok && (id == "" || best.Former != "" && k.Former == "" || (best.Former == "") == (k.Former == "") && k.Added > best.Added) {
			id, best = a.ID, k
		}
	}
	return id
}

// create makes the account's folder beside and gives it its name when whole.
func (s *Store) create(a *Account) error {
	b, err := a.encode()
	if err != nil {
		return err
	}
	temp := ownDir + "/" + tempName()
	if err := s.root.Mkdir(temp, 0o700); err != nil {
		return err
	}
	err = s.root.Mkdir(temp+"/snapshots", 0o700)
	if err == nil {
		err = s.root.Mkdir(temp+"/current", 0o755)
	}
	if err == nil {
		err = writeFile(s.root, temp+"/account.json", b, 0o600) // syncs the folder too
	}
	if err == nil {
		err = s.root.Rename(temp, string(a.ID))
	}
	if err != nil {
		s.root.RemoveAll(temp)
		return err
	}
	return syncDir(s.root, ".")
}

// ErrReadsOnly: a machine that only reads asked for what is another's to give.
var ErrReadsOnly = errors.New("this laptop only reads this Journal, so it may let in keys of its own alone; " +
	"ask with the key of the profile itself, or on the laptop that backs up")

// AddKey lets a further key into the account, for the machine of that serial.
// via is the key that opened the session which asks. If via writes, so does
// the machine of the new key: it is the same profile, on a machine that has
// another serial now (off the XO, Sugar makes a new one at each registration),
// or on one that wrote before and does so again, with the key that it had. If
// via only reads, it says nothing of who writes, and nothing of other machines.
func (s *Store) AddKey(ctx context.Context, id AccountID, via Key, key ssh.PublicKey, serial Serial) error {
	after, err := s.afterOthers(ctx, id, keyLine(key))
	if err != nil {
		return err
	}
	return s.edit(ctx, id, func(a *Account) error {
		writes := a.MayWrite(via)
		known, ok := a.FindKey(key)
		if !writes && (serial != via.Serial || ok && known.Serial != serial) {
			return ErrReadsOnly
		}
		now := s.now().Unix()
		if err := a.setKey(Key{Key: keyLine(key), Kind: Backup, Serial: serial, Added: max(now, after), Claim: via.Claim, Former: via.Former}); err != nil {
			return err
		}
		if err := a.setMachine(Machine{Serial: serial, Since: now}); err != nil {
			return err
		}
		if writes {
			for i := range a.Machines {
				a.Machines[i].Writes = a.Machines[i].Serial == serial
			}
			for i := range a.Keys {
				if k := &a.Keys[i]; k.Key == keyLine(key) {
					k.Former = "" // if it was one: it comes again, by who writes
					k.Added = max(k.Added, after)
				}
			}
		}
		return nil
	})
}

// afterOthers answers a moment after the key came into each other account, 0 if it
// is in none: it belongs where it came last, also within a second, or where the
// clock was put back.
func (s *Store) afterOthers(ctx context.Context, id AccountID, line string) (after int64, err error) {
	if err := s.refresh(ctx); err != nil {
		return 0, err
	}
	holders, _ := s.under(keyWord(line))
	for _, a := range holders {
		for _, k := range a.Keys {
			if a.ID != id && k.Key == line {
				after = max(after, k.Added+1)
			}
		}
	}
	return after, nil
}

// ErrNotWriter: only who writes may say that.
var ErrNotWriter = errors.New("another laptop is the one that backs up this Journal; this one may only read it")

// setKey adds a key, or notes that one which is known belongs to another machine
// now. What kind of key it is stays.
func (a *Account) setKey(k Key) error {
	for i := range a.Keys {
		if a.Keys[i].Key == k.Key {
			a.Keys[i].Serial = k.Serial
			return nil
		}
	}
	if len(a.Keys) >= maxKeys {
		return fmt.Errorf("account %s has %d keys already", a.ID, len(a.Keys))
	}
	a.Keys = append(a.Keys, k)
	return nil
}

// setMachine adds a machine, unless one of that serial is there.
func (a *Account) setMachine(m Machine) error {
	if a.has(m.Serial) {
		return nil
	}
	if len(a.Machines) >= maxMachines {
		return fmt.Errorf("account %s has %d machines already", a.ID, len(a.Machines))
	}
	a.Machines = append(a.Machines, m)
	return nil
}

// Sweep removes what former servers left: accounts in the making, and the log of
// changes that nobody needs any more. Only for a server that begins.
func (s *Store) Sweep(ctx context.Context) error {
	log, err := s.lockLog(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := log.Truncate(0); err != nil {
		return err
	}
	names, err := readNames(s.root, ownDir)
	for _, name := range names {
		if isTemp(name) {
			err = errors.Join(err, s.root.RemoveAll(ownDir+"/"+name))
		}
	}
	return err
}
