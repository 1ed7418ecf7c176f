package xsclient

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/profile"
)

// agreed remembers, for one account on one server, the last version of each
// entry that both sides had: another server counts its snapshots anew. It is a
// log of lines "UID VERSION SEQ", of which the last for a UID counts, and of lines
// "all - SEQ", which say that all that was agreed before is agreed up to that
// snapshot: a backup of ten changed entries appends eleven lines, which is what
// slow flash likes best. It is written anew when it has grown to twice its
// need. A line that a power cut tore is not a line.
type agreed struct {
	path    string
	entries map[datastore.UID]agreement
	lines   int // in the file
}

// openAgreed reads what was agreed with the server of the session.
func (s *session) openAgreed() (*agreed, error) {
	a, err := openAgreed(s.client.cfg.StateDir, agreedWith(s.account, s.server))
	if err != nil {
		return nil, fmt.Errorf("reading what is safe at school: %w", err)
	}
	return a, nil
}

// agreedWith names an account and a server in a file's name. An account's id is
// checked where it comes in.
func agreedWith(account string, server ssh.PublicKey) string {
	return fmt.Sprintf("%s-%.16x", account, sha256.Sum256(server.Marshal()))
}

// openAgreed reads the agreements of that name; none is no error.
func openAgreed(stateDir, name string) (*agreed, error) {
	a := &agreed{
		path:    filepath.Join(stateDir, "agreed-"+name),
		entries: map[datastore.UID]agreement{},
	}
	f, err := os.Open(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return a, nil // what has no end is what a power cut left
		}
		if err != nil {
			return nil, err
		}
		a.lines++
		var upTo uint64
		if uid, ag, ok := parseAgreement(line); ok {
			a.entries[uid] = ag
		} else if n, _ := fmt.Sscanf(line, allUpTo, &upTo); n == 1 {
			a.raise(upTo)
		}
	}
}

const allUpTo = "all - %d\n"

// raise makes seq the number of all that is agreed now. It answers whether that
// changed anything.
func (a *agreed) raise(seq uint64) bool {
	raised := false
	for uid, ag := range a.entries {
		if ag.Seq < seq {
			a.entries[uid] = agreement{ag.Version, seq}
			raised = true
		}
	}
	return raised
}

func parseAgreement(line string) (datastore.UID, agreement, bool) {
	var id, version string
	var seq uint64
	if n, err := fmt.Sscanf(line, "%s %s %d\n", &id, &version, &seq); n != 3 || err != nil {
		return "", agreement{}, false
	}
	uid, err := datastore.ParseUID(id)
	if err != nil || len(version) != 64 {
		return "", agreement{}, false
	}
	return uid, agreement{datastore.Version(version), seq}, true
}

// of answers the agreement on an entry, nil when there is none.
func (a *agreed) of(uid datastore.UID) *agreement {
	if ag, ok := a.entries[uid]; ok {
		return &ag
	}
	return nil
}

// add records that these versions are in the snapshot numbered seq, and are
// here. What was agreed already in just this version is not written again.
func (a *agreed) add(versions map[datastore.UID]datastore.Version, seq uint64) error {
	log, n := a.note(versions, seq)
	return a.write(log, n)
}

// backedUp records the same of a backup, whose snapshot is the latest: what was
// agreed before, and has not changed since, is in it too.
func (a *agreed) backedUp(versions map[datastore.UID]datastore.Version, seq uint64) error {
	log, n := a.note(versions, seq)
	if a.raise(seq) {
		log += fmt.Sprintf(allUpTo, seq)
		n++
	}
	return a.write(log, n)
}

func (a *agreed) note(versions map[datastore.UID]datastore.Version, seq uint64) (string, int) {
	var log strings.Builder
	n := 0
	for uid, v := range versions {
		if old, ok := a.entries[uid]; ok && old.Version == v {
			continue
		}
		a.entries[uid] = agreement{v, seq}
		fmt.Fprintf(&log, "%s %s %d\n", uid, v, seq)
		n++
	}
	return log.String(), n
}

// write appends the n lines of log, or writes all anew.
func (a *agreed) write(log string, n int) error {
	if n == 0 {
		return nil
	}
	if a.lines+n > 2*len(a.entries)+64 {
		return a.rewrite()
	}
	if err := a.append(log); err != nil {
		return fmt.Errorf("recording what is safe at school: %w", err)
	}
	a.lines += n
	return nil
}

func (a *agreed) append(lines string) error {
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := endOfLastLine(f)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(lines), end); err != nil {
		return err
	}
	return f.Sync()
}

// endOfLastLine answers where the next line goes: behind the last whole one,
// over what a power cut may have left.
func endOfLastLine(f *os.File) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	b := make([]byte, min(end, 256)) // a line is about 110 bytes
	if _, err := f.ReadAt(b, end-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	torn := len(b) - 1 - strings.LastIndexByte(string(b), '\n')
	return end - int64(torn), nil
}

func (a *agreed) rewrite() error {
	var b bytes.Buffer
	for uid, ag := range a.entries {
		fmt.Fprintf(&b, "%s %s %d\n", uid, ag.Version, ag.Seq)
	}
	if err := profile.WriteFile(a.path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("recording what is safe at school: %w", err)
	}
	a.lines = len(a.entries)
	return nil
}
