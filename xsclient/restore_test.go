package xsclient

import (
	"testing"
)

// A school's copy comes back, merged or in the Journal's place.
func TestRestore(t *testing.T) {
	old, uids := rawJournal(t, 12, 1)
	for name, opts := range map[string]RestoreOptions{"merge": {}, "replace": {Replace: true}} {
		t.Run(name, func(t *testing.T) {
			s := newSchool(t, old)
			p := newPupil(t, s, "")
			result, err := p.Restore(t.Context(), opts, p.progress)
			must(t, err)
			if result.Partial || result.Entries != len(uids) || result.Snapshot != s.snap {
				t.Errorf("%+v", result)
			}
			p.holds(old)
			p.untouched()
			p.pending(false)
		})
	}
}
