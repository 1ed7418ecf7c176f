package xsclient

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/datastore/service"
	"github.com/sugarlabs/xo-backupd/profile"
	"github.com/sugarlabs/xo-backupd/test/bed"
)

// realXO is a laptop with Sugar's own datastore and n entries, which the real
// school server has.
func realXO(t *testing.T, n int) (x *bed.XO, c *Client, uids []string, journal bed.Journal) {
	t.Helper()
	x = bed.XOFor(t, bed.Options{Key: "ed25519"})
	t.Setenv("HOME", x.Home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(x.Home, ".config"))
	t.Setenv("GSETTINGS_BACKEND", "keyfile")
	c = client(t, Config{
		Server:    bed.XSFor(t, bed.ServerOptions{}).URL(),
		Profile:   profile.Profile{Dir: x.Profile},
		Root:      filepath.Join(x.Dir, "root"),
		StateDir:  filepath.Join(x.Dir, "state"),
		CacheDir:  filepath.Join(x.Dir, "cache"),
		Datastore: service.New(x.Conn),
	})
	t.Cleanup(c.Close)
	must(t, c.Register(t.Context()))
	uids, err := x.FillJournal(t.Context(), n, 1)
	must(t, err)
	if result := backUp(t, c); result.Partial || result.Entries != n {
		t.Fatalf("%+v", result)
	}
	journal, err = bed.ReadDisk(x.Datastore)
	must(t, err)
	return x, c, uids, journal
}

// finds checks that Sugar's datastore has just these entries, byte for byte.
func finds(t *testing.T, x *bed.XO, want bed.Journal) {
	t.Helper()
	must(t, x.Settle(t.Context()))
	got, err := x.ReadJournal(t.Context())
	must(t, err)
	if err := want.Diff(got, "checksum"); err != nil {
		t.Error(err)
	}
}

// Sugar's own datastore, running and not: one entry comes back as it was, or
// stands beside the child's newer work, and Sugar finds both.
func TestRealEntry(t *testing.T) {
	x, c, uids, journal := realXO(t, 20)
	restore := func(uid, want string) Result {
		t.Helper()
		result, err := c.RestoreEntry(t.Context(), "", uid, silent)
		must(t, err)
		if result.Partial || result.Entries != 1 || !strings.Contains(result.Message, want) {
			t.Errorf("%+v", result)
		}
		return result
	}
	for _, uid := range []string{uids[0], uids[19]} { // the last one is in parts
		must(t, x.Delete(t.Context(), uid))
		restore(uid, "again")
		finds(t, x, journal)
	}
	restore(uids[1], "nothing to do")
	finds(t, x, journal)

	must(t, x.Update(t.Context(), uids[1], bed.Sample{Props: map[string][]byte{"title": []byte("worked on")}, Data: []byte("more")}))
	must(t, x.Settle(t.Context()))
	changed, err := bed.ReadDisk(x.Datastore)
	must(t, err)
	result := restore(uids[1], "second time")
	twin := string(datastore.TwinUID(datastore.UID(uids[1]), (&datastore.Entry{
		UID: datastore.UID(uids[1]), Metadata: journal[uids[1]].Props, Data: dataOf(t, c, uids[1]),
	}).Version()))
	beside := bed.Entry{Props: map[string][]byte{}, Data: journal[uids[1]].Data}
	for name, value := range journal[uids[1]].Props {
		beside.Props[name] = value
	}
	beside.Props["uid"] = []byte(twin)
	beside.Props["title"] = append(bytes.Clone(beside.Props["title"]), " ("+time.Unix(result.Snapshot.Time, 0).Format(time.DateOnly)+")"...)
	changed[twin] = beside
	finds(t, x, changed)

	must(t, x.StopService(t.Context(), bed.DataStoreName))
	gone := filepath.Join(x.Datastore, uids[2][:2], uids[2])
	must(t, os.RemoveAll(gone))
	restore(uids[2], "again")
	if pid, err := x.ServicePID(t.Context(), bed.DataStoreName); err != nil || pid != 0 {
		t.Errorf("Sugar's datastore was started: %d, %v", pid, err)
	}
	finds(t, x, changed)
	if result := backUp(t, c); result.Partial || result.Entries != 21 {
		t.Errorf("%+v", result)
	}
}

// dataOf is what the server says of an entry's file.
func dataOf(t *testing.T, c *Client, uid string) *datastore.Data {
	t.Helper()
	e, err := c.SnapshotEntry(t.Context(), "", uid)
	must(t, err)
	return e.Data
}

// Every entry as a bundle: the same from the running Journal, from a snapshot, and
// as the school server makes it; and Sugar's jarabe puts it into another laptop's
// Journal with every property, its preview and its file.
func TestRealBundles(t *testing.T) {
	x, c, uids, journal := realXO(t, 20)
	snap, err := c.Snapshot(t.Context(), "")
	must(t, err)
	session, err := c.dial(t.Context())
	must(t, err)
	defer session.Close()
	api, err := session.api(t.Context())
	must(t, err)
	defer api.Close()
	dir, bundles := t.TempDir(), make([]string, len(uids))
	for i, uid := range uids {
		bundles[i] = filepath.Join(dir, uid+".xoj")
		_, err := c.ExportEntry(t.Context(), "", uid, bundles[i], silent)
		must(t, err)
		here := must1(os.ReadFile(bundles[i]))(t)
		result, err := c.ExportEntry(t.Context(), snap.ID, uid, bundles[i], silent)
		must(t, err)
		there := must1(os.ReadFile(bundles[i]))(t)
		response, err := api.do(t.Context(), http.MethodGet, nil, "snapshots", snap.ID, "entries", uid+".xoj")
		must(t, err)
		theirs, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, response.Body.Close())
		if !bytes.Equal(here, there) || !bytes.Equal(here, theirs) || result.Partial {
			t.Errorf("%s: %d bytes from here, %d from school, %d of the server's own; %+v", uid, len(here), len(there), len(theirs), result)
		}
	}

	y := bed.XOFor(t, bed.Options{Key: "ed25519", Serial: "SHC00500002"})
	_, err = y.Find(t.Context()) // a Sugar that runs
	must(t, err)
	must(t, y.InstallBundles(t.Context(), bundles...))
	got, err := y.ReadJournal(t.Context())
	must(t, err)
	for uid, e := range journal {
		if e.Data == nil {
			e.Data = []byte{} // see datastore.WriteBundle
		}
		if e.Props["preview"] == nil {
			e.Props["preview"] = []byte{}
		}
		journal[uid] = e
	}
	// The moment's, and the datastore's own.
	if err := journal.Diff(got, "timestamp", "mtime", "checksum", "filesize"); err != nil {
		t.Error(err)
	}
	for uid, e := range got {
		if size := len(e.Data); !bytes.Equal(e.Props["filesize"], journal[uid].Props["filesize"]) && size > 0 {
			t.Errorf("%s: filesize %q of %d bytes", uid, e.Props["filesize"], size)
		}
	}
	if found, err := x.Find(t.Context()); err != nil || !slices.Equal(found, slices.Sorted(slices.Values(uids))) {
		t.Errorf("%v, %v", found, err)
	}
}
