package xs

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sugarlabs/xo-backupd/datastore"
	"github.com/sugarlabs/xo-backupd/wire"
)

// An entry as a bundle is what WriteBundle makes of it, with a file in parts,
// with one, and without.
func TestBundle(t *testing.T) {
	b := newBed(t)
	c := b.client()
	dir := journal(t, 12)
	if o := b.backup(c, dir); o.refusal != nil {
		t.Fatal(o.refusal)
	}
	h := b.apiClient(c)
	for _, n := range []int{7, 1, 0} {
		resp, err := h.Get("http://xs/snapshots/latest/entries/" + string(uid(n)) + ".xoj")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/vnd.olpc-journal-entry" {
			t.Errorf("%d: %d %v, %v", n, resp.StatusCode, resp.Header, err)
		}
		var want bytes.Buffer
		e, _, err := datastore.ReadEntry(os.DirFS(dir), uid(n))
		if err != nil {
			t.Fatal(err)
		}
		var data io.ReadCloser
		if e.Data != nil {
			if data, err = datastore.OpenData(os.DirFS(dir), e); err != nil {
				t.Fatal(err)
			}
			defer data.Close()
		}
		if err := datastore.WriteBundle(&want, e, data); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d: %d bytes, %d were to come, %v", n, len(got), want.Len(), err)
		}
	}
}

// Damage at school ends an answer, in words while there is time for them, and
// whoever asked never has a whole bundle, or metadata, that is not what it was.
func TestBundleOfDamage(t *testing.T) {
	b := newBed(t)
	c := b.client()
	dir := journal(t, 12)
	o := b.backup(c, dir)
	if o.refusal != nil {
		t.Fatal(o.refusal)
	}
	snapshot := filepath.Join(b.root, b.account, "snapshots", o.snapshot.ID)
	at := func(n int, suffix string) string {
		return filepath.Join(snapshot, strings.TrimSuffix(uid(n).Path(), ".cjson")+suffix)
	}
	// change leaves a file the time that it had.
	change := func(path string, spoil func(content []byte)) error {
		before, err := os.Stat(path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		spoil(content)
		return errors.Join(os.WriteFile(path, content, 0o644), os.Chtimes(path, before.ModTime(), before.ModTime()))
	}
	other, err := (&datastore.Entry{UID: uid(11), Metadata: map[string][]byte{"title": []byte("other")}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		n      int
		spoil  func() error
		kinds  string
		silent bool // by then too much has been said
	}{
		"one bit of a file":   {1, func() error { return change(at(1, ".data"), func(b []byte) { b[0] ^= 1 }) }, ".xoj", false},
		"the last of a large": {7, func() error { return change(at(7, ".data.0002"), func(b []byte) { b[len(b)-1] ^= 1 }) }, ".xoj", true},
		"a file is gone":      {2, func() error { return os.Remove(at(2, ".data")) }, ".xoj .data", false},
		"a file is a folder":  {3, func() error { return errors.Join(os.Remove(at(3, ".data")), os.Mkdir(at(3, ".data"), 0o755)) }, ".xoj .data", false},
		"a file is cut":       {5, func() error { return os.Truncate(at(5, ".data"), 1) }, ".xoj .data", false},
		"a title": {6, func() error {
			return change(at(6, ".cjson"), func(b []byte) { copy(b[bytes.Index(b, []byte("entry")):], "ENTRY") })
		}, ".xoj .cjson .data", false},
		"metadata is gone":      {9, func() error { return os.Remove(at(9, ".cjson")) }, ".xoj .cjson .data", false},
		"metadata is nonsense":  {10, func() error { return os.WriteFile(at(10, ".cjson"), []byte("{"), 0o644) }, ".xoj .cjson .data", false},
		"metadata is another's": {11, func() error { return os.WriteFile(at(11, ".cjson"), other, 0o644) }, ".xoj .cjson .data", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.spoil(); err != nil {
				t.Fatal(err)
			}
			for _, kind := range strings.Fields(c.kinds) {
				conn := b.client()
				resp, err := b.apiClient(conn).Get("http://xs/snapshots/latest/entries/" + string(uid(c.n)) + kind)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				conn.Close() // one account has few at once
				if c.silent {
					if err == nil {
						t.Errorf("%s: the answer has an end", kind)
					}
					if _, err := zip.NewReader(bytes.NewReader(got), int64(len(got))); err == nil {
						t.Errorf("%s: what came is a zip", kind)
					}
					continue
				}
				var no wire.Refusal
				if json.Unmarshal(got, &no); err != nil || resp.StatusCode != http.StatusInternalServerError ||
					no.Code != wire.RefusedDamaged || !strings.Contains(no.Message, string(uid(c.n))) {
					t.Errorf("%s: %d %q, %v", kind, resp.StatusCode, got, err)
				}
			}
		})
	}
	// A time that is not that of the content proves nothing by itself.
	if err := os.Chtimes(at(8, ".cjson"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := b.apiClient(c).Get("http://xs/snapshots/latest/entries/" + string(uid(8)) + ".xoj")
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v, %v", resp, err)
	}
}
