package dbus

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	godbus "github.com/godbus/dbus/v5"
)

// arguments checks what a call brought against a signature. Text may stand for
// an object path, and any dictionary with text keys for an a{sv}: shells cannot
// send better.
func arguments(signature string, body []any) ([]any, error) {
	kinds := kindsOf(signature)
	if len(kinds) != len(body) {
		return nil, fmt.Errorf("there are %d arguments", len(body))
	}
	args := make([]any, len(body))
	for i, kind := range kinds {
		var ok bool
		switch kind {
		case "s":
			args[i], ok = body[i].(string)
		case "o":
			args[i], ok = pathText(body[i])
		case "b":
			args[i], ok = body[i].(bool)
		case "v":
			args[i], ok = fromVariant(body[i]), true
		case "as":
			args[i], ok = body[i].([]string)
		case "a{sv}":
			args[i], ok = dictionary(body[i])
		}
		if !ok {
			return nil, fmt.Errorf("argument %d is %s", i+1, godbus.SignatureOf(body[i]))
		}
	}
	return args, nil
}

// kindsOf splits a signature of the few kinds that our methods take.
func kindsOf(signature string) (kinds []string) {
	for rest := signature; rest != ""; {
		kind := rest[:1]
		for _, long := range []string{"a{sv}", "as"} {
			if strings.HasPrefix(rest, long) {
				kind = long
				break
			}
		}
		kinds = append(kinds, kind)
		rest = rest[len(kind):]
	}
	return kinds
}

func pathText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case godbus.ObjectPath:
		return string(v), true
	}
	return "", false
}

// setting reads the value of one option.
type setting func(value any) error

// readOptions sets what an a{sv} says. An option that is not known is refused: it
// would be ignored silently otherwise.
func readOptions(given map[string]any, known map[string]setting) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		set, ok := known[key]
		if !ok {
			return refuse(InvalidArgument, "There is no option %q; there are: %s.",
				clean(key), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if err := set(given[key]); err != nil {
			return refuse(InvalidArgument, "Option %q: %v.", key, err)
		}
	}
	return nil
}

// oneOf takes one of the given words.
func oneOf(to *string, words ...string) setting {
	return func(value any) error {
		word, ok := value.(string)
		if !ok || !slices.Contains(words, word) {
			return fmt.Errorf("%s is not one of: %s", shown(value), strings.Join(words, ", "))
		}
		*to = word
		return nil
	}
}

// truth takes a boolean, as such or in words.
func truth(to *bool) setting {
	return func(value any) error {
		switch value {
		case true, "true", "1", "yes":
			*to = true
		case false, "false", "0", "no":
			*to = false
		default:
			return fmt.Errorf("%s is neither true nor false", shown(value))
		}
		return nil
	}
}

func shown(value any) string { return clean(fmt.Sprintf("%.100q", fmt.Sprint(value))) }

var (
	snapshotID = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_.:-]{0,63}$`)
	entryUID   = regexp.MustCompile(`^[0-9A-Za-z_-]{36}$`)
)

// checkSnapshot refuses what cannot be the name of a snapshot; "" is the latest.
func checkSnapshot(id string) error {
	if id != "" && (!snapshotID.MatchString(id) || strings.Contains(id, "..")) {
		return refuse(InvalidArgument, "%s is not the name of a snapshot.", shown(id))
	}
	return nil
}

func checkUIDs(uids []string) error {
	for _, uid := range uids {
		if !entryUID.MatchString(uid) {
			return refuse(InvalidArgument, "%s is not the uid of a Journal entry.", shown(uid))
		}
	}
	return nil
}
