package wire

import "fmt"

// Service is what GET /backup/2 answers.
type Service struct {
	Protocols []int `json:"protocols"`
	// SSH is host:port of the ssh listener, as seen by whoever asked.
	SSH string `json:"ssh"`
	// HostKey is the ssh host key, one authorized_keys line without comment.
	HostKey string `json:"host_key"`
	// HostCertificate is the key with its certificate, where there is one.
	HostCertificate string `json:"host_certificate,omitempty"`
	// Registration is host:port of the XML-RPC listener.
	Registration string `json:"registration"`
}

// Availability is what GET /backup/2/available/SERIAL answers.
type Availability struct {
	Available bool `json:"available"`
	// Code is empty when available, else one of the Refused words.
	Code       string `json:"code,omitempty"`
	Reason     string `json:"reason,omitempty"`
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
}

// KeyRequest is the body of POST /keys: a further key for the account.
type KeyRequest struct {
	Key    string `json:"key"`    // one authorized_keys line
	Serial string `json:"serial"` // the machine that it belongs to
	// Proof that whoever asks holds the key: the base64 of a signature, in ssh's wire
	// format, of KeyProof. Else one could make another child's key lead to one's own
	// account.
	Proof string `json:"proof"`
}

// KeyProof is what the key of a KeyRequest signs: it holds in that session, for that
// account and that key.
func KeyProof(session []byte, account, key string) []byte {
	return fmt.Appendf(nil, "xo-backupd key\n%x\n%s\n%s\n", session, account, key)
}

// SavedRequest is the body of POST /saved: entries by uid with their versions.
type SavedRequest struct {
	Entries map[string]string `json:"entries"`
}

// SavedAnswer lists those of a SavedRequest that the latest snapshot holds in
// just that version.
type SavedAnswer struct {
	UIDs []string `json:"uids"`
}

// RestorePath is what GET /snapshots/ID/restore answers: the PATH of a restore.
type RestorePath struct {
	Path string `json:"path"`
}
