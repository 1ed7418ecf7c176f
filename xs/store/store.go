package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrNoAccount: no such account.
	ErrNoAccount = errors.New("this school server knows no such account")
	// ErrNoSnapshot: no such snapshot, or none at all.
	ErrNoSnapshot = errors.New("there is no such backup")
	// ErrNoEntry: no such entry in a snapshot, or not with what was asked for.
	ErrNoEntry = errors.New("there is no such entry in this backup")
	// ErrInUse: another session holds the account.
	ErrInUse = errors.New("this account is being backed up right now")
)

const ownDir = ".xs"

// Store is the root folder of a school server.
type Store struct {
	root *os.Root
	dir  string
	log  *slog.Logger
	now  func() time.Time

	// step is told each step of making a snapshot. A test ends the process there.
	step func(name string)

	// turn is that of who holds accounts.log, of all in this process.
	turn chan struct{}

	mu    sync.Mutex
	cache map[AccountID]cachedAccount

	index index
}

// cachedAccount is an account.json that was read, with what told its versions apart.
type cachedAccount struct {
	sig     fileSig
	account *Account
}

// Create opens the store in dir, and makes it where there is none.
func Create(dir string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := Open(dir, log)
	if err != nil {
		return nil, err
	}
	if err := s.root.Mkdir(ownDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Open opens the store in dir, which has to exist.
func Open(dir string, log *slog.Logger) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return &Store{root: root, dir: abs, log: log, now: time.Now, step: func(string) {},
		turn: make(chan struct{}, 1), cache: map[AccountID]cachedAccount{}}, nil
}

// Close lets the root go.
func (s *Store) Close() error { return s.root.Close() }

// Dir is the root's absolute path.
func (s *Store) Dir() string { return s.dir }

// ReadOwn reads a file of the server's own.
func (s *Store) ReadOwn(name string) ([]byte, error) {
	return s.root.ReadFile(ownDir + "/" + name)
}

// WriteOwn writes a file of the server's own, durably, readable by nobody else.
func (s *Store) WriteOwn(name string, b []byte) error {
	return writeFile(s.root, ownDir+"/"+name, b, 0o600)
}

// ErrServing: another server has this root.
var ErrServing = errors.New("another xs-backupd serves this folder already")

// Serve claims the root for one server, until release.
func (s *Store) Serve() (release func(), err error) {
	f, ok, err := tryLock(s.root, ownDir+"/serve.lock")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrServing, s.dir)
	}
	return func() { f.Close() }, nil
}

// Serving tells whether a server has the root.
func (s *Store) Serving() (bool, error) {
	if _, err := s.root.Lstat(ownDir + "/serve.lock"); err != nil {
		return false, err
	}
	f, ok, err := tryLock(s.root, ownDir+"/serve.lock")
	if err == nil && ok {
		f.Close()
	}
	return !ok, err
}

// Accounts lists the accounts there are, by id, those too that cannot be read.
func (s *Store) Accounts() ([]AccountID, error) {
	d, err := s.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var ids []AccountID
	for _, name := range names {
		id, err := ParseAccountID(name)
		if err != nil {
			continue // .xs, lost+found, an administrator's notes
		}
		if fi, err := s.root.Lstat(name); err == nil && !fi.IsDir() {
			continue
		}
		if _, err := s.root.Lstat(name + "/account.json"); !errors.Is(err, fs.ErrNotExist) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Account reads an account. What it answers is shared: not to be changed.
func (s *Store) Account(id AccountID) (*Account, error) {
	name := string(id) + "/account.json"
	fi, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, id)
	}
	if err != nil {
		return nil, err
	}
	sig := sigOf(fi)
	s.mu.Lock()
	c, ok := s.cache[id]
	s.mu.Unlock()
	if ok && c.sig == sig {
		return c.account, nil
	}
	b, err := s.root.ReadFile(name)
	if err != nil {
		return nil, err
	}
	a, err := decodeAccount(id, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// account.json is only ever replaced by rename: the signature of an older
	// file beside newer content merely costs another reading.
	s.mu.Lock()
	s.cache[id] = cachedAccount{sig, a}
	s.mu.Unlock()
	return a, nil
}

// Find answers the account that is called name, or that a machine of the
// serial called name writes, if just one is.
func (s *Store) Find(ctx context.Context, name string) (*Account, error) {
	id, err := ParseAccountID(name)
	if err != nil {
		return nil, err
	}
	if a, err := s.Account(id); !errors.Is(err, ErrNoAccount) {
		return a, err
	}
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	all, many := s.under(serialWord(Serial(name)))
	var found *Account
	for _, a := range all {
		if m, ok := a.Writer(); ok && m.Speaks() && m.Serial == Serial(name) {
			many = many || found != nil
			found = a
		}
	}
	if many {
		return nil, fmt.Errorf("%w: serial number %s is that of several", ErrNoAccount, name)
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, name)
	}
	return found, nil
}

// edit changes account.json under its lock.
func (s *Store) edit(ctx context.Context, id AccountID, change func(*Account) error) error {
	if _, err := s.Account(id); err != nil {
		return err
	}
	unlock, err := waitLock(ctx, s.root, string(id)+"/"+accountLock)
	if err != nil {
		return err
	}
	defer unlock.Close()
	name := string(id) + "/account.json"
	b, err := s.root.ReadFile(name)
	if err != nil {
		return err
	}
	a, err := decodeAccount(id, b)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := change(a); err != nil {
		return err
	}
	changed, err := a.encode()
	if err != nil {
		return err
	}
	if bytes.Equal(changed, b) {
		return nil
	}
	log, err := s.changing(ctx, id)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := s.writeEvents(id, a.events); err != nil {
		return err
	}
	s.step("history written")
	return writeFile(s.root, name, changed, 0o600)
}
