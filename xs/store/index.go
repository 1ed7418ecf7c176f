package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// accountsLog names the accounts, a line each, as they are made and changed.
// Whoever does that holds its lock: who has read it to the end, under the lock,
// knows of every change, whichever process made it.
const accountsLog = ownDir + "/accounts.log"

// index finds accounts by what is in them. Anybody may ask a school server for
// a serial, so that must not cost a look at every account. What it answers is a
// hint: the account is read, and has the last word.
type index struct {
	mu       sync.Mutex
	seen     mark
	words    map[AccountID][]word
	accounts map[word][]AccountID
}

// word stands for a key, a serial or a code.
type word [16]byte

func wordOf(kind, s string) word {
	sum := sha256.Sum256([]byte(kind + " " + s))
	return word(sum[:])
}

func keyWord(line string) word  { return wordOf("key", line) }
func serialWord(s Serial) word  { return wordOf("serial", string(s)) }
func codeWord(hash string) word { return wordOf("code", hash) }

func (a *Account) words() []word {
	var words []word
	for _, k := range a.Keys {
		words = append(words, keyWord(k.Key))
	}
	for _, m := range slices.Concat(a.Machines, a.Aliases) {
		words = append(words, serialWord(m.Serial))
	}
	for _, c := range a.Claims {
		words = append(words, keyWord(c.Key))
		if c.Code != "" {
			words = append(words, codeWord(c.Code))
		}
	}
	for _, c := range a.Codes {
		words = append(words, codeWord(c.Hash))
	}
	// Each once: an account is not several that have the same.
	slices.SortFunc(words, func(x, y word) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(words)
}

// mark changes when accounts do: the log when one of us changes them, the root's
// own time also when an administrator copies or removes a folder.
type mark struct{ log, root fileSig }

func (s *Store) mark() (m mark, err error) {
	fi, err := s.root.Lstat(".")
	if err != nil {
		return m, err
	}
	m.root = sigOf(fi)
	fi, err = s.root.Lstat(accountsLog)
	if err == nil {
		m.log = sigOf(fi)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil // nothing has changed yet
	}
	return m, err
}

// lockedLog is accounts.log, locked.
type lockedLog struct {
	*os.File
	turn <-chan struct{}
}

// Close lets the next one have it.
func (l *lockedLog) Close() error {
	defer func() { <-l.turn }()
	return l.File.Close()
}

// lockLog waits for accounts.log. Those of this process take turns, in the order
// of their coming, so that one of them alone looks whether another process is
// through.
func (s *Store) lockLog(ctx context.Context) (*lockedLog, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for %s: %w", accountsLog, context.Cause(ctx))
	}
	f, err := waitLock(ctx, s.root, accountsLog)
	if err != nil {
		<-s.turn
		return nil, err
	}
	return &lockedLog{f, s.turn}, nil
}

// changing announces that the account is about to change. The change is made
// before log is closed.
func (s *Store) changing(ctx context.Context, id AccountID) (*lockedLog, error) {
	log, err := s.lockLog(ctx)
	if err != nil {
		return nil, err
	}
	if err := note(log, id); err != nil {
		log.Close()
		return nil, err
	}
	return log, nil
}

// note writes to the log, which is locked.
func note(log *lockedLog, id AccountID) error {
	if _, err := log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	_, err := fmt.Fprintln(log, id)
	return err
}

// refresh brings the index up to date, if anything has changed.
func (s *Store) refresh(ctx context.Context) error {
	now, err := s.mark()
	if err != nil {
		return err
	}
	s.index.mu.Lock()
	fresh := s.index.seen == now
	s.index.mu.Unlock()
	if fresh {
		return nil
	}
	log, err := s.lockLog(ctx)
	if errors.Is(err, fs.ErrNotExist) { // a folder that no server has had yet
		return s.catchUp(nil)
	}
	if err != nil {
		return err
	}
	defer log.Close()
	return s.catchUp(log)
}

// catchUp brings the index up to date. The caller holds the log's lock.
func (s *Store) catchUp(log *lockedLog) error {
	now, err := s.mark()
	if err != nil {
		return err
	}
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if now == x.seen {
		return nil
	}
	if x.words == nil || now.log.size < x.seen.log.size {
		x.words, x.accounts, x.seen = map[AccountID][]word{}, map[word][]AccountID{}, mark{}
	}
	changed, err := linesFrom(log, x.seen.log.size)
	if err != nil {
		return err
	}
	for _, id := range changed {
		x.forget(id)
	}
	if now.root != x.seen.root {
		if changed, err = s.strangers(); err != nil {
			return err
		}
	}
	for _, id := range changed {
		if err := s.enter(id); err != nil {
			s.log.Error("account left out", "account", id, "error", err)
		}
	}
	x.seen = now
	return nil
}

func linesFrom(log *lockedLog, at int64) (ids []AccountID, err error) {
	if log == nil {
		return nil, nil
	}
	if _, err := log.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	scan := bufio.NewScanner(log)
	for scan.Scan() {
		if id, err := ParseAccountID(scan.Text()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, scan.Err()
}

// strangers forgets the accounts whose folders are gone, and answers the folders
// that the index does not know.
func (s *Store) strangers() (ids []AccountID, err error) {
	names, err := readNames(s.root, ".")
	if err != nil {
		return nil, err
	}
	there := make(map[AccountID]bool, len(names))
	for _, name := range names {
		id, err := ParseAccountID(name)
		if err != nil {
			continue // .xs, lost+found, an administrator's notes
		}
		there[id] = true
		if _, ok := s.index.words[id]; !ok {
			ids = append(ids, id)
		}
	}
	for id := range s.index.words {
		if !there[id] {
			s.index.forget(id)
		}
	}
	return ids, nil
}

// enter reads an account that the index does not know. It does not go through
// the cache, which holds those that come: nobody needs all of them at once.
func (s *Store) enter(id AccountID) error {
	x := &s.index
	if _, ok := x.words[id]; ok { // it is in the log more than once
		return nil
	}
	b, err := s.root.ReadFile(string(id) + "/account.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	a, err := decodeAccount(id, b)
	if err != nil {
		return err
	}
	x.words[id] = a.words()
	for _, w := range x.words[id] {
		x.accounts[w] = append(x.accounts[w], id)
	}
	return nil
}

func (x *index) forget(id AccountID) {
	for _, w := range x.words[id] {
		left := slices.DeleteFunc(x.accounts[w], func(other AccountID) bool { return other == id })
		if len(left) == 0 {
			delete(x.accounts, w)
		} else {
			x.accounts[w] = left
		}
	}
	delete(x.words, id)
}

func (x *index) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.words)
}

// tooMany accounts have one serial: then it says nothing.
const tooMany = 16

// under reads the accounts that are entered under w, or the first of too many.
// The index is up to date.
func (s *Store) under(w word) (accounts []*Account, many bool) {
	s.index.mu.Lock()
	ids := slices.Clone(s.index.accounts[w])
	s.index.mu.Unlock()
	many = len(ids) > tooMany
	for _, id := range ids[:min(len(ids), tooMany)] {
		a, err := s.Account(id)
		if err == nil {
			accounts = append(accounts, a)
		} else if !errors.Is(err, ErrNoAccount) {
			s.log.Error("account left out", "account", id, "error", err)
		}
	}
	return accounts, many
}
