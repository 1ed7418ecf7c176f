package profile

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Machine is which laptop this is.
type Machine struct{ Serial, UUID string }

// What Sugar registers where the firmware has no value. They say nothing.
const (
	NoSerial = "SHF00000000"
	NoUUID   = "00000000-0000-0000-0000-000000000000"
)

// maxIdentifier bounds what is taken for a serial or a uuid.
const maxIdentifier = 256

// Machine reads the machine's identity: from the firmware's device tree below
// root, else from what a registration left in the profile. What is in neither
// is empty.
func (p Profile) Machine(root string) Machine {
	for _, tree := range []string{"ofw", "proc/device-tree"} {
		m := Machine{
			Serial: readIdentifier(filepath.Join(root, tree, "mfg-data/SN")),
			UUID:   readIdentifier(filepath.Join(root, tree, "mfg-data/U#")),
		}
		if m.Serial != "" {
			return m
		}
	}
	return Machine{
		Serial: readIdentifier(p.path("identifiers/sn")),
		UUID:   readIdentifier(p.path("identifiers/uuid")),
	}
}

// readIdentifier reads one, as Sugar does, without the NUL that ends it. What
// could not be one is none.
func readIdentifier(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIdentifier+1))
	s := strings.TrimRight(string(b), "\x00\n")
	if err != nil || len(b) > maxIdentifier || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return s
}

// StoreMachine leaves the machine's identity in the profile, where Sugar's
// registration leaves it and its backup looks for it.
func (p Profile) StoreMachine(m Machine) error {
	dir := p.path("identifiers")
	if err := MakeDir(dir, 0o755); err != nil {
		return err
	}
	for name, value := range map[string]string{"sn": m.Serial, "uuid": m.UUID} {
		path := filepath.Join(dir, name)
		if readIdentifier(path) == value {
			continue
		}
		if err := WriteFile(path, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Invent fills in what a machine has not got, in the form that Sugar does: a
// serial of three letters and eight digits of the time, a uuid. It is for the
// first registration of a machine without firmware; store it.
func (m Machine) Invent(now time.Time) Machine {
	if m.Serial == "" || m.Serial == NoSerial {
		letters := rand.Text() // base32: letters and 2 to 7
		m.Serial = strings.Map(func(r rune) rune {
			if r >= '2' && r <= '7' {
				return r - '2' + 'G'
			}
			return r
		}, letters[:3]) + fmt.Sprintf("%08d", now.Unix()%1e8)
	}
	if m.UUID == "" || m.UUID == NoUUID {
		var b [16]byte
		rand.Read(b[:])
		b[6] = b[6]&0x0f | 0x40 // version 4, random
		b[8] = b[8]&0x3f | 0x80
		m.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	return m
}
