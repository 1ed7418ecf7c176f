package store

import (
	"context"
	"slices"
	"strings"
)

// emptyUUID is what Sugar sends where it cannot tell.
const emptyUUID = "00000000-0000-0000-0000-000000000000"

// dumbSerials are what makers leave where a serial number belongs, in lower case
// and without what no serial has; dumbUUIDs likewise.
var (
	dumbSerials = []string{"default-string", "defaultstring", "none", "unknown", "notspecified", "not-specified", "system-serial-number",
		"systemserialnumber", "serial", "0123456789", "123456789", "1234567890", "tobefilledbyoem"}
	dumbUUIDs = []string{"03000200-0400-0500-0006-000700080009", "12345678-1234-5678-90ab-cddeefaabbcc"}
)

// Speaks tells whether serial and uuid say which machine this is.
func (m Machine) Speaks() bool { return m.Serial.speaks() && uuidSpeaks(m.UUID) }

func (s Serial) speaks() bool {
	low := strings.ToLower(string(s))
	// SHF00000000 is what Sugar sends where it cannot tell; XOs' begin with SHC or CSN.
	for _, maker := range []string{"shf", "shc", "csn"} {
		if rest, ok := strings.CutPrefix(low, maker); ok && rest != "" {
			low = rest
			break
		}
	}
	return strings.Trim(low, "0-_") != "" && !slices.Contains(dumbSerials, strings.ToLower(string(s)))
}

func uuidSpeaks(uuid string) bool {
	low := strings.ToLower(strings.ReplaceAll(uuid, "-", ""))
	if strings.Trim(low, "0") == "" || slices.Contains(dumbUUIDs, strings.ToLower(uuid)) {
		return false
	}
	// ffffffff-…, 11111111-…: one digit throughout. A short one is a test's.
	return len(low) < 8 || strings.Trim(low, low[:1]) != ""
}

// is tells whether both are, by what they say, the same machine.
func (m Machine) is(o Machine) bool {
	return m.Speaks() && m.Serial == o.Serial && strings.EqualFold(m.UUID, o.UUID)
}

// aliasOf tells whether an administrator said that this machine is to have the
// account. Where no uuid was said, the first machine of the serial is meant.
func (a *Account) aliasOf(m Machine) bool {
	return m.Speaks() && slices.ContainsFunc(a.Aliases, func(o Machine) bool {
		return o.Serial == m.Serial && (o.UUID == "" || strings.EqualFold(o.UUID, m.UUID))
	})
}

// knows tells whether the machine is recognised as one of the account's.
func (a *Account) knows(m Machine) bool {
	return slices.ContainsFunc(a.Machines, func(o Machine) bool { return o.is(m) }) || a.aliasOf(m)
}

// shares tells whether the account knows a machine of that serial and another
// uuid: then the serial says nothing.
func (a *Account) shares(m Machine) bool {
	return slices.ContainsFunc(a.Machines, func(o Machine) bool {
		return o.Serial == m.Serial && o.Speaks() && !o.is(m)
	})
}

// recognised answers the accounts of the machine: by serial and uuid together,
// unless two machines send that serial.
func (s *Store) recognised(ctx context.Context, m Machine) ([]*Account, error) {
	if !m.Speaks() {
		return nil, nil
	}
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	all, many := s.under(serialWord(m.Serial))
	if many || slices.ContainsFunc(all, func(a *Account) bool { return a.shares(m) }) {
		return nil, nil
	}
	return slices.DeleteFunc(all, func(a *Account) bool { return !a.knows(m) }), nil
}
