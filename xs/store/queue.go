package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

const queueFile = "claims.json"

// Bounds of what waits of machines that nobody knows.
const (
	maxQueue     = 256
	maxQueueFrom = 8 // from one address
)

// Request is a claim of a machine that is not recognised. It waits outside of all
// accounts, whether the account that it names exists or not: so nobody learns
// which.
type Request struct {
	Claim
	// Account is what was said, which may be nothing.
	Account string `json:"account,omitempty"`
	From    string `json:"from"`
}

// Requests lists what waits of machines that are not recognised, oldest first.
func (s *Store) Requests() ([]Request, error) {
	b, err := s.ReadOwn(queueFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []Request
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s, which may be removed: %w", ownDir, queueFile, err)
	}
	now := s.now().Unix()
	return slices.DeleteFunc(list, func(r Request) bool { return !r.current(now) }), nil
}

func (s *Store) editQueue(ctx context.Context, change func([]Request) []Request) error {
	lock, err := s.lockClaims(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	list, err := s.Requests()
	if err != nil {
		return err
	}
	changed := change(slices.Clone(list))
	if slices.Equal(changed, list) {
		return nil // a laptop that waits asks again and again
	}
	b, err := json.MarshalIndent(changed, "", "  ")
	if err != nil {
		return err
	}
	return s.WriteOwn(queueFile, b)
}

// queue has a request wait. Saying the same again changes nothing; who asks for
// more than is decent pushes out what came from the same address.
func (s *Store) queue(ctx context.Context, r Request) error {
	return s.editQueue(ctx, func(list []Request) []Request {
		if slices.ContainsFunc(list, func(o Request) bool { return o.Key == r.Key && o.Account == r.Account }) {
			return list
		}
		list = shed(list, maxQueueFrom-1, func(o Request) bool { return o.From == r.From })
		list = shed(list, maxQueue-1, func(Request) bool { return true })
		return append(list, r)
	})
}

// shed drops the oldest of a kind until there are no more than most.
func shed(list []Request, most int, of func(Request) bool) []Request {
	n := 0
	for _, r := range list {
		if of(r) {
			n++
		}
	}
	return slices.DeleteFunc(list, func(r Request) bool {
		if n <= most || !of(r) {
			return false
		}
		n--
		return true
	})
}

// unqueue removes all requests of a key.
func (s *Store) unqueue(ctx context.Context, line string) error {
	return s.editQueue(ctx, func(list []Request) []Request {
		return slices.DeleteFunc(list, func(r Request) bool { return r.Key == line })
	})
}

// dequeue removes a request that was answered.
func (s *Store) dequeue(ctx context.Context, r Request) error {
	return s.editQueue(ctx, func(list []Request) []Request {
		return slices.DeleteFunc(list, func(o Request) bool { return o.ID == r.ID })
	})
}
