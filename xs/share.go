package xs

import (
	"sync"

	"github.com/sugarlabs/xo-backupd/xs/store"
)

// What one account may have at once: a laptop needs one of each, and an old
// connection of the same laptop may not be gone yet.
const (
	sessionsOfOne = 2 // backups, of which the account's lock lets in one, restores and stock rsync
	apisOfOne     = 4
	// connectionsOfOne of its connections: one in so many of all.
	connectionsOfOne = 10
)

// share bounds how much of something one account takes, so that no laptop has
// all of it.
type share struct {
	most int
	mu   sync.Mutex
	have map[store.AccountID]int
}

func newShare(most int) *share { return &share{most: most, have: map[store.AccountID]int{}} }

func (s *share) enter(id store.AccountID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have[id] == s.most {
		return false
	}
	s.have[id]++
	return true
}

func (s *share) leave(id store.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have[id]--; s.have[id] == 0 {
		delete(s.have, id)
	}
}
