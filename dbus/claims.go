package dbus

import (
	"context"
	"slices"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// A claim that waits for a person keeps the service from leaving for so long after
// somebody has asked for it; then the next service goes on asking. A teacher takes
// minutes, a teacher on holiday weeks.
const claimHolds = time.Hour

func (s *Service) findBackups(*call) ([]any, error) {
	out := []map[string]godbus.Variant{}
	err := s.ask(s.asking, func(ctx context.Context) error {
		list, err := s.engine.FindBackups(ctx)
		for _, f := range list {
			out = append(out, map[string]godbus.Variant{
				"account":     godbus.MakeVariant(clean(f.Account)),
				"nick":        godbus.MakeVariant(clean(f.Nick)),
				"color":       godbus.MakeVariant(clean(f.Color)),
				"group":       godbus.MakeVariant(clean(f.Group)),
				"entries":     godbus.MakeVariant(narrow(f.Entries)),
				"bytes":       godbus.MakeVariant(wide(f.Bytes)),
				"last_backup": godbus.MakeVariant(f.LastBackup),
				"claim":       godbus.MakeVariant(clean(f.Claim)),
			})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return []any{out}, nil
}

func (s *Service) claim(c *call) ([]any, error) {
	var made Claim
	err := s.meet(func(ctx context.Context) (err error) {
		made, err = s.engine.Claim(ctx, c.text(0), c.text(1))
		return err
	})
	if made.State != "" {
		s.claimChanged(made) // a no, too: others may be waiting for it
	}
	if err != nil {
		s.awaitClaim(true) // we may be let in, and the answer be lost
		return nil, err
	}
	s.awaitClaim(true)
	return []any{made.State, clean(made.Sign)}, nil
}

func (s *Service) dismiss(c *call) ([]any, error) {
	reason, reasons := c.text(0), []string{DismissLater, DismissAfresh, DismissNotMe}
	if !slices.Contains(reasons, reason) {
		return nil, refuse(InvalidArgument, "%s is not one of: %s.", shown(reason), strings.Join(reasons, ", "))
	}
	return nil, s.meet(func(ctx context.Context) error { return s.engine.Dismiss(ctx, reason) })
}

func (s *Service) claimChanged(c Claim) {
	s.emit(Path, Interface+".ClaimChanged", clean(c.Account), c.State)
}

// awaitClaim sees to it that what becomes of a claim that waits is told. asked: a
// person has just asked for it, and may be waiting.
func (s *Service) awaitClaim(asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked {
		s.claimAsked = time.Now()
	}
	if s.awaiting || s.ctx.Err() != nil || !s.engine.PendingClaim() {
		return
	}
	s.awaiting = true
	go s.guard("AwaitClaim", s.tellClaim)
}

// tellClaim waits for what becomes of it.
func (s *Service) tellClaim() {
	began := time.Now()
	defer func() {
		s.mu.Lock()
		s.awaiting = false
		again := s.claimAsked.After(began) // which may be another claim
		s.mu.Unlock()
		if again {
			s.awaitClaim(false)
		}
	}()
	made, err := s.engine.AwaitClaim(s.calls)
	if err != nil {
		s.log.Info("a claim is not waited for any more", "why", err)
		return
	}
	s.log.Info("a claim is decided", "account", made.Account, "state", made.State)
	if made.State == ClaimGranted {
		s.hurryRestore()
	}
	s.announce()
	s.claimChanged(made)
}

// awaitedFor answers how much longer the service is to stay because of a claim.
func (s *Service) awaitedFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.awaiting {
		return 0
	}
	return max(claimHolds-time.Since(s.claimAsked), 0)
}
