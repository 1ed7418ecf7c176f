package store

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/sugarlabs/xo-backupd/wire"
)

// publish makes the snapshot of t.links, whose sums are t.sums. Until the
// rename nothing has its name; after it, everything of it is on the disk.
func (t *taking) publish(ctx context.Context, o Offer) (wire.Snapshot, error) {
	now := t.store.now()
	rec, err := t.newRecord(now, o)
	if err != nil {
		return rec, err
	}
	if err := t.pinBefore(ctx, rec); err != nil {
		return rec, err
	}
	t.store.step("pinned")
	temp := snapshotsDir + "/" + tempName()
	beside := snapshotsDir + "/" + rec.ID
	err = t.assemble(ctx, temp, beside, rec)
	if err == nil {
		err = t.root.Rename(temp, beside)
	}
	if err != nil {
		t.root.RemoveAll(temp)
		t.root.Remove(beside + ".manifest")
		t.root.Remove(beside + ".json")
		return rec, err
	}
	t.newest = rec
	t.store.step("renamed")
	if err := syncDir(t.root, snapshotsDir); err != nil {
		return rec, err
	}
	t.store.step("folder synced")
	if err := t.pointLatest(rec.ID); err != nil {
		return rec, err
	}
	t.store.step("latest moved")
	return rec, nil
}

func (t *taking) newRecord(now time.Time, o Offer) (wire.Snapshot, error) {
	id, err := t.newID(now)
	if err != nil {
		return wire.Snapshot{}, err
	}
	rec := wire.Snapshot{ID: string(id), Seq: t.newest.Seq + 1, Time: now.Unix(), Confirmed: now.Unix(),
		Account: string(t.ID), Machine: string(o.Machine), Digest: t.sums.Digest(), Claim: string(o.Claim)}
	for _, link := range t.links {
		of := t.have
		if link.from != currentDir {
			of = t.base.tree
		}
		rec.Bytes += of.files[link.path].size
		if strings.HasSuffix(link.path, cjsonSuffix) && link.path != journalName {
			rec.Entries++
		}
	}
	return rec, nil
}

// assemble links the files, writes manifest and record, and has it all on disk.
func (t *taking) assemble(ctx context.Context, temp, beside string, rec wire.Snapshot) error {
	if err := t.mkdir(temp); err != nil {
		return err
	}
	t.store.step("begun")
	if err := t.linkAll(t.links, temp); err != nil {
		return err
	}
	t.store.step("linked")
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := writeNew(t.root, beside+".manifest", t.sums.Encode()); err != nil {
		return err
	}
	t.store.step("manifest written")
	b, err := encodeRecord(rec)
	if err != nil {
		return err
	}
	if err := writeNew(t.root, beside+".json", b); err != nil {
		return err
	}
	t.store.step("record written")
	if err := t.written(); err != nil {
		return err // which the kernel tells once
	}
	if err := syncAll(t.disk); err != nil {
		return err
	}
	t.store.step("synced")
	return nil
}

// writeNew writes a file that counts only after a sync of everything.
func writeNew(root *os.Root, name string, b []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
