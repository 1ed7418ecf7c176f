package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

const triesFile = "tries.json"

const (
	// freeTries cost no wait, lockedTries lock a machine out for triesTime.
	freeTries, lockedTries = 3, 10
	firstWait              = time.Minute
	triesTime              = 24 * time.Hour
	// maxTried machines are remembered.
	maxTried = 4096
)

// tried is how often in a row a machine was wrong.
type tried struct {
	Wrong int   `json:"wrong"`
	Last  int64 `json:"last"` // Unix seconds
}

// TriesError: a machine was wrong too often, and has to wait.
type TriesError struct{ Wait time.Duration }

func (e *TriesError) Error() string {
	return fmt.Sprintf("too many wrong codes came from this laptop: it may try again in %s", roughly(e.Wait))
}

func roughly(d time.Duration) string {
	minutes := int((d + time.Minute - 1) / time.Minute)
	switch {
	case minutes <= 1:
		return "a minute"
	case minutes < 120:
		return fmt.Sprintf("%d minutes", minutes)
	}
	return fmt.Sprintf("%d hours", (minutes+59)/60)
}

// wait is how long after the last wrong try the next may come.
func (t tried) wait(now int64) time.Duration {
	pause := time.Duration(0)
	switch {
	case t.Wrong >= lockedTries:
		pause = triesTime
	case t.Wrong > freeTries:
		pause = firstWait << (t.Wrong - freeTries - 1)
	}
	// A clock that jumped back makes nobody wait longer than once.
	return min(pause, pause-time.Duration(now-t.Last)*time.Second)
}

// names by which a machine's tries are counted: its key can be new each time, and
// so can what it says of itself.
func (c Claimant) names() []string {
	names := []string{"key " + Fingerprint(keyLine(c.Key))}
	if c.Speaks() {
		names = append(names, "machine "+string(c.Serial)+" "+strings.ToLower(c.UUID))
	}
	return names
}

// try counts a wrong try, or answers a TriesError. right takes it back, and what
// was wrong before.
func (s *Store) try(ctx context.Context, c Claimant) (right func() error, err error) {
	names := c.names()
	now := s.now().Unix()
	err = s.editTries(ctx, func(all map[string]tried) error {
		for _, name := range names {
			if wait := all[name].wait(now); wait > 0 {
				return &TriesError{wait}
			}
		}
		for _, name := range names {
			all[name] = tried{all[name].Wrong + 1, now}
		}
		return nil
	})
	return func() error {
		return s.editTries(ctx, func(all map[string]tried) error {
			for _, name := range names {
				delete(all, name)
			}
			return nil
		})
	}, err
}

func (s *Store) editTries(ctx context.Context, change func(map[string]tried) error) error {
	lock, err := s.lockClaims(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	all := map[string]tried{}
	b, err := s.ReadOwn(triesFile)
	if err == nil {
		err = json.Unmarshal(b, &all)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%s/%s, which may be removed: %w", ownDir, triesFile, err)
	}
	now := s.now().Unix()
	maps.DeleteFunc(all, func(_ string, t tried) bool { return now-t.Last > int64(triesTime/time.Second) })
	if err := change(all); err != nil {
		return err
	}
	if len(all) > maxTried {
		// Who was wrong once or twice is forgotten first.
		names := slices.SortedFunc(maps.Keys(all), func(x, y string) int {
			if n := all[x].Wrong - all[y].Wrong; n != 0 {
				return n
			}
			return int(all[x].Last - all[y].Last)
		})
		for _, name := range names[:len(all)-maxTried] {
			delete(all, name)
		}
	}
	if b, err = json.Marshal(all); err != nil {
		return err
	}
	return s.WriteOwn(triesFile, b)
}
