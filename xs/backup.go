package xs

import (
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// backup pulls the XO's Journal, unless it is what the latest snapshot holds.
func (s *session) backup() error {
	var req wire.BackupRequest
	if err := s.open(&req, &req.Version); err != nil {
		return err
	}
	if no := s.checkRequest(req); no != nil {
		return s.refuse(no)
	}
	// The last word is said when lock and slot have been given back: who has
	// heard it may come again at once.
	last := s.hold(req)
	return last()
}

// word is what remains to be said to the XO, and is the session's error.
type word func() error

// hold does the work under the account's lock.
func (s *session) hold(req wire.BackupRequest) word {
	folder, err := s.Store.Folder(s.account)
	if err != nil {
		return s.failed(err)
	}
	defer folder.Close()
	locked, err := folder.Lock()
	if err != nil {
		return s.failed(err)
	}
	defer locked.Unlock()

	// Nothing changed: that costs next to nothing, so even a busy or full
	// server says so.
	if locked.Holds(req.Digest) {
		return s.confirm(locked)
	}
	leave, no := s.room.enter(s.account)
	if no != nil {
		return s.failed(no)
	}
	defer leave()
	if no := s.room.ready(); no != nil {
		return s.failed(no)
	}
	return s.pull(locked, req)
}

func (s *session) checkRequest(req wire.BackupRequest) *wire.Refusal {
	no := func(format string, a ...any) *wire.Refusal {
		return &wire.Refusal{Code: wire.RefusedInput, Message: fmt.Sprintf(format, a...)}
	}
	if !s.caller.MayWrite(s.key) {
		return &wire.Refusal{Code: wire.RefusedReadOnly,
			Message: "Another laptop is the one that backs up this Journal; this one may only read it. 'xo-backup recover' asks for it to be this one again."}
	}
	if b, err := hex.DecodeString(req.Digest); err != nil || len(b) != 32 {
		return no("%.80q is not the digest of a Journal.", req.Digest)
	}
	if req.Files < 0 || req.Entries < 0 || req.Bytes < 0 {
		return no("A Journal of %d entries, %d files and %d bytes cannot be.", req.Entries, req.Files, req.Bytes)
	}
	if req.Files > s.Config.MaxFiles {
		return no("The Journal has %d files; this school server takes %d.", req.Files, s.Config.MaxFiles)
	}
	if quota := s.room.quota(); quota > 0 && req.Bytes > quota {
		return no("The Journal has %d MB; this school server takes %d MB.", req.Bytes>>20, quota>>20)
	}
	return nil
}

func (s *session) confirm(locked *store.Locked) word {
	confirmed, err := locked.Confirm(s.key.Claim)
	if err != nil {
		// The Journal is safe all the same; only the note of it is older.
		s.log.Error("confirmation not written", "snapshot", confirmed.ID, "error", err)
	}
	s.log.Info("confirmed", "snapshot", confirmed.ID)
	return func() error { return s.answer(wire.Answer{Action: wire.ActionConfirmed, Snapshot: &confirmed}) }
}

// pull receives into current and makes a snapshot of it. A connection that ends
// ends what is to be read, and that ends the child, once it has put away what
// came before: on a slow link each part that is whole counts.
func (s *session) pull(locked *store.Locked, req wire.BackupRequest) word {
	begun := time.Now()
	has, err := locked.Prepare(req.Digest)
	if err != nil {
		return s.failed(err)
	}
	// What it needs at least: of what current has, all may stay.
	need := space{bytes: req.Bytes - has.Bytes, inodes: max(0, int64(req.Files-has.Files)) + snapshotInodes(req.Files)}
	promised, free, err := s.room.promise(need)
	if err != nil {
		return s.failed(err)
	}
	defer promised.release()
	child, err := transfer.Start(s.work, transfer.Job{Receive: locked.CurrentPath(), Delete: true, Limits: s.limits(has, free)}, nil)
	if err != nil {
		return s.failed(err)
	}
	defer child.Close()
	promised.follow(child)
	if err := s.answer(wire.Answer{Action: wire.ActionPull}); err != nil {
		return func() error { return err }
	}
	ctx, awake := s.watch(s.work, child)
	stats, err := child.Run(ctx, s.in, deaf{s.ch})
	awake()
	if err != nil {
		return s.broken(locked, err)
	}
	moved := time.Now()
	taken, err := locked.Take(s.work, store.Offer{Digest: req.Digest, Machine: s.key.Serial, Claim: s.key.Claim}, s.verified())
	if err != nil {
		return s.broken(locked, err)
	}
	s.log.Info("backed up", "snapshot", taken.Snapshot.ID, "confirmed", taken.Confirmed, "kept", len(taken.Kept),
		"entries", taken.Snapshot.Entries, "bytes", taken.Snapshot.Bytes, "moved", stats.Moved, "received", stats.Received,
		"confined", stats.Confined, "transfer", moved.Sub(begun), "verify", time.Since(moved))
	return func() error {
		s.report(wire.Report{End: true, Snapshot: &taken.Snapshot, Kept: taken.Kept})
		return nil
	}
}

// broken ends a pull. What has arrived by then stays, so that the next one goes on
// from there, unless it is what has filled the disk.
func (s *session) broken(locked *store.Locked, err error) word {
	if s.refusal(err).Code == wire.RefusedFull {
		if err := locked.GiveBack(); err != nil {
			s.log.Error("what did not fit the disk was not removed", "error", err)
		}
	}
	return func() error { return s.end(err) }
}

// limits keep a laptop that sends more than it announced from the reserve. What
// can be listed says little of what a tree will take: a file that is replaced gives
// its room back only where no snapshot has it. So the disk is asked as files come.
func (s *session) limits(has store.Held, free space) transfer.Limits {
	total, files := has.Bytes+free.bytes, int64(s.Config.MaxFiles)
	if quota := s.room.quota(); quota > 0 {
		total = min(total, quota)
	}
	if free.inodes < files {
		files = min(files, int64(has.Files)+free.inodes)
	}
	return transfer.Limits{FileSize: datastore.MaxFile, Total: max(total, 1), Files: int(files), Time: s.Config.SessionTimeout,
		KeepBytes: s.Config.MinFreeMB << 20, KeepInodes: s.Config.MinFreeInodes + snapshotInodes(int(files))}
}

// verified reports how far verification is, a few times a second.
func (s *session) verified() func(done, total int) {
	var last time.Time
	return func(done, total int) {
		if now := time.Now(); now.Sub(last) > 250*time.Millisecond {
			last = now
			s.mention(wire.Report{Phase: "verify", Done: done, Total: total})
		}
	}
}

// deaf takes what the other side no longer listens to.
type deaf struct{ w io.Writer }

func (d deaf) Write(p []byte) (int, error) {
	_, _ = d.w.Write(p) // the end of the connection shows when reading
	return len(p), nil
}
