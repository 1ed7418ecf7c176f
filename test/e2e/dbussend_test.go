package e2e

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sugarlabs/xo-backupd/test/bed"
	"github.com/sugarlabs/xo-backupd/wire"
)

const (
	daemon = "/org/laptop/Backup"
	// patience is a minute: no call that a person waits for takes longer.
	patience = "--reply-timeout=60000"
)

// send is dbus-send's answer, in one line, the error's included.
func send(t *testing.T, x *bed.XO, path, method string, args ...string) string {
	t.Helper()
	if !strings.HasPrefix(method, "org.") {
		method = "org.laptop.Backup." + method
	}
	words := append([]string{"--session", "--print-reply", patience, "--dest=org.laptop.Backup", path, method}, args...)
	out, err := x.Command(t.Context(), "dbus-send", words...).CombinedOutput()
	said := strings.Join(strings.Fields(string(out)), " ")
	if (err != nil) != strings.HasPrefix(said, "Error ") {
		t.Fatalf("dbus-send %s: %v: %s", method, err, said)
	}
	return said
}

// says checks that an answer has each part, a regular expression.
func says(t *testing.T, said string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !regexp.MustCompile(part).MatchString(said) {
			t.Errorf("there is no %s in: %s", part, said)
		}
	}
}

func get(t *testing.T, x *bed.XO, path, iface, name string) string {
	t.Helper()
	return send(t, x, path, "org.freedesktop.DBus.Properties.Get", "string:"+iface, "string:"+name)
}

// sendJob starts a job and waits for it, as a script would.
func sendJob(t *testing.T, x *bed.XO, method string, args ...string) (path, result string) {
	t.Helper()
	path = jobOf(t, send(t, x, daemon, method, args...))
	return path, send(t, x, daemon, "Wait", "objpath:"+path)
}

func jobOf(t *testing.T, said string) string {
	t.Helper()
	m := regexp.MustCompile(`object path "(/org/laptop/Backup/jobs/[0-9]+)"`).FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("no job: %s", said)
	}
	return m[1]
}

const (
	jobDone     = `string "done" string "" string ".+"`
	invalid     = `^Error org\.laptop\.Backup\.Error\.InvalidArgument: .`
	unsupported = `^Error org\.freedesktop\.DBus\.Error\.NotSupported: .`
)

