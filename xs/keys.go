package xs

import (
	"encoding/base64"
	"net/http"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

// postKeys lets a further key into the account.
func (s *session) postKeys(w http.ResponseWriter, req *http.Request, _ *store.Folder) error {
	var body wire.KeyRequest
	req.Body = http.MaxBytesReader(w, req.Body, wire.MaxLine)
	if err := readBody(w, req, &body); err != nil {
		return err
	}
	key, err := store.ParseKey(body.Key)
	if err != nil {
		return &wire.Refusal{Code: wire.RefusedInput, Message: err.Error()}
	}
	serial, err := store.ParseSerial(body.Serial)
	if err != nil {
		return err
	}
	if err := s.checkProof(body, key); err != nil {
		return err
	}
	_, via, err := s.find() // what it may do now, and not when the session began
	if err != nil {
		return err
	}
	if err := s.Store.AddKey(req.Context(), s.account, via, key, serial); err != nil {
		return err
	}
	s.log.Info("key added", "serial", serial, "kind", key.Type(), "by", via.Kind)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkProof tells whether who asks holds the key.
func (s *session) checkProof(body wire.KeyRequest, key ssh.PublicKey) error {
	no := &wire.Refusal{Code: wire.RefusedInput, Message: "The key is not proved: its signature is missing or wrong."}
	b, err := base64.StdEncoding.DecodeString(body.Proof)
	if err != nil {
		return no
	}
	var signature ssh.Signature
	if err := ssh.Unmarshal(b, &signature); err != nil {
		return no
	}
	if err := key.Verify(wire.KeyProof(s.conn.SessionID(), string(s.account), body.Key), &signature); err != nil {
		return no
	}
	return nil
}
