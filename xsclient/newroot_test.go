package xsclient

import (
	"os"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// The school's server is a new one, with nothing of the old one's: what it says
// over HTTP is not believed before it has shown its key, and once a person
// trusts it, the laptop registers there and backs up.
func TestNewRoot(t *testing.T) {
	journal, uids := rawJournal(t, 3, 1)
	s := bed.XSFor(t, bed.ServerOptions{})
	c := atSchool(t, s, journal)
	backUp(t, c)
	account := c.Status().Account

	must(t, s.Stop())
	must(t, os.RemoveAll(s.Root))
	must(t, s.Start(t.Context()))

	_, err := c.CheckServer(t.Context())
	wantCode(t, err, WrongServer)
	_, err = c.Backup(t.Context(), BackupOptions{}, silent)
	e := wantCode(t, err, WrongServer)
	was := c.Status()
	if was.State != StateNewServer || was.LastResult != e.Message || was.LastBackup == 0 {
		t.Errorf("%+v", was)
	}
	_, fingerprint, _ := strings.Cut(was.StateReason, "its fingerprint is ")
	fingerprint, _, _ = strings.Cut(fingerprint, ". ")
	must(t, c.TrustServer(t.Context(), fingerprint))
	if now := c.Status(); now.State != StateUnregistered || now.LastBackup != 0 || now.Entries != 0 || now.Account != account {
		t.Errorf("what the old server had counts as the new one's: %+v", now)
	}
	_, err = c.Backup(t.Context(), BackupOptions{}, silent)
	wantCode(t, err, NotRegistered)

	must(t, c.Register(t.Context()))
	result := backUp(t, c)
	if now := c.Status(); now.State != StateIdle || result.Entries != len(uids) || result.Snapshot.Seq != 1 || now.LastBackup == 0 {
		t.Errorf("%+v, %+v", now, result)
	}
}

// An account that the right server does not know is told so by it.
func TestForgottenAccount(t *testing.T) {
	journal, _ := rawJournal(t, 1, 1)
	s := bed.XSFor(t, bed.ServerOptions{})
	c := atSchool(t, s, journal)
	must(t, s.Stop())
	must(t, os.Rename(s.Root+"/"+c.account(), s.Dir+"/gone"))
	must(t, s.Start(t.Context()))
	_, err := c.Backup(t.Context(), BackupOptions{}, silent)
	wantCode(t, err, NotRegistered)
	if now := c.Status(); now.State != StateUnregistered {
		t.Errorf("%+v", now)
	}
	check, err := c.CheckServer(t.Context())
	if err != nil || check.Available || !strings.Contains(check.Reason, "Register") {
		t.Errorf("%+v, %v", check, err)
	}
	must(t, c.Register(t.Context()))
	backUp(t, c)
}
