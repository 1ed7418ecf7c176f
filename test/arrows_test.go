// Package test holds what is tested of the product as a whole.
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sugarlabs/xo-backupd/"

// arrows are the rooms of the product, and for each those that it may import.
// Whoever adds a room draws its arrows here and in docs/architecture.md.
var arrows = map[string][]string{
	"wire":              {},
	"transfer":          {},
	"profile":           {},
	"dbus":              {},
	"schedule":          {},
	"datastore":         {},
	"datastore/service": {"datastore"},
	"datastore/index":   {"datastore", "datastore/index/xapian"},
	"xsclient":          {"wire", "datastore", "transfer", "profile"},
	"browse":            {"xsclient", "datastore", "datastore/index", "datastore/service", "profile", "wire"},
	"xs":                {"wire", "datastore", "transfer", "xs/store"},
	"xs/store":          {"wire", "datastore", "transfer"},

	"datastore/index/xapian": {}, // how Xapian reads text, and nothing of an index

	"cmd/xo-backupd": {"browse", "dbus", "schedule", "xsclient", "datastore", "datastore/service", "profile", "transfer", "wire"},
	"cmd/xo-backup":  {"dbus", "wire"}, // their words only
	"cmd/xs-backupd": {"xs", "xs/store", "datastore", "transfer", "wire"},

	"dbus/bustest": {}, // a bus for the tests of those that speak on one
	"test/bed":     {"wire"},
	"test/demo":    {"test/bed"},
	"test/bench":   {"test/bed"},
}

// only are libraries that one room alone imports.
var only = map[string]string{
	"github.com/gokrazy/rsync":                          "transfer",
	"github.com/landlock-lsm/go-landlock":               "transfer",
	"github.com/secure-systems-lab/go-securesystemslib": "datastore",
	"github.com/blevesearch":                            "datastore/index",
}

type room struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestArrows(t *testing.T) {
	rooms := list(t)
	for _, r := range rooms {
		name := strings.TrimPrefix(r.ImportPath, module)
		if name == "test" || name == "packaging" || strings.HasPrefix(name, "packaging/") || strings.HasPrefix(name, "test/") && arrows[name] == nil {
			continue // tests only
		}
		may, known := arrows[name]
		if !known {
			t.Errorf("%s is a room without arrows: draw them", name)
			continue
		}
		for _, imported := range r.Imports {
			if ours, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s", name, ours)
			}
			for library, by := range only {
				if within(imported, library) && name != by {
					t.Errorf("%s imports %s, which only %s does", name, library, by)
				}
			}
		}
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc"}, path.Base(name)) {
			t.Errorf("%s: a room is named for what is in it", name)
		}
	}
}

// The two sides meet on the wire, and nowhere else.
func TestSidesAreApart(t *testing.T) {
	for _, r := range list(t) {
		name := strings.TrimPrefix(r.ImportPath, module)
		for _, pair := range [][2]string{
			{"xs", "xsclient"}, {"xsclient", "xs"}, {"dbus", "xsclient"}, {"xsclient", "dbus"},
			{"cmd/xo-backup", "xsclient"}, {"cmd/xs-backupd", "xsclient"}, {"cmd/xo-backupd", "xs"},
		} {
			if name == pair[0] && slices.ContainsFunc(r.Deps, func(dep string) bool { return within(dep, module+pair[1]) }) {
				t.Errorf("%s depends on %s", pair[0], pair[1])
			}
		}
	}
}

// within tells whether an import path is a package or one below it.
func within(imported, root string) bool {
	return imported == root || strings.HasPrefix(imported, root+"/")
}

func list(t *testing.T) []room {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps=false", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var rooms []room
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var r room
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		rooms = append(rooms, r)
	}
	if len(rooms) < len(arrows) {
		t.Fatalf("go list knows %d rooms", len(rooms))
	}
	return rooms
}
