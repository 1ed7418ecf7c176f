package datastore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
)

// Format is the format of a travelling tree, Layout the one of Sugar's
// datastore that it is made of.
const (
	Format = 1
	Layout = 6
)

// Owner is what travels of the profile: enough for a teacher to say whose
// Journal it is.
type Owner struct{ Nick, Color, Group string }

// Journal is what journal.cjson holds.
type Journal struct {
	Owner Owner
	// Kept are entries that exist but could not be read this time: whoever
	// receives the tree keeps the last whole copy of them.
	Kept []UID
}

// Encode makes journal.cjson.
func (j *Journal) Encode() ([]byte, error) {
	kept := make([]string, 0, len(j.Kept))
	for _, uid := range j.Kept {
		if _, err := ParseUID(string(uid)); err != nil {
			return nil, fmt.Errorf("%s: kept: %w", journalName, err)
		}
		kept = append(kept, string(uid))
	}
	slices.Sort(kept)
	b, err := cjson.EncodeCanonical(map[string]any{
		"format": Format,
		"kept":   slices.Compact(kept),
		"layout": Layout,
		"profile": map[string]string{
			"color": strings.ToValidUTF8(j.Owner.Color, "\uFFFD"),
			"group": strings.ToValidUTF8(j.Owner.Group, "\uFFFD"),
			"nick":  strings.ToValidUTF8(j.Owner.Nick, "\uFFFD"),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", journalName, err)
	}
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%s: it is larger than 8 MiB", journalName)
	}
	return b, nil
}

// DecodeJournal reads a journal.cjson, as strictly as DecodeEntry does.
func DecodeJournal(b []byte) (*Journal, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%s: it is larger than 8 MiB", journalName)
	}
	p := &parser{rest: b}
	j := &Journal{}
	p.expect(`{"format":`)
	if format := p.integer(); p.err == nil && format != Format {
		return nil, fmt.Errorf("%s: its format is %d; this program knows %d", journalName, format, Format)
	}
	p.expect(`,"kept":[`)
	if !p.take(`]`) {
		for p.err == nil {
			uid, err := ParseUID(p.text())
			if err != nil {
				p.fail(err.Error())
			}
			if n := len(j.Kept); n > 0 && uid <= j.Kept[n-1] {
				p.fail("the kept uids are not sorted")
			}
			j.Kept = append(j.Kept, uid)
			if !p.take(`,`) {
				break
			}
		}
		p.expect(`]`)
	}
	p.expect(`,"layout":`)
	if layout := p.integer(); p.err == nil && layout != Layout {
		return nil, fmt.Errorf("%s: its layout is %d; this program knows %d", journalName, layout, Layout)
	}
	p.expect(`,"profile":{"color":`)
	j.Owner.Color = p.text()
	p.expect(`,"group":`)
	j.Owner.Group = p.text()
	p.expect(`,"nick":`)
	j.Owner.Nick = p.text()
	p.expect(`}}`)
	p.end()
	if p.err != nil {
		return nil, fmt.Errorf("%s: %w", journalName, p.err)
	}
	return j, nil
}