// Every method and every property, by dbus-send, against a real school server.
func TestDBusSend(t *testing.T) {
	t.Parallel()
	s := bed.XSFor(t, bed.ServerOptions{})
	x := bed.XOFor(t, bed.Options{})
	must(t, x.PointAt(s))
	uids, before := fill(t, x, 5)

	// Before it is known.
	says(t, get(t, x, daemon, "org.laptop.Backup", "State"), `string "unregistered"`)
	says(t, send(t, x, daemon, "CheckServer"), `"available" variant boolean false`, `"reason" variant string "[^"]+"`)
	says(t, send(t, x, daemon, "ListSnapshots"), `^Error org\.laptop\.Backup\.Error\.NotRegistered: .`)

	says(t, send(t, x, daemon, "Register"), `^method return`)
	says(t, send(t, x, daemon, "Register"), `^method return`) // again: nothing to do
	says(t, send(t, x, daemon, "CheckServer"), `"available" variant boolean true`, `"protocols" variant array \[ uint32 1 uint32 2 \]`)
	says(t, send(t, x, daemon, "TrustServer", "string:SHA256:nobody"), invalid)
	says(t, send(t, x, daemon, "ListSnapshots"), `array \[ \]`)
	says(t, send(t, x, daemon, "Saved", "array:string:"+uids[0]), `array \[ \]`)
	_, result := sendJob(t, x, "Restore", "string:")
	says(t, result, `string "failed" string "org\.laptop\.Backup\.Error\.NoSnapshot"`)

	first, result := sendJob(t, x, "Backup")
	says(t, result, jobDone)
	must(t, x.Update(t.Context(), uids[0], bed.Samples(1, 70)[0]))
	must(t, x.Settle(t.Context()))
	_, result = sendJob(t, x, "BackupWithOptions", "dict:string:string:trigger,manual")
	says(t, result, jobDone)
	says(t, send(t, x, daemon, "BackupWithOptions", "dict:string:string:trigger,hunger"), invalid)
	list := send(t, x, daemon, "ListSnapshots")
	says(t, list, `"seq" variant uint64 2 .*"seq" variant uint64 1 `, `"time" variant int64 [0-9]{10}`, `"confirmed" variant int64 [0-9]{10}`,
		`"entries" variant uint32 5 `, `"bytes" variant uint64 [0-9]+`, `"account" variant string "SHC00500001"`)
	ids := regexp.MustCompile(`"id" variant string "([^"]+)"`).FindAllStringSubmatch(list, -1)
	if len(ids) != 2 {
		t.Fatalf("snapshots: %s", list)
	}
	says(t, send(t, x, daemon, "Saved", "array:string:"+strings.Join(uids, ",")), uids[0], uids[4])

	// And back: merged, as it was, and what cannot be.
	_, result = sendJob(t, x, "Restore", "string:")
	says(t, result, jobDone)
	_, result = sendJob(t, x, "RestoreWithOptions", "string:"+ids[1][1], "dict:string:string:mode,replace,deleted,true")
	says(t, result, jobDone)
	holds(t, x, before)
	says(t, send(t, x, daemon, "RestoreWithOptions", "string:", "dict:string:string:mode,overwrite"), invalid)
	says(t, send(t, x, daemon, "Restore", "string:../../etc"), invalid)
	_, result = sendJob(t, x, "Restore", "string:2001-01-01T00-00-00Z")
	says(t, result, `string "failed" string "org\.laptop\.Backup\.Error\.NoSnapshot"`)

	says(t, send(t, x, daemon, "Wait", "objpath:"+first), jobDone) // still known
	says(t, send(t, x, daemon, "Cancel", "objpath:"+first), `^method return`)
	says(t, send(t, x, daemon, "Cancel", "objpath:"+daemon+"/jobs/4711"), invalid)

	// Looking, and one entry.
	for _, snapshot := range []string{"", ids[1][1]} {
		says(t, send(t, x, daemon, "Find", "string:"+snapshot, "dict:string:string:uid,"+uids[1]+",limit,3", "array:string:uid,timestamp"),
			`"timestamp" variant int32 [0-9]+`, `"uid" variant string "`+uids[1]+`"`, `uint32 1 ?$`)
	}
	says(t, send(t, x, daemon, "Find", "string:", "dict:string:string:limit,many", "array:string:title"), invalid+`*limit`)
	says(t, send(t, x, daemon, "Find", "string:2001-01-01T00-00-00Z", "dict:string:string:query,turtle", "array:string:title"),
		`^Error org\.laptop\.Backup\.Error\.NoSnapshot: .`)
	_, result = sendJob(t, x, "Reindex")
	says(t, result, jobDone, `5 entries`)
	_, result = sendJob(t, x, "RestoreEntry", "string:", "string:"+uids[0])
	says(t, result, jobDone)
	file := filepath.Join(x.Dir, "tmp", "entry.xoj")
	_, result = sendJob(t, x, "ExportEntry", "string:"+ids[1][1], "string:"+uids[1], "string:"+file)
	says(t, result, jobDone)
	must(t, os.Remove(file))
	says(t, send(t, x, daemon, "ExportEntry", "string:", "string:"+uids[1], "string:here.xoj"), invalid)
	says(t, send(t, x, daemon, "FindBackups"), `array \[ \]`) // there is but its own
	says(t, send(t, x, daemon, "Claim", "string:SHC00500001", "string:"), `string "granted" string "`)
	says(t, send(t, x, daemon, "Claim", "string:", "string:1234"), invalid)
	says(t, send(t, x, daemon, "Dismiss", "string:later"), `^method return`)
	says(t, send(t, x, daemon, "Dismiss", "string:never"), invalid)
	says(t, send(t, x, daemon, "OpenWeb"), unsupported)

	for name, value := range map[string]string{
		"Version": `string "[^"]+"`, "State": `string "idle"`, "StateReason": `string "`, "Server": `string "` + s.URL() + `"`,
		"Account": `string "SHC00500001"`, "Serial": `string "SHC00500001"`, "LastBackup": `int64 [0-9]{10}`,
		"LastResult": `string ".+"`, "Entries": `uint32 5`, "Jobs": `array \[ \]`,
	} {
		says(t, get(t, x, daemon, "org.laptop.Backup", name), `variant `+value)
	}
	for name, value := range map[string]string{
		"Operation": `string "backup"`, "Phase": `string "`, "Progress": `double (0|1)`, "ProgressValid": `boolean`,
		"Bytes": `uint64 [0-9]+`, "BytesDone": `uint64 [0-9]+`, "Entries": `uint32 5`, "EntriesDone": `uint32 5`,
		"EntriesSkipped": `uint32 0`, "StartTime": `uint64 [0-9]{16}`, "ExpectedEndTime": `uint64 [0-9]+`,
		"Cancelable": `boolean false`, "Result": `string "done"`, "ErrorName": `string ""`, "ErrorMessage": `string "`,
	} {
		says(t, get(t, x, first, "org.laptop.Backup.Job", name), `variant `+value)
	}
	says(t, send(t, x, first, "org.laptop.Backup.Job.Cancel"), `^method return`)
}

// A server with another host key is trusted by dbus-send, by what its answers say.
func TestDBusSendTrusts(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	_, before := fill(t, x, 3)
	_, result := sendJob(t, x, "Backup")
	says(t, result, jobDone)
	must(t, s.Stop())
	changeHostKey(t, s)
	must(t, s.Start(t.Context()))

	_, result = sendJob(t, x, "Backup")
	says(t, result, `string "failed" string "org\.laptop\.Backup\.Error\.WrongServer" string ".+"`)
	says(t, get(t, x, daemon, "org.laptop.Backup", "State"), `string "new-server"`)
	fingerprint := fingerprintIn(t, get(t, x, daemon, "org.laptop.Backup", "StateReason"))
	says(t, send(t, x, daemon, "TrustServer", "string:SHA256:"+strings.Repeat("A", 43)), invalid)
	says(t, get(t, x, daemon, "org.laptop.Backup", "State"), `string "new-server"`)
	says(t, send(t, x, daemon, "TrustServer", "string:"+fingerprint), `^method return`)
	_, result = sendJob(t, x, "Backup")
	says(t, result, jobDone)
	says(t, get(t, x, daemon, "org.laptop.Backup", "State"), `string "idle"`)
	must(t, x.WipeJournal(t.Context()))
	_, result = sendJob(t, x, "Restore", "string:")
	says(t, result, jobDone)
	holds(t, x, before)
}

