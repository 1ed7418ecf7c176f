package xsclient

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sugarlabs/xo-backupd/datastore"
)

// agreeOn records all of a Journal as it is as agreed on.
func (p *pupil) agreeOn(journal string) {
	p.t.Helper()
	agreed, err := p.openAgreed()
	must(p.t, err)
	versions := map[datastore.UID]datastore.Version{}
	for uid, info := range lookAt(p.t, journal).Entries() {
		versions[uid] = info.Version
	}
	must(p.t, agreed.add(versions, 1))
}

// cutOff leaves what a restore leaves that the power has cut off while those
// entries were under way.
func (p *pupil) cutOff(s *school, uids []string) {
	p.t.Helper()
	must(p.t, p.savePending(pendingRestore{Account: p.account(), Resolved: s.snap.ID}))
	var batch []arrival
	for _, uid := range uids {
		batch = append(batch, arrival{task: task{uid: datastore.UID(uid)}})
	}
	u, err := openUnderWay(p.underWayPath())
	must(p.t, err)
	must(p.t, u.begin(batch))
}

// Half of an entry that was being put back when the power went is made whole,
// whether or not it was agreed on before; it is neither left as the child's work
// nor put beside itself.
func TestUnfinishedEntries(t *testing.T) {
	halves := []func(dir string){
		func(dir string) { must(t, os.Remove(dir+"/data")) },
		func(dir string) { // no file was written out
			must(t, os.Truncate(dir+"/data", 0))
			must(t, os.Truncate(dir+"/metadata/title", 0))
		},
		func(dir string) { // of the properties, only some are there
			must(t, os.Remove(dir+"/data"))
			for _, name := range []string{"preview", "activity", "keep", "filesize"} {
				must(t, os.Remove(dir+"/metadata/"+name))
			}
		},
		func(dir string) { must(t, os.Remove(dir+"/metadata/preview")) },
		func(dir string) { must(t, errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))) },
		func(dir string) { must(t, errors.Join(os.RemoveAll(dir), os.MkdirAll(dir+"/metadata", 0o755))) },
		func(dir string) { // Sugar has looked at it since, and filled in the time
			must(t, os.Remove(dir+"/data"))
			must(t, os.WriteFile(dir+"/metadata/timestamp", []byte("1"), 0o644))
		},
	}
	for _, agreed := range []bool{true, false} {
		t.Run(map[bool]string{true: "agreed on", false: "never agreed on"}[agreed], func(t *testing.T) {
			old, uids := rawJournal(t, len(halves), 1)
			s := newSchool(t, old)
			p := newPupil(t, s, old)
			if agreed {
				p.agreeOn(old)
			}
			for i, spoil := range halves {
				spoil(filepath.Join(p.journal, uids[i][:2], uids[i]))
			}
			p.cutOff(s, uids)
			result, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
			must(t, err)
			if result.Partial || result.KeptBoth+result.Stayed > 0 || result.Entries != len(uids) {
				t.Errorf("%+v", result)
			}
			p.holds(old)
			p.agreedIsHere()
		})
	}
}

// A child takes something away: tags, a preview, all that a file held. That is
// work like any other, and a restore that never gave the entry to Sugar, or had it
// on the disk since, leaves it.
func TestTakenAway(t *testing.T) {
	for _, live := range []bool{true, false} {
		for _, agreed := range []bool{true, false} {
			t.Run(fmt.Sprintf("live %v, agreed %v", live, agreed), func(t *testing.T) {
				old, uids := rawJournal(t, 4, 1)
				s := newSchool(t, old)
				p := newPupil(t, s, old)
				if agreed {
					p.agreeOn(old)
				}
				if live {
					p.live()
				}
				at := func(i int) string { return filepath.Join(p.journal, uids[i][:2], uids[i]) }
				must(t, os.Remove(at(0)+"/metadata/activity"))
				must(t, os.Remove(at(1)+"/metadata/preview"))
				must(t, os.Truncate(at(2)+"/data", 0))
				before := listing(t, p.journal)
				p.cutOff(s, uids[3:]) // and something else was under way
				result, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
				must(t, err)
				if agreed && result.Stayed != 3 || !agreed && result.KeptBoth != 3 {
					t.Errorf("%+v", result)
				}
				after := listing(t, p.journal)
				for i := range 3 {
					for name, was := range before {
						if strings.Contains(name, uids[i]) && !strings.HasSuffix(name, "/checksum") && after[name] != was {
							t.Errorf("%s: %v, was %v", name, after[name], was)
						}
					}
				}
			})
		}
	}
}

// What a child has done in the entry that came back beside its newer work is not
// undone when the same comes back again, whatever was under way.
func TestTwinIsWorkedOn(t *testing.T) {
	for _, live := range []bool{true, false} {
		t.Run(fmt.Sprintf("live %v", live), func(t *testing.T) {
			old, uids := rawJournal(t, 1, 1)
			s := newSchool(t, old)
			p := newPupil(t, s, old)
			if live {
				p.live()
			}
			at := func(uid string) string { return filepath.Join(p.journal, uid[:2], uid) }
			must(t, os.Remove(at(uids[0])+"/metadata/preview"))
			must(t, os.WriteFile(at(uids[0])+"/data", []byte("newer work"), 0o644))
			_, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
			must(t, err)
			var twin string
			for _, uid := range p.uids() {
				if uid != uids[0] {
					twin = uid
				}
			}
			must(t, os.WriteFile(at(twin)+"/data", []byte("and work in the older one"), 0o644))
			before := listing(t, p.journal)
			for range 2 {
				p.cutOff(s, uids)
				_, err = p.Restore(t.Context(), RestoreOptions{}, p.progress)
				must(t, err)
				unchanged(t, "the Journal", before, listing(t, p.journal))
			}
		})
	}
}

