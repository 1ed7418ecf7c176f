package dbus

import (
	"maps"
	"path"
	"slices"
	"strings"

	_ "embed"

	godbus "github.com/godbus/dbus/v5"
)

// What the interfaces look like. The same files are installed for other programs
// to read.
var (
	//go:embed org.laptop.Backup.xml
	backupXML string
	//go:embed org.laptop.Backup.Job.xml
	jobXML string
	//go:embed org.laptop.sugar.DataStore.xml
	datastoreXML string
	//go:embed standard.xml
	standardXML string
)

// node is what there is at a path.
type node struct {
	interfaces []*iface
	children   []string
}

// node answers what there is at a path now.
func (s *Service) node(at godbus.ObjectPath) (node, bool) {
	switch at {
	case "/":
		return node{children: []string{"org"}}, true
	case "/org":
		return node{children: []string{"laptop"}}, true
	case "/org/laptop":
		return node{children: []string{"Backup"}}, true
	case Path:
		return node{[]*iface{backup}, []string{"jobs", "journal", "snapshots"}}, true
	case JobsPath:
		var n node
		if j := s.currentJob(); j != nil {
			n.children = []string{path.Base(string(j.path))}
		}
		return n, true
	case JournalPath:
		return node{interfaces: []*iface{journal}}, true
	case SnapshotsPath:
		return node{}, true
	}
	switch godbus.ObjectPath(path.Dir(string(at))) {
	case JobsPath:
		_, _, err := s.jobAt(at)
		return node{interfaces: []*iface{jobs}}, err == nil
	case SnapshotsPath:
		return node{interfaces: []*iface{journal}}, snapshotNode.MatchString(path.Base(string(at)))
	}
	return node{}, false
}

// jobs is org.laptop.Backup.Job, of the job that runs and of those whose results
// are kept: a client that is told of a job can ask for it however soon it is over.
var jobs = &iface{
	name: JobInterface,
	xml:  jobXML,
	methods: map[string]method{
		"Cancel": {"", func(s *Service, c *call) ([]any, error) { return nil, s.cancelJob(c.path) }},
	},
	properties: func(s *Service, at godbus.ObjectPath) map[string]godbus.Variant {
		j, r, err := s.jobAt(at)
		switch {
		case err != nil: // forgotten just now
			return nil
		case j != nil:
			return j.properties()
		default:
			return r.properties(r.progress())
		}
	},
}

const (
	introspectableName = "org.freedesktop.DBus.Introspectable"
	propertiesName     = "org.freedesktop.DBus.Properties"
)

// introspectable and propertied are what every object has besides its own.
var (
	introspectable = &iface{
		name:    introspectableName,
		methods: map[string]method{"Introspect": {"", introspect}},
	}
	propertied = &iface{
		name: propertiesName,
		methods: map[string]method{
			"Get":    {"ss", getProperty},
			"GetAll": {"s", getProperties},
			"Set":    {"ssv", setProperty},
		},
	}
)

func introspect(s *Service, c *call) ([]any, error) {
	n, _ := s.node(c.path)
	if c.path == SnapshotsPath {
		n.children = s.snapshotNodes()
	}
	var b strings.Builder
	b.WriteString(`<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"` + "\n" +
		` "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">` + "\n<node>\n")
	for _, i := range n.interfaces {
		b.WriteString(interfacesOf(i.xml))
	}
	b.WriteString(interfacesOf(standardXML))
	for _, child := range n.children {
		b.WriteString("  <node name=\"" + child + "\"/>\n")
	}
	b.WriteString("</node>\n")
	return []any{b.String()}, nil
}

// interfacesOf cuts the interfaces out of a file of ours.
func interfacesOf(xml string) string {
	_, rest, _ := strings.Cut(xml, "<node>\n")
	inside, _, _ := strings.Cut(rest, "</node>")
	return inside
}

