package xsclient

import (
	"os"
	"path/filepath"
	"testing"
)

// What a restore was just replacing when the power went, on a system that
// cannot exchange two names, is in its place again before anybody looks, and
// Sugar sees it.
func TestRecoverPublish(t *testing.T) {
	_, p, old := cutOff(t)
	must(t, os.CopyFS(p.journal, os.DirFS(old)))
	must(t, p.Recover(t.Context()))
	if p.service.held != 0 {
		t.Error("Sugar's datastore was stopped for nothing")
	}
	uid := p.uids()[0]
	place := filepath.Join(p.journal, uid[:2], uid)
	aside := filepath.Join(p.journal, uid[:2], "."+uid)
	must(t, os.Rename(place, aside))
	for _, flag := range []string{"index_updated", "ds_clean"} { // Sugar has run since
		must(t, os.WriteFile(filepath.Join(p.journal, flag), nil, 0o644))
	}
	must(t, p.Recover(t.Context()))
	p.holds(old)
	if _, err := os.Lstat(filepath.Join(p.journal, "index_updated")); !os.IsNotExist(err) || p.service.held != 1 {
		t.Errorf("held %d times; index_updated: %v", p.service.held, err)
	}

	// Where no restore is pending, nobody looks.
	must(t, p.forgetRestore())
	must(t, os.Rename(place, aside))
	must(t, p.Recover(t.Context()))
	if _, err := os.Lstat(aside); err != nil || p.service.held != 1 {
		t.Errorf("%v, held %d times", err, p.service.held)
	}
}

// uids are the entries of the Journal.
func (p *pupil) uids() (uids []string) {
	p.t.Helper()
	for uid := range lookAt(p.t, p.journal).Entries() {
		uids = append(uids, string(uid))
	}
	return uids
}
