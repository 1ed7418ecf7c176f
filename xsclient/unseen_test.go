package xsclient

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/test/bed"
	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

// A folder of the Journal that cannot be read takes nothing from what is at
// school, whether or not the laptop remembers what was in it.
func TestUnreadableFolder(t *testing.T) {
	journal, uids := rawJournal(t, 6, 1)
	c := atSchool(t, bed.XSFor(t, bed.ServerOptions{}), journal)
	whole := backUp(t, c)
	folder := filepath.Join(c.cfg.Profile.Datastore(), uids[0][:2])
	must(t, os.Rename(folder, folder+"-away"))
	must(t, os.Symlink("loop", folder)) // root reads anything else
	for _, cached := range []bool{true, true, false, false} {
		if !cached {
			must(t, os.RemoveAll(c.cfg.CacheDir))
		}
		result := backUp(t, c)
		if !result.Partial || result.Entries != 6 || len(result.Skipped) != 2 || !strings.HasPrefix(result.Message, "5 entries are safe") {
			t.Fatalf("cached %v: %+v", cached, result)
		}
		for _, name := range []string{fmt.Sprintf("%q", uids[0][:2]), uids[0]} {
			if !slices.ContainsFunc(result.Skipped, func(s Skipped) bool { return s.UID == name }) || !strings.Contains(result.Message, name) {
				t.Errorf("%s is not named: %+v", name, result)
			}
		}
		if s := c.Status(); s.LastResult != result.Message || s.LastBackup != result.Snapshot.Confirmed {
			t.Errorf("%+v", s)
		}
	}
	must(t, os.Remove(folder))
	must(t, os.Rename(folder+"-away", folder))
	if result := backUp(t, c); result.Partial || result.Entries != whole.Entries {
		t.Errorf("mended: %+v", result)
	}
}

// Whatever is damaged is named, if it has no proper name too.
func TestStrangeNames(t *testing.T) {
	journal, _ := rawJournal(t, 2, 1)
	c := atSchool(t, bed.XSFor(t, bed.ServerOptions{}), journal)
	strange := "not a uid\x1b[2J but of 36 letters......"[:36]
	must(t, os.MkdirAll(filepath.Join(c.cfg.Profile.Datastore(), "no", strange), 0o755))
	result := backUp(t, c)
	if !result.Partial || len(result.Skipped) != 1 || result.Skipped[0].UID != fmt.Sprintf("%q", strange) || result.Entries != 2 ||
		!strings.HasPrefix(result.Message, "2 entries are safe at school as they are now; 1 could not be saved this time: \"not a uid") {
		t.Errorf("%+v", result)
	}
}

// What the server says of an entry that it kept is fit for a person's eyes.
func TestKeptReason(t *testing.T) {
	journal, uids := rawJournal(t, 2, 1)
	s := newSchool(t, journal)
	p := newPupil(t, s, journal)
	said := wire.Kept{UID: uids[0], Reason: "mice\x1b[2J\nate it" + strings.Repeat("!", 5000)}
	s.backup = func(ch ssh.Channel, r *bufio.Reader, request wire.BackupRequest) {
		wire.WriteLine(ch, wire.Answer{Version: wire.Version, Action: wire.ActionPull})
		child, err := transfer.Start(t.Context(), transfer.Job{Receive: t.TempDir()}, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer child.Close()
		child.Run(t.Context(), r, ch)
		wire.WriteLine(ch.Stderr(), wire.Report{Kept: []wire.Kept{said}}) // in as many lines as there need be
		wire.WriteLine(ch.Stderr(), wire.Report{End: true, Snapshot: &s.snap})
	}
	result, err := p.Backup(t.Context(), BackupOptions{}, p.progress)
	must(t, err)
	if len(result.Skipped) != 1 || !strings.HasPrefix(result.Skipped[0].Reason, "mice [2J ate it!!!") || len(result.Message) > 600 {
		t.Errorf("%+v", result)
	}
	agreed, err := p.openAgreed()
	must(t, err)
	if agreed.of(datastore.UID(uids[0])) != nil || len(agreed.entries) != 1 {
		t.Errorf("agreed on %v", agreed.entries)
	}
}
