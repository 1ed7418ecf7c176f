package profile

import (
	"errors"
	"path/filepath"
)

// Profile is one child's Sugar profile.
type Profile struct {
	// Dir is the profile's folder. It need not exist yet.
	Dir string
}

// Find finds the profile as Sugar does: SUGAR_HOME or HOME/.sugar, then
// SUGAR_PROFILE or "default".
func Find(getenv func(string) string) (Profile, error) {
	home := getenv("SUGAR_HOME")
	if home == "" {
		user := getenv("HOME")
		if user == "" {
			return Profile{}, errors.New("cannot find the Sugar profile: neither SUGAR_HOME nor HOME is set")
		}
		home = filepath.Join(user, ".sugar")
	}
	name := getenv("SUGAR_PROFILE")
	if name == "" {
		name = "default"
	}
	dir, err := filepath.Abs(filepath.Join(home, name))
	if err != nil {
		return Profile{}, err
	}
	return Profile{Dir: dir}, nil
}

// Datastore is the folder of the Journal.
func (p Profile) Datastore() string { return p.path("datastore") }

func (p Profile) path(name string) string { return filepath.Join(p.Dir, name) }
