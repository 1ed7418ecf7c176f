package dbus

import (
	"fmt"
	"reflect"
	"strings"

	godbus "github.com/godbus/dbus/v5"
)

// shape is what a value of a query can stand for in Sugar's datastore.
type shape uint8

const (
	scalar shape = 1 << iota // text, a number, a bool
	list                     // several, of which one has to fit
	pair                     // from, to
	span                     // the same as {start, end}
	spread                   // several of either

	words  = scalar | list
	ranges = scalar | list | pair | span | spread
)

// queryKeys are those that the datastore knows, with what it takes for each.
var queryKeys = map[string]shape{
	"query": scalar, "offset": scalar, "limit": scalar,
	"order_by": words,
	"uid":      words, "activity": words, "activity_id": words, "mime_type": words, "keep": words, "project_id": words,
	"timestamp": ranges, "creation_time": ranges, "filesize": ranges,
}

func (s shape) String() string {
	said := "text or a number"
	if s&list != 0 {
		said += ", or an array of these"
	}
	if s&pair != 0 {
		said += ", or a structure of two (from, to), or a dictionary with start and end"
	}
	return said
}

// readQuery makes of a query what [Browser] promises. What D-Bus can say and the
// datastore cannot mean is refused. Keys that the datastore does not know it
// ignores, whatever they hold.
func readQuery(given map[string]any) (map[string]any, error) {
	query := make(map[string]any, len(given))
	for key, value := range given {
		takes, known := queryKeys[key]
		plain, is := plainValue(value)
		switch {
		case known && is&takes == 0:
			return nil, refuse(InvalidArgument, "In a query, %q takes %v: it cannot be %s.", key, takes, kindOf(value))
		case is != 0:
			query[key] = plain
		}
	}
	return query, nil
}

// plainValue unwraps a value, and says what it can stand for: nothing, if its
// shape is 0.
func plainValue(v any) (any, shape) {
	switch v := v.(type) {
	case string, bool, byte, int16, uint16, int32, uint32, int64, uint64, float64:
		return v, scalar
	case []string, []bool, []int16, []uint16, []int32, []uint32, []int64, []uint64, []float64:
		return v, list
	case godbus.Variant:
		return plainValue(v.Value())
	case []any: // how godbus reads a structure, and nothing else
		return plainPair(v)
	case []byte, []godbus.ObjectPath, []godbus.Signature, godbus.ObjectPath, godbus.Signature:
		return nil, 0
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Map:
		return plainSpan(v)
	case reflect.Slice:
		return plainList(r)
	}
	return nil, 0
}

func plainPair(v []any) (any, shape) {
	if len(v) != 2 {
		return nil, 0
	}
	two := make([]any, 2)
	for i := range v {
		end, is := plainValue(v[i])
		if is != scalar {
			return nil, 0
		}
		two[i] = end
	}
	return two, pair
}

func plainSpan(v any) (any, shape) {
	given, ok := dictionary(v)
	if !ok {
		return nil, 0
	}
	ends := make(map[string]any, len(given))
	for key, value := range given {
		end, is := plainValue(value)
		if is != scalar {
			return nil, 0
		}
		ends[key] = end
	}
	return ends, span
}

// plainList takes arrays of variants, of structures and of dictionaries. Variants
// may be of several kinds; as text they are of one.
func plainList(v reflect.Value) (any, shape) {
	var (
		texts = make([]string, 0, v.Len())
		pairs [][]any
		spans []map[string]any
	)
	for _, element := range v.Seq2() {
		switch one, is := plainValue(element.Interface()); is {
		case scalar:
			texts = append(texts, textOf(one))
		case pair:
			pairs = append(pairs, one.([]any))
		case span:
			spans = append(spans, one.(map[string]any))
		default:
			return nil, 0
		}
	}
	switch v.Len() {
	case len(texts):
		return texts, list
	case len(pairs):
		return pairs, spread
	case len(spans):
		return spans, spread
	}
	return nil, 0
}

// textOf a scalar, as Python writes it where Sugar's datastore makes text of one.
func textOf(v any) string {
	switch v {
	case true:
		return "1"
	case false:
		return "0"
	}
	return fmt.Sprint(v)
}

// kindOf is how a message calls what was sent.
func kindOf(v any) string {
	v = fromVariant(v)
	switch v := v.(type) {
	case []any:
		return fmt.Sprintf("a structure of %d", len(v))
	case []byte:
		return "an array of bytes"
	case godbus.ObjectPath:
		return "an object path"
	case godbus.Signature:
		return "a signature"
	}
	switch reflect.ValueOf(v).Kind() {
	case reflect.Map:
		return "such a dictionary"
	case reflect.Slice:
		return "such an array"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", v), "dbus.")
}
