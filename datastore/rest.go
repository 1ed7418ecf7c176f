package datastore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Here are travelling trees at rest: a snapshot at school, what a restore has
// fetched. They may come from anyone, so fsys should be one that does not lead
// out of its folder (os.Root.FS).

// UIDs lists the entries of a tree by their names alone, sorted. Names that
// do not belong into a tree are an error.
func UIDs(fsys fs.FS) ([]UID, error) {
	folders, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	var uids []UID
	for _, d := range folders {
		p, err := parsePlace(d.Name())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quote(d.Name()), err)
		}
		if p.kind != folder {
			continue
		}
		files, err := fs.ReadDir(fsys, d.Name())
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			name := path.Join(d.Name(), f.Name())
			p, err := parsePlace(name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", quote(name), err)
			}
			if p.kind == cjsonOf {
				uids = append(uids, p.uid)
			}
		}
	}
	return uids, nil
}

// ReadJournal reads the journal.cjson of a tree.
func ReadJournal(fsys fs.FS) (*Journal, error) {
	b, err := readSmall(fsys, journalName)
	if err != nil {
		return nil, err
	}
	return DecodeJournal(b)
}

// ReadEntry reads an entry's .cjson: decoded, and its bytes. An entry that the
// tree does not have is fs.ErrNotExist, one that cannot be read a
// *DamagedError. Its data is not looked at.
func ReadEntry(fsys fs.FS, uid UID) (*Entry, []byte, error) {
	if _, err := ParseUID(string(uid)); err != nil {
		return nil, nil, err
	}
	b, err := readSmall(fsys, uid.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, &DamagedError{UID: uid, Reason: reason(err)}
	}
	e, err := DecodeEntry(b)
	if err != nil {
		return nil, nil, &DamagedError{UID: uid, Reason: err.Error()}
	}
	if e.UID != uid {
		return nil, nil, &DamagedError{UID: uid, Reason: "its file is of the entry " + string(e.UID)}
	}
	return e, b, nil
}

func readSmall(fsys fs.FS, name string) ([]byte, error) {
	f, err := openPlain(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(b) > MaxFile {
		err = fmt.Errorf("%s: it is larger than 8 MiB", name)
	}
	return b, err
}

// openPlain opens a file that must be a plain one.
func openPlain(fsys fs.FS, name string) (fs.File, error) {
	if info, err := fs.Stat(fsys, name); err != nil { // before open: a pipe would wait
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is no plain file", name)
	}
	return fsys.Open(name)
}

// OpenData opens an entry's data, its parts joined. An entry without data has
// none to open: fs.ErrNotExist. The sum is not checked, the size is.
func OpenData(fsys fs.FS, e *Entry) (io.ReadCloser, error) {
	if e.Data == nil {
		return nil, fmt.Errorf("entry %s: data: %w", e.UID, fs.ErrNotExist)
	}
	d := &joined{fsys: fsys, rest: e.Files()}
	if err := d.next(); err != nil {
		return nil, err
	}
	return d, nil
}

// joined reads files one behind the other. At most one is open.
type joined struct {
	fsys fs.FS
	rest []File // that are not open yet
	file fs.File
	left int64     // of the open file
	part hash.Hash // if set: gets the bytes of the open file
	done func(path string)
	path string
}

func (d *joined) next() error {
	f, err := openPlain(d.fsys, d.rest[0].Path)
	if err != nil {
		return err
	}
	d.file, d.left, d.path = f, d.rest[0].Size, d.rest[0].Path
	d.rest = d.rest[1:]
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() != d.left {
		return fmt.Errorf("%s: its size is %d and not %d", d.path, info.Size(), d.left)
	}
	return nil
}

func (d *joined) Read(b []byte) (int, error) {
	for d.left == 0 {
		if d.file == nil {
			return 0, io.EOF
		}
		if d.done != nil {
			d.done(d.path)
		}
		if err := d.Close(); err != nil {
			return 0, err
		}
		if len(d.rest) == 0 {
			return 0, io.EOF
		}
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n, err := d.file.Read(b[:min(int64(len(b)), d.left)])
	d.left -= int64(n)
	if d.part != nil {
		d.part.Write(b[:n])
	}
	if err == io.EOF {
		if d.left > 0 {
			return n, fmt.Errorf("%s: %w", d.path, io.ErrUnexpectedEOF)
		}
		err = nil
	}
	return n, err
}

func (d *joined) Close() error {
	if d.file == nil {
		return nil
	}
	f := d.file
	d.file = nil
	return f.Close()
}

// VerifyEntry reads all of an entry and compares it with its sums. It returns
// the sha256 of each of the entry's files, by path. What is wrong is a
// *DamagedError, what is not there fs.ErrNotExist.
func VerifyEntry(fsys fs.FS, uid UID) (*Entry, map[string][32]byte, error) {
	e, b, err := ReadEntry(fsys, uid)
	if err != nil {
		return nil, nil, err
	}
	files := map[string][32]byte{uid.Path(): sha256.Sum256(b)}
	if e.Data == nil {
		return e, files, nil
	}
	if err := verifyData(fsys, e, files); err != nil {
		return nil, nil, &DamagedError{UID: uid, Reason: reason(err)}
	}
	return e, files, nil
}

func verifyData(fsys fs.FS, e *Entry, files map[string][32]byte) error {
	list := e.Files()
	d := &joined{fsys: fsys, rest: list}
	var whole hash.Hash
	if len(list) == 1 {
		d.done = func(string) {}
	} else {
		// The whole is hashed beside the parts only where there are parts.
		d.part = sha256.New()
		d.done = func(path string) {
			files[path] = [32]byte(d.part.Sum(nil))
			d.part.Reset()
		}
	}
	if err := d.next(); err != nil {
		return err
	}
	defer d.Close()
	whole = sha256.New()
	if _, err := io.CopyBuffer(whole, onlyReader{d}, make([]byte, min(128<<10, e.Data.Size+1))); err != nil {
		return err
	}
	sum := [32]byte(whole.Sum(nil))
	if sum != e.Data.SHA256 {
		return fmt.Errorf("the sha256 of its data is %s and not %s", short(sum), short(e.Data.SHA256))
	}
	if len(list) == 1 {
		files[list[0].Path] = sum
	}
	return nil
}

// onlyReader hides WriterTo and the like, so that CopyBuffer uses its buffer.
type onlyReader struct{ io.Reader }

func short(sum [32]byte) string { return strings.ToLower(hex.EncodeToString(sum[:8])) + "…" }
