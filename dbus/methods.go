package dbus

import (
	"context"
	"math"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// method is one of an interface: the signature of what it takes, and what it does.
type method struct {
	in    string
	serve func(s *Service, c *call) ([]any, error)
}

// iface is an interface of an object. What it looks like is in its XML.
type iface struct {
	name    string
	xml     string
	methods map[string]method
	// properties is nil for an interface without.
	properties func(s *Service, path godbus.ObjectPath) map[string]godbus.Variant
}

// backup is org.laptop.Backup.
var backup = &iface{
	name: Interface,
	xml:  backupXML,
	methods: map[string]method{
		"Register":           {"", (*Service).register},
		"TrustServer":        {"s", (*Service).trustServer},
		"CheckServer":        {"", (*Service).checkServer},
		"Backup":             {"", (*Service).backup},
		"BackupWithOptions":  {"a{sv}", (*Service).backup},
		"ListSnapshots":      {"", (*Service).listSnapshots},
		"Saved":              {"as", (*Service).saved},
		"Restore":            {"s", (*Service).restore},
		"RestoreWithOptions": {"sa{sv}", (*Service).restore},
		"Cancel":             {"o", (*Service).cancelMethod},
		"Wait":               {"o", (*Service).waitMethod},
		"RestoreEntry":       {"ss", (*Service).restoreEntry},
		"ExportEntry":        {"sss", (*Service).exportEntry},
		"Find":               {"sa{sv}as", (*Service).findMethod},
		"FindBackups":        {"", (*Service).findBackups},
		"Claim":              {"ss", (*Service).claim},
		"Dismiss":            {"s", (*Service).dismiss},
		"Reindex":            {"", (*Service).reindex},
		"OpenWeb":            {"", later},
	},
	properties: func(s *Service, _ godbus.ObjectPath) map[string]godbus.Variant { return s.properties() },
}

// later is the answer of what the contract names and nobody has built.
func later(*Service, *call) ([]any, error) {
	return nil, protest(notSupported, "This version of xo-backupd cannot do that yet.")
}

// ask asks the school server: not for ever, and not too many at once in a lane.
func (s *Service) ask(lane chan struct{}, question func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.calls, askTime)
	defer cancel()
	select {
	case lane <- struct{}{}:
		defer func() { <-lane }()
	case <-ctx.Done():
		return refuse(ServerUnavailable, "Too many programs ask the school server at the same time: try again.")
	}
	err := question(ctx)
	s.announce()
	return err
}

func (s *Service) register(*call) ([]any, error) { return nil, s.meet(s.engine.Register) }

func (s *Service) trustServer(c *call) ([]any, error) {
	fingerprint := c.text(0)
	if fingerprint == "" {
		return nil, refuse(InvalidArgument, "The fingerprint of the server to trust is missing.")
	}
	return nil, s.meet(func(ctx context.Context) error { return s.engine.TrustServer(ctx, fingerprint) })
}

// meet changes who we are to the XS, or which that is: one call at a time. A
// restore may have been waiting for just that.
func (s *Service) meet(change func(ctx context.Context) error) error {
	err := s.ask(s.asking, func(ctx context.Context) error {
		s.registering.Lock()
		defer s.registering.Unlock()
		return change(ctx)
	})
	if err == nil {
		s.hurryRestore()
	}
	return err
}

func (s *Service) checkServer(*call) ([]any, error) {
	var a Availability
	err := s.ask(s.asking, func(ctx context.Context) (err error) {
		a, err = s.engine.CheckServer(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	protocols := make([]uint32, 0, len(a.Protocols))
	for _, p := range a.Protocols {
		protocols = append(protocols, narrow(p))
	}
	return []any{map[string]godbus.Variant{
		"available":   godbus.MakeVariant(a.Available),
		"reason":      godbus.MakeVariant(clean(a.Reason)),
		"retry_after": godbus.MakeVariant(seconds(a.RetryAfter)),
		"protocols":   godbus.MakeVariant(protocols),
	}}, nil
}

// seconds, whole ones, rounded up.
func seconds(d time.Duration) uint32 {
	return uint32(min(max(math.Ceil(d.Seconds()), 0), math.MaxUint32))
}

func (s *Service) backup(c *call) ([]any, error) {
	trigger := TriggerManual
	if len(c.args) > 0 {
		err := readOptions(c.options(0), map[string]setting{
			"trigger": oneOf(&trigger, TriggerManual, TriggerSchedule, TriggerNetwork),
		})
		if err != nil {
			return nil, err
		}
	}
	if trigger != TriggerManual {
		path, err := s.backUpByItself(trigger, 0)
		return []any{path}, err
	}
	return started(s.beginBackup(trigger))
}

// started answers with a job.
func started(j *job, err error) ([]any, error) {
	if err != nil {
		return nil, err
	}
	return []any{j.path}, nil
}

func (s *Service) listSnapshots(*call) ([]any, error) {
	list, err := s.askSnapshots()
	if err != nil {
		return nil, err
	}
	out := make([]map[string]godbus.Variant, 0, len(list))
	for _, snapshot := range list {
		out = append(out, map[string]godbus.Variant{
			"id":        godbus.MakeVariant(clean(snapshot.ID)),
			"seq":       godbus.MakeVariant(snapshot.Seq),
			"time":      godbus.MakeVariant(snapshot.Time),
			"confirmed": godbus.MakeVariant(snapshot.Confirmed),
			"entries":   godbus.MakeVariant(narrow(snapshot.Entries)),
			"bytes":     godbus.MakeVariant(wide(snapshot.Bytes)),
			"account":   godbus.MakeVariant(clean(snapshot.Account)),
		})
	}
	return []any{out}, nil
}

func (s *Service) saved(c *call) ([]any, error) {
	uids := c.texts(0)
	if err := checkUIDs(uids); err != nil {
		return nil, err
	}
	safe := []string{}
	if len(uids) == 0 {
		return []any{safe}, nil
	}
	err := s.ask(s.asking, func(ctx context.Context) error {
		found, err := s.engine.Saved(ctx, uids)
		for _, uid := range found {
			safe = append(safe, clean(uid))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return []any{safe}, nil
}

func (s *Service) restore(c *call) ([]any, error) {
	request := RestoreRequest{Snapshot: c.text(0), Deleted: true}
	if err := checkSnapshot(request.Snapshot); err != nil {
		return nil, err
	}
	if len(c.args) > 1 {
		mode := "merge"
		err := readOptions(c.options(1), map[string]setting{
			"mode":    oneOf(&mode, "merge", "replace"),
			"deleted": truth(&request.Deleted),
		})
		if err != nil {
			return nil, err
		}
		request.Replace = mode == "replace"
	}
	return started(s.beginRestore(request))
}

func (s *Service) cancelMethod(c *call) ([]any, error) { return nil, s.cancelJob(c.object(0)) }

func (s *Service) waitMethod(c *call) ([]any, error) {
	r, err := s.waitJob(s.calls, c.object(0))
	if err != nil {
		return nil, err
	}
	return []any{r.Result, r.ErrorName, r.Message}, nil
}
