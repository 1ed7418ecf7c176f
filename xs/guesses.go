package xs

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

const (
	// guessesAtOnce are hashed at the same time: each costs some milliseconds.
	guessesAtOnce = 2
	// freeGuesses of an address, wrong ones, cost it nothing within guessTime; each
	// one more takes guessPause, one after the other. A machine that calls itself
	// another one each time would else try all codes in an afternoon. It locks out
	// nobody: a school may be behind one address.
	freeGuesses = 30
	guessTime   = time.Hour
	guessPause  = 5 * time.Second
	// maxGuessers are remembered.
	maxGuessers = 10_000
)

// guesses slows down who tries codes.
type guesses struct {
	slots chan struct{}
	pause time.Duration
	now   func() time.Time

	mu   sync.Mutex
	from map[string]*guesser
}

// guesser is one address.
type guesser struct {
	turn  chan struct{}
	wrong int
	since time.Time
}

func newGuesses() *guesses {
	return &guesses{slots: make(chan struct{}, guessesAtOnce), pause: guessPause, now: time.Now, from: map[string]*guesser{}}
}

// enter waits until a code from that address may be looked at. leave says whether
// it was wrong.
func (g *guesses) enter(ctx context.Context, from string) (leave func(wrong bool), err error) {
	who := g.who(from)
	g.mu.Lock()
	slow := who.wrong >= freeGuesses
	g.mu.Unlock()
	if slow {
		select {
		case who.turn <- struct{}{}:
			defer func() { <-who.turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case <-time.After(g.pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return func(wrong bool) {
		<-g.slots
		if wrong {
			g.mu.Lock()
			defer g.mu.Unlock()
			who.wrong++
		}
	}, nil
}

// who answers what is remembered of an address.
func (g *guesses) who(from string) *guesser {
	// Who has an IPv6 address has many: they share the first half.
	if ip, err := netip.ParseAddr(from); err == nil && ip.Is6() && !ip.Is4In6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			from = p.String()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	who, ok := g.from[from]
	if ok && now.Sub(who.since) < guessTime {
		return who
	}
	if len(g.from) >= maxGuessers {
		for old, o := range g.from {
			if now.Sub(o.since) >= guessTime || o.wrong < freeGuesses {
				delete(g.from, old)
			}
		}
	}
	who = &guesser{turn: make(chan struct{}, 1), since: now}
	g.from[from] = who
	return who
}