// propertiesOf answers the properties of one interface ("": any) of an object.
func (s *Service) propertiesOf(at godbus.ObjectPath, name string) (map[string]godbus.Variant, error) {
	n, _ := s.node(at)
	all := map[string]godbus.Variant{}
	known := name == "" || name == introspectableName || name == propertiesName
	for _, i := range n.interfaces {
		if name != "" && name != i.name {
			continue
		}
		known = true
		if i.properties != nil {
			maps.Copy(all, i.properties(s, at))
		}
	}
	if !known {
		return nil, protest(unknownInterface, "%s has no interface %s.", at, name)
	}
	return all, nil
}

func getProperties(s *Service, c *call) ([]any, error) {
	all, err := s.propertiesOf(c.path, c.text(0))
	return []any{all}, err
}

func getProperty(s *Service, c *call) ([]any, error) {
	all, err := s.propertiesOf(c.path, c.text(0))
	if err != nil {
		return nil, err
	}
	value, ok := all[c.text(1)]
	if !ok {
		return nil, protest(unknownProperty, "%s has no property %s.", c.path, c.text(1))
	}
	return []any{value}, nil
}

func setProperty(s *Service, c *call) ([]any, error) {
	if _, err := getProperty(s, c); err != nil {
		return nil, err
	}
	return nil, protest(propertyReadOnly, "The property %s can only be read.", c.text(1))
}

// properties are those of org.laptop.Backup.
func (s *Service) properties() map[string]godbus.Variant {
	status := s.engine.Status()
	running := []godbus.ObjectPath{}
	if j := s.currentJob(); j != nil {
		running = append(running, j.path)
		switch j.operation {
		case OperationBackup:
			status.State = stateBackingUp
		case OperationRestoreEntry:
			status.State = stateRestoring
		case OperationRestore:
			// While it waits, a State that a person has to mend is the one to show.
			if status.State == StateIdle || !j.waits() {
				status.State = stateRestoring
			}
		}
	}
	return map[string]godbus.Variant{
		"Version":     godbus.MakeVariant(s.cfg.Version),
		"State":       godbus.MakeVariant(clean(status.State)),
		"StateReason": godbus.MakeVariant(clean(status.StateReason)),
		"Server":      godbus.MakeVariant(clean(status.Server)),
		"Account":     godbus.MakeVariant(clean(status.Account)),
		"Serial":      godbus.MakeVariant(clean(status.Serial)),
		"LastBackup":  godbus.MakeVariant(status.LastBackup),
		"LastResult":  godbus.MakeVariant(clean(status.LastResult)),
		"Entries":     godbus.MakeVariant(narrow(status.Entries)),
		"Jobs":        godbus.MakeVariant(running),
	}
}

// Changed has to be called when the engine's Status may have changed by itself.
// What a call or a job changed is noticed without.
func (s *Service) Changed() { s.announce() }

// announce sends what has changed since the last time.
func (s *Service) announce() { s.guard("Status", s.announceChanges) }

func (s *Service) announceChanges() {
	s.announcing.Lock()
	defer s.announcing.Unlock()
	if s.announced == nil {
		return // not on the bus yet
	}
	now := s.properties()
	changed := map[string]godbus.Variant{}
	for name, value := range now {
		if !same(s.announced[name], value) {
			changed[name] = value
		}
	}
	s.announced = now
	if len(changed) > 0 {
		s.emitChanged(Path, Interface, changed)
	}
}

func same(a, b godbus.Variant) bool {
	if x, ok := a.Value().([]godbus.ObjectPath); ok {
		y, _ := b.Value().([]godbus.ObjectPath)
		return slices.Equal(x, y)
	}
	return a == b
}

func (s *Service) emitChanged(at godbus.ObjectPath, name string, changed map[string]godbus.Variant) {
	s.emit(at, propertiesName+".PropertiesChanged", name, changed, []string{})
}

func (s *Service) emit(at godbus.ObjectPath, signal string, values ...any) {
	if err := s.conn.Emit(at, signal, values...); err != nil && s.conn.Connected() {
		s.log.Error("a signal cannot be sent", "signal", signal, "error", err)
	}
}
