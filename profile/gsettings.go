package profile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Sugar's settings are in gsettings, which is read and written through its own
// command: its backends (dconf, keyfile, memory) are nobody else's business,
// and there is no cgo here.

const (
	userSchema   = "org.sugarlabs.user"
	sugarSchema  = "org.sugarlabs"
	collabSchema = "org.sugarlabs.collaboration"
	backupURLKey = "backup-url"
	jabberKey    = "jabber-server"

	nickKey  = "nick"
	colorKey = "color"
	groupKey = "group-label"
)

// Owner tells whose profile this is. On a machine without gsettings or Sugar's
// schemas nobody knows.
func (p Profile) Owner(ctx context.Context) (Owner, error) {
	// One process for all: each start of gsettings costs an XO about 0.1 s.
	out, err := gsettings(ctx, "list-recursively", userSchema)
	if err != nil {
		return Owner{}, err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(out)) {
		rest, ok := strings.CutPrefix(line, userSchema+" ")
		if !ok {
			continue
		}
		key, text, _ := strings.Cut(rest, " ")
		if s, ok := parseVariant(strings.TrimSuffix(text, "\n")); ok {
			values[key] = s
		}
	}
	return Owner{values[nickKey], values[colorKey], values[groupKey]}, nil
}

// FillOwner stores what the profile does not say of its owner yet, as Sugar's
// first-boot wizard does. What it says stays.
func (p Profile) FillOwner(ctx context.Context, o Owner) error {
	have, err := p.Owner(ctx)
	if err != nil {
		return err
	}
	o = o.Fit()
	for _, v := range []struct{ key, has, value string }{
		{nickKey, have.Nick, o.Nick}, {colorKey, have.Color, o.Color}, {groupKey, have.Group, o.Group},
	} {
		if v.has != "" || v.value == "" {
			continue
		}
		if err := setString(ctx, userSchema, v.key, v.value); err != nil {
			return fmt.Errorf("storing the owner's %s: %w", v.key, err)
		}
	}
	return nil
}

// BackupURL is what the last registration left: ACCOUNT@HOST:backup, or "".
func (p Profile) BackupURL(ctx context.Context) (string, error) {
	return getString(ctx, sugarSchema, backupURLKey)
}

// SetBackupURL stores it as Sugar's registration does.
func (p Profile) SetBackupURL(ctx context.Context, url string) error {
	return setString(ctx, sugarSchema, backupURLKey, url)
}

// JabberServer is the school server's name for collaboration, or "".
func (p Profile) JabberServer(ctx context.Context) (string, error) {
	return getString(ctx, collabSchema, jabberKey)
}

// SetJabberServer stores it as Sugar's registration does.
func (p Profile) SetJabberServer(ctx context.Context, server string) error {
	return setString(ctx, collabSchema, jabberKey, server)
}

func getString(ctx context.Context, schema, key string) (string, error) {
	out, err := gsettings(ctx, "get", schema, key)
	if err != nil {
		return "", err
	}
	s, _ := parseVariant(strings.TrimSuffix(string(out), "\n"))
	return s, nil
}

// setString does nothing where there are no such settings: then Sugar does
// not read them either.
func setString(ctx context.Context, schema, key, value string) error {
	if old, err := gsettings(ctx, "get", schema, key); err != nil || old == nil {
		return err
	}
	_, err := gsettings(ctx, "set", schema, key, formatVariant(value))
	return err
}

// gsettings runs the command. Where there is no such command, schema or key,
// the answer is nil.
func gsettings(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "gsettings", args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil:
		return append([]byte{}, out.Bytes()...), nil
	case errors.Is(err, exec.ErrNotFound):
		return nil, nil
	case errors.As(err, &exit) && args[0] != "set":
		return nil, nil // its words are in the child's language: one status for all that is missing
	default:
		return nil, err
	}
}
