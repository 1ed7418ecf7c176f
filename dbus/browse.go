package dbus

import (
	"context"
	"errors"
	"path"
)

// journal is org.laptop.sugar.DataStore, for reading: of the Journal as it is
// here, or of a snapshot. What Sugar's Journal and its activities ask the
// datastore they can ask this as well.
var journal = &iface{
	name: "org.laptop.sugar.DataStore",
	xml:  datastoreXML,
	methods: map[string]method{
		"find":                {"a{sv}as", (*Service).datastoreFind},
		"find_ids":            {"a{sv}", (*Service).datastoreFindIDs},
		"get_properties":      {"s", (*Service).datastoreProperties},
		"get_filename":        {"s", (*Service).datastoreFilename},
		"get_uniquevaluesfor": {"sa{sv}", (*Service).datastoreUniqueValues},
		"mounts":              {"", datastoreMounts},
		"create":              {"a{sv}sb", readOnly},
		"update":              {"sa{sv}sb", readOnly},
		"delete":              {"s", readOnly},
		"mount":               {"sa{sv}", readOnly},
		"unmount":             {"s", readOnly},
	},
}

func readOnly(*Service, *call) ([]any, error) {
	return nil, refuse(ReadOnly, "This Journal can only be read: change entries in the Journal itself.")
}

// look lets the engine look into the Journal or into a snapshot. They do not get
// into each other's way, nor into that of other questions to the school server.
func (s *Service) look(snapshot string, question func(ctx context.Context) error) error {
	if snapshot != "" {
		return s.ask(s.browsing, question)
	}
	ctx, cancel := context.WithTimeout(s.calls, askTime)
	defer cancel()
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	case <-ctx.Done():
		return refuse(Busy, "Too many programs look into the Journal at the same time: try again.")
	}
	err := question(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return refuse(Busy, "Looking into the Journal takes long, as when its index is new: try again.")
	}
	return err
}

// findMethod is org.laptop.Backup.Find.
func (s *Service) findMethod(c *call) ([]any, error) {
	if err := checkSnapshot(c.text(0)); err != nil {
		return nil, err
	}
	return s.find(c.text(0), c.options(1), c.texts(2))
}

func (s *Service) datastoreFind(c *call) ([]any, error) {
	return s.find(snapshotAt(c.path), c.options(0), c.texts(1))
}

func (s *Service) find(snapshot string, given map[string]any, properties []string) ([]any, error) {
	query, err := readQuery(given)
	if err != nil {
		return nil, err
	}
	var (
		found []map[string]any
		count int
	)
	err = s.look(snapshot, func(ctx context.Context) (err error) {
		found, count, err = s.engine.Find(ctx, snapshot, query, properties)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := carry(found...); err != nil {
		return nil, err
	}
	return []any{entryList(found), narrow(count)}, nil
}

func (s *Service) datastoreFindIDs(c *call) ([]any, error) {
	snapshot := snapshotAt(c.path)
	query, err := readQuery(c.options(0))
	if err != nil {
		return nil, err
	}
	return s.texts(snapshot, func(ctx context.Context) ([]string, error) {
		return s.engine.FindIDs(ctx, snapshot, query)
	})
}

func (s *Service) datastoreProperties(c *call) ([]any, error) {
	snapshot, uid := snapshotAt(c.path), c.text(0)
	if err := mayExist(uid); err != nil {
		return nil, err
	}
	var found map[string]any
	err := s.look(snapshot, func(ctx context.Context) (err error) {
		found, err = s.engine.Properties(ctx, snapshot, uid)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := carry(found); err != nil {
		return nil, err
	}
	return []any{entry(found)}, nil
}

func (s *Service) datastoreFilename(c *call) ([]any, error) {
	snapshot, uid := snapshotAt(c.path), c.text(0)
	if err := mayExist(uid); err != nil {
		return nil, err
	}
	var name string
	err := s.look(snapshot, func(ctx context.Context) (err error) {
		name, err = s.engine.Filename(ctx, snapshot, uid)
		return err
	})
	if err != nil {
		return nil, err
	}
	return []any{carried(name)}, nil
}

// datastoreUniqueValues has a query because the datastore's has one. That takes
// only an empty one as well.
func (s *Service) datastoreUniqueValues(c *call) ([]any, error) {
	if len(c.options(1)) > 0 {
		return nil, refuse(InvalidArgument, "The query of get_uniquevaluesfor has to be empty.")
	}
	snapshot, property := snapshotAt(c.path), c.text(0)
	return s.texts(snapshot, func(ctx context.Context) ([]string, error) {
		return s.engine.UniqueValues(ctx, snapshot, property)
	})
}

func datastoreMounts(*Service, *call) ([]any, error) {
	return []any{entryList{{"id": int32(1)}}}, nil
}

// texts answers an as.
func (s *Service) texts(snapshot string, question func(ctx context.Context) ([]string, error)) ([]any, error) {
	var found []string
	err := s.look(snapshot, func(ctx context.Context) (err error) {
		found, err = question(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	size := 0
	answer := make(textList, len(found))
	for i, text := range found {
		answer[i] = carried(text)
		size += len(text) + overhead
	}
	if size > maxAnswer {
		return nil, errTooMuch
	}
	return []any{answer}, nil
}

// mayExist spares the engine what cannot be the uid of an entry.
func mayExist(uid string) error {
	if !entryUID.MatchString(uid) {
		return refuse(NoEntry, "There is no entry %s.", shown(uid))
	}
	return nil
}

func (s *Service) restoreEntry(c *call) ([]any, error) {
	r := restoringEntry{c.text(0), c.text(1)}
	if err := checkEntry(r.snapshot, r.uid); err != nil {
		return nil, err
	}
	return started(s.beginRestoreEntry(r))
}

func (s *Service) exportEntry(c *call) ([]any, error) {
	e := exporting{c.text(0), c.text(1), c.text(2)}
	if err := checkEntry(e.snapshot, e.uid); err != nil {
		return nil, err
	}
	if !path.IsAbs(e.path) {
		return nil, refuse(InvalidArgument, "%s is not the whole path of a file: it has to begin with /.", shown(e.path))
	}
	e.path = path.Clean(e.path)
	return started(s.beginExport(e))
}

func (s *Service) reindex(*call) ([]any, error) { return started(s.beginReindex()) }

func checkEntry(snapshot, uid string) error {
	if err := checkSnapshot(snapshot); err != nil {
		return err
	}
	return checkUIDs([]string{uid})
}
