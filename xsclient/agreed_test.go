package xsclient

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// What was agreed with one server says nothing about another one's snapshots,
// although that counts them from 1 too.
func TestAgreedIsPerServer(t *testing.T) {
	old, uids := rawJournal(t, 3, 1)
	s := newSchool(t, old)
	p := newPupil(t, s, "")
	_, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)

	must(t, bed.ChangeRaw(old, uids, 2))
	other := newSchool(t, old)
	key := newSigner(t)
	s.peer.set(func() {
		s.hostKey, s.tree, s.acts = key, other.tree, other.acts
		s.snap.Seq, s.snap.Account = 2, p.account()
	})
	_, err = p.Restore(t.Context(), RestoreOptions{}, p.progress)
	wantCode(t, err, WrongServer)
	must(t, p.TrustServer(t.Context(), ssh.FingerprintSHA256(key.PublicKey())))
	result, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
	must(t, err)
	if result.KeptBoth != len(uids) || result.Stayed != 0 {
		t.Errorf("%+v", result)
	}
}