// A job that runs is cancelled by dbus-send, by either of the two methods.
func TestDBusSendCancels(t *testing.T) {
	t.Parallel()
	x, _ := pair(t, bed.Options{})
	_, err := x.Create(t.Context(), bed.Sample{Props: map[string][]byte{"title": []byte("large")}, Data: make([]byte, 64<<20)})
	must(t, err)
	must(t, x.Settle(t.Context()))
	for _, cancel := range []func(path string) string{
		func(path string) string { return send(t, x, daemon, "Cancel", "objpath:"+path) },
		func(path string) string { return send(t, x, path, "org.laptop.Backup.Job.Cancel") },
	} {
		path := jobOf(t, send(t, x, daemon, "Backup"))
		says(t, get(t, x, daemon, "org.laptop.Backup", "Jobs"), path)
		awaitBytes(t, x, objectPath(path), 1<<20)
		says(t, cancel(path), `^method return`)
		says(t, send(t, x, daemon, "Wait", "objpath:"+path), `string "cancelled" string "org\.laptop\.Backup\.Error\.Cancelled"`)
	}
	done(t, x, "Backup")
}

// A busy school server: a person is told within a minute, and later it works.
func TestBusyServer(t *testing.T) {
	t.Parallel()
	s := bed.XSFor(t, bed.ServerOptions{Env: []string{"XS_BACKUPD_MAX_SESSIONS=1"}})
	x := bed.XOFor(t, bed.Options{})
	register(t, x, s)
	fill(t, x, 3)
	done(t, x, "Backup")
	release := occupy(t, s)
	uid, err := x.Create(t.Context(), bed.Samples(1, 71)[0])
	must(t, err)
	must(t, x.Settle(t.Context()))

	says(t, send(t, x, daemon, "CheckServer"), `"available" variant boolean false`, `"reason" variant string "[^"]*busy`, `"retry_after" variant uint32 [1-9]`)
	path := jobOf(t, send(t, x, daemon, "Backup"))
	says(t, send(t, x, daemon, "Wait", "objpath:"+path), `string "failed" string "org\.laptop\.Backup\.Error\.ServerBusy" string ".*busy`)
	release()
	done(t, x, "Backup")
	says(t, send(t, x, daemon, "Saved", "array:string:"+uid), uid)
}

// Keys that nobody else may read, from the first start on.
func TestKeysArePrivate(t *testing.T) {
	t.Parallel()
	x, s := pair(t, bed.Options{})
	for _, name := range []string{filepath.Join(s.Root, ".xs/host_key"), filepath.Join(x.Profile, "backup.key")} {
		st, err := os.Stat(name)
		must(t, err)
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
	}
	// And no other is made at the next start.
	key, err := os.ReadFile(filepath.Join(s.Root, ".xs/host_key"))
	must(t, err)
	must(t, s.Stop())
	must(t, s.Start(t.Context()))
	again, err := os.ReadFile(filepath.Join(s.Root, ".xs/host_key"))
	must(t, err)
	if string(key) != string(again) {
		t.Error("the second start made another host key")
	}
}

// occupy takes the server's one slot, as another laptop that backs up slowly.
func occupy(t *testing.T, s *bed.XS) (release func()) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	body, err := wire.EncodeCall("register", "SHC00500099", "Beto", "5b2e8a3c-9d41-4f6e-8a70-1c0de0500099", public)
	must(t, err)
	resp, err := http.Post(s.RegistrationURL(), "text/xml", bytes.NewReader(body))
	must(t, err)
	must(t, resp.Body.Close())
	client, err := ssh.Dial("tcp", s.SSH, &ssh.ClientConfig{User: "SHC00500099", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	session, err := client.NewSession()
	must(t, err)
	in, err := session.StdinPipe()
	must(t, err)
	out, err := session.StdoutPipe()
	must(t, err)
	must(t, session.Start(wire.CommandBackup))
	must(t, wire.WriteLine(in, wire.BackupRequest{Version: wire.Version, Digest: strings.Repeat("0", 64), Files: 1}))
	var a wire.Answer
	must(t, wire.ReadLine(bufio.NewReader(out), &a))
	if a.Action != wire.ActionPull {
		t.Fatalf("the slot was not to be had: %+v", a)
	}
	return func() {
		must(t, client.Close())
		// The slot is free when the server has noticed.
		for range 1000 {
			resp, err := http.Get(s.URL() + "/backup/2/available/SHC00500099")
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode == http.StatusOK {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("the slot was never free again")
	}
}
