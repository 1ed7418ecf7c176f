package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Verifier re-reads snapshots. What several of them share is read once.
type Verifier struct{ seen map[inode]Sum }

// Verify compares every file of a snapshot with its manifest, and the manifest
// with the record, and answers in words what does not agree,
// and how many files there are. What it finds damaged is noted beside the
// snapshot: the next session of the account confirms no such snapshot, and has
// such files sent again.
func (v *Verifier) Verify(ctx context.Context, s *Snapshot) (problems []string, files int, err error) {
	if v.seen == nil {
		v.seen = map[inode]Sum{}
	}
	sums, err := s.Manifest()
	if err != nil {
		return []string{err.Error()}, 0, nil
	}
	if got := sums.Digest(); got != s.Record.Digest {
		problems = append(problems, fmt.Sprintf("the manifest's digest is %s, the record's %s", got, s.Record.Digest))
	}
	t, err := scanTree(s.folder.root, s.Ref())
	if err != nil {
		return nil, 0, err
	}
	for _, f := range t.foreign {
		problems = append(problems, f.why.Error())
	}
	for path := range t.files {
		if _, ok := sums[path]; !ok {
			problems = append(problems, path+": is not in the manifest")
		}
	}
	var damaged []string
	bad := func(path, why string) {
		damaged = append(damaged, path)
		problems = append(problems, path+": "+why)
	}
	for _, path := range slices.Sorted(maps.Keys(sums)) {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		f, ok := t.files[path]
		if !ok {
			bad(path, "is missing")
			continue
		}
		got, ok := v.seen[f.inode]
		if !ok {
			if got, err = sumFile(s.root, path); err != nil {
				bad(path, err.Error())
				continue
			}
			v.seen[f.inode] = got
		}
		if got != sums[path] {
			bad(path, "is not what it was")
		}
	}
	if err := s.mark(damaged); err != nil {
		problems = append(problems, fmt.Sprintf("that files are damaged cannot be noted: %v", err))
	}
	slices.Sort(problems)
	return problems, len(sums), nil
}

// Check answers what in the folder is named like a snapshot and cannot be used.
func (f *Folder) Check() (problems []string, err error) {
	names, err := readNames(f.root, snapshotsDir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		id, err := ParseSnapshotID(name)
		if err != nil {
			continue
		}
		if _, err := f.record(id); err != nil {
			problems = append(problems, fmt.Sprintf("snapshot %s: %v", id, err))
		}
	}
	slices.Sort(problems)
	return problems, nil
}