// Of half an entry it is known what it is, also if it looks like a child's work.
func TestFinishedEntries(t *testing.T) {
	whole := &datastore.Entry{
		Metadata: map[string][]byte{"title": []byte("turtle"), "tags": []byte("art"), "timestamp": []byte("7"), "preview": []byte("\x89"), "checksum": []byte("sum")},
		Data:     &datastore.Data{SHA256: [32]byte{1}, Size: 3},
	}
	plain := &datastore.Entry{Metadata: whole.Metadata}
	empty := &datastore.Entry{Metadata: whole.Metadata, Data: &datastore.Data{}}
	half := &datastore.Entry{Metadata: map[string][]byte{"title": []byte("turtle")}}
	for _, of := range []*datastore.Entry{whole, plain, empty} {
		if !isUnfinished(half, of) {
			t.Errorf("half of %+v is not taken for it", of)
		}
	}
	for name, c := range map[string]struct {
		whole  *datastore.Entry
		change func(e *datastore.Entry)
	}{
		"as it is":             {whole, func(*datastore.Entry) {}},
		"another time":         {whole, func(e *datastore.Entry) { e.Metadata["timestamp"] = []byte("9") }},
		"not summed yet":       {whole, func(e *datastore.Entry) { delete(e.Metadata, "checksum"); e.Metadata["timestamp"] = []byte("9") }},
		"renamed":              {whole, func(e *datastore.Entry) { e.Metadata["title"] = []byte("turt") }},
		"no data, renamed":     {whole, func(e *datastore.Entry) { e.Data, e.Metadata["title"] = nil, []byte("turt") }},
		"no data, starred":     {whole, func(e *datastore.Entry) { e.Data, e.Metadata["keep"] = nil, []byte("1") }},
		"less data":            {whole, func(e *datastore.Entry) { e.Data = &datastore.Data{SHA256: [32]byte{2}, Size: 1} }},
		"other data, no tags":  {whole, func(e *datastore.Entry) { e.Data.SHA256[0]++; delete(e.Metadata, "tags") }},
		"tags removed":         {whole, func(e *datastore.Entry) { e.Metadata["tags"] = nil }},
		"tags removed, plain":  {plain, func(e *datastore.Entry) { e.Metadata["tags"] = nil }},
		"data added":           {plain, func(e *datastore.Entry) { e.Data = &datastore.Data{Size: 1} }},
		"data added, less":     {plain, func(e *datastore.Entry) { e.Data = &datastore.Data{}; delete(e.Metadata, "tags") }},
		"property added, less": {plain, func(e *datastore.Entry) { e.Metadata["x"] = nil; delete(e.Metadata, "tags") }},
	} {
		here := &datastore.Entry{Metadata: maps.Clone(c.whole.Metadata)}
		if c.whole.Data != nil {
			data := *c.whole.Data
			here.Data = &data
		}
		if c.change(here); isUnfinished(here, c.whole) {
			t.Errorf("%s: taken for half", name)
		}
	}
}

// What cannot be read here is kept aside, the child has the school's copy, and
// both is said.
func TestDamagedHere(t *testing.T) {
	for _, live := range []bool{true, false} {
		for name, spoil := range map[string]func(dir string){
			"metadata is a file": func(dir string) {
				must(t, os.RemoveAll(dir+"/metadata"))
				must(t, os.WriteFile(dir+"/metadata", []byte("precious"), 0o644))
			},
			"another's uid":    func(dir string) { must(t, os.WriteFile(dir+"/metadata/uid", []byte("x"), 0o644)) },
			"data is a folder": func(dir string) { must(t, os.Remove(dir+"/data")); must(t, os.Mkdir(dir+"/data", 0o755)) },
		} {
			t.Run(name+map[bool]string{true: ", live"}[live], func(t *testing.T) {
				old, uids := rawJournal(t, 3, 1)
				s := newSchool(t, old)
				p := newPupil(t, s, old)
				p.agreeOn(old)
				if live {
					p.live()
				}
				aside := filepath.Join(p.cfg.Profile.Dir, "backup-unreadable", uids[1]+"-as-it-was-here")
				for _, suffix := range []string{"", "-2"} {
					dir := filepath.Join(p.journal, uids[1][:2], uids[1])
					spoil(dir)
					before := listing(t, dir)
					result, err := p.Restore(t.Context(), RestoreOptions{}, p.progress)
					must(t, err)
					if !result.Partial || len(result.Mended) != 1 || len(result.Skipped) > 0 || result.Entries != len(uids) ||
						!strings.Contains(result.Message, aside+suffix) || !strings.Contains(result.Message, uids[1]) {
						t.Errorf("%+v", result)
					}
					unchanged(t, "aside", before, listing(t, aside+suffix))
					p.holds(old)
					p.agreedIsHere()
					p.pending(false)
				}
			})
		}
	}
}
