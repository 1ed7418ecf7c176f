package xsclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// replaceSink builds a new Journal beside the one that is here, and lets it
// take its place at the very end, in one step.
type replaceSink struct {
	*restore
	dir   string // of the new Journal
	built *datastore.Store
	has   map[datastore.UID]datastore.Version
}

func newReplaceSink(r *restore) (*replaceSink, error) {
	dir := filepath.Join(r.staging, "new")
	store, err := datastore.Create(dir)
	if err != nil {
		return nil, err
	}
	return &replaceSink{restore: r, dir: dir, built: store}, nil
}

// here answers what an earlier run has built already.
func (s *replaceSink) here(ctx context.Context) (map[datastore.UID]datastore.Version, error) {
	tree, err := s.built.Look(ctx, datastore.LookOptions{})
	if err != nil {
		return nil, err
	}
	s.has = map[datastore.UID]datastore.Version{}
	for uid, info := range tree.Entries() {
		s.has[uid] = info.Version
	}
	return s.has, nil
}

func (s *replaceSink) plan(t task, here map[datastore.UID]datastore.Version) verdict {
	if here[t.uid] == t.version {
		return same
	}
	return comesBack
}

// room: a replace is whole or not at all.
func (s *replaceSink) room(tasks []task) error {
	free, err := freeBytes(s.c.cfg.Profile.Dir)
	if err != nil {
		return err
	}
	need := int64(reserve + joining)
	for _, t := range tasks {
		need += t.cost
	}
	if need > free {
		if _, err := datastore.PruneReplaced(s.c.cfg.Profile.Dir, time.Now(), need); err != nil {
			return err
		}
		if free, err = freeBytes(s.c.cfg.Profile.Dir); err != nil {
			return err
		}
	}
	if need > free {
		return &Error{Code: DiskFull, Message: fmt.Sprintf(
			"Replacing the Journal needs %s of free disk and there are %s; a restore without replacing needs less.",
			wire.Size(uint64(need)), wire.Size(uint64(free)))}
	}
	return nil
}

func (s *replaceSink) put(ctx context.Context, arrived []arrival) error {
	err := concurrently(ctx, len(arrived), func(i int) error {
		a := arrived[i]
		dir := filepath.Join(s.dir, string(a.uid[:2]), string(a.uid))
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Dir(dir), 0o755)); err != nil {
			return err
		}
		data, err := s.takeData(a.entry)
		if err != nil {
			return err
		}
		return datastore.Unpack(a.entry, data, dir)
	})
	if err != nil {
		return err
	}
	for _, a := range arrived {
		s.has[a.uid] = a.version
		s.result.Entries++
	}
	return nil
}

// finish lets the new Journal take the old one's place. The old one is kept
// for a week, where there is room.
func (s *replaceSink) finish(ctx context.Context) error {
	s.report("replacing")
	// What takes time comes first: while the datastore is stopped, whoever calls
	// it waits.
	if err := syncDir(s.c.cfg.Profile.Dir); err != nil {
		return err
	}
	if err := s.recordSwapping(); err != nil {
		return err
	}
	release, err := s.c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.carryOver(); err != nil {
		return err
	}
	if err := datastore.Swap(s.c.cfg.Profile.Dir, s.dir, datastore.ReplacedName(s.c.cfg.Profile.Dir, time.Now())); err != nil {
		return fmt.Errorf("putting the new Journal in place: %w", err)
	}
	if err := s.agreed.add(s.has, s.snap.Seq); err != nil {
		s.c.cfg.Log.Warn("cannot record what is safe at school", "error", err)
	}
	return nil
}

func (s *replaceSink) recordSwapping() (err error) {
	if s.pending.Swapping, err = inode(s.dir); err != nil {
		return err
	}
	s.pending.Answers = s.answers()
	if err := s.c.savePending(s.pending); err != nil {
		return fmt.Errorf("recording that the Journal is being replaced: %w", err)
	}
	return nil
}

// carryOver leaves alone what is here of an entry whose copy at school turned
// out to be damaged: it goes into the new Journal as it is.
func (s *replaceSink) carryOver() error {
	for _, skipped := range s.result.Skipped {
		rel := filepath.Join(skipped.UID[:2], skipped.UID)
		from, to := filepath.Join(s.c.cfg.Profile.Datastore(), rel), filepath.Join(s.dir, rel)
		// An earlier run may have left something there: half of the entry, or
		// what it carried over.
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		delete(s.has, datastore.UID(skipped.UID))
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return fmt.Errorf("keeping entry %s, whose copy at school is damaged: %w", skipped.UID, err)
		}
	}
	return nil
}
