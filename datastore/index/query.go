package index

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sugarlabs/xo-backupd/datastore/index/xapian"
)

// Query is what find is asked.
type Query struct {
	text    *xapian.Query // nil: none
	nothing bool          // the text is one that Xapian cannot read
	values  [][]string    // of each, one has to be among the whole values
	ranges  []numberRange
	order   order

	offset, limit int
}

// numberRange is one of several of a number.
type numberRange struct {
	of      func(*row) float64
	between [][2]float64 // both ends are in it
}

// maxLimit is what Sugar's datastore takes for no limit.
const maxLimit = 40960

// ParseQuery reads a query as find of Sugar's datastore takes it. Keys that it
// does not know it ignores, as that does. Numbers may be in words. An error names
// the key.
func ParseQuery(m map[string]any) (*Query, error) {
	q := &Query{limit: maxLimit, order: byTime}
	for key, value := range m {
		if err := q.set(key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return q, nil
}

func (q *Query) set(key string, value any) (err error) {
	switch key {
	case "query":
		text, err := pythonText(value)
		if err != nil {
			return err
		}
		if q.text, err = xapian.Parse(text); err != nil {
			q.nothing = true
		}
	case "offset":
		q.offset, err = count(value)
	case "limit":
		q.limit, err = count(value)
	case "order_by":
		q.order, err = parseOrder(value)
	case "timestamp", "filesize", "creation_time":
		err = q.addRange(key, value)
	default:
		if field, ok := fields[key]; ok {
			err = q.addValues(field, value)
		}
	}
	return err
}

// addValues asks for one of the whole values.
func (q *Query) addValues(field byte, value any) error {
	list := elements(value)
	if list == nil {
		list = []any{value}
	}
	terms := make([]string, 0, len(list))
	for _, v := range list {
		text, err := pythonText(v)
		if err != nil {
			return err
		}
		terms = append(terms, string(field)+text)
	}
	q.values = append(q.values, terms)
	return nil
}

func (q *Query) addRange(key string, value any) error {
	r := numberRange{of: number(key)}
	whole := key == "filesize"
	add := func(from, to any) error {
		low, err := pythonNumber(from, whole)
		if err != nil {
			return err
		}
		high, err := pythonNumber(to, whole)
		if err != nil {
			return err
		}
		r.between = append(r.between, [2]float64{low, high})
		return nil
	}
	one := func(value any) error {
		switch v := value.(type) {
		case map[string]any: // as the Journal asks for a day
			from, to := any(int64(0)), any(int64(math.MaxInt64))
			if start, ok := v["start"]; ok {
				from = start
			}
			if end, ok := v["end"]; ok {
				to = end
			}
			return add(from, to)
		case []any: // what a struct on the bus is read as: from, to
			if len(v) != 2 {
				return errors.New("a range has two ends")
			}
			return add(v[0], v[1])
		}
		return add(value, value)
	}
	list := []any{value}
	if _, pair := value.([]any); !pair {
		if several := elements(value); several != nil {
			list = several
		}
	}
	for _, v := range list {
		if err := one(v); err != nil {
			return err
		}
	}
	q.ranges = append(q.ranges, r)
	return nil
}

// elements of an array; nil where it is none.
func elements(value any) []any {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice {
		return nil
	}
	list := make([]any, 0, v.Len())
	for _, e := range v.Seq2() {
		list = append(list, e.Interface())
	}
	return list
}

func number(key string) func(*row) float64 {
	switch key {
	case "filesize":
		return func(r *row) float64 { return r.filesize }
	case "creation_time":
		return func(r *row) float64 { return r.creation }
	}
	return func(r *row) float64 { return r.timestamp }
}

// pythonText is str() of what came over the bus.
func pythonText(value any) (string, error) {
	v := reflect.ValueOf(value)
	switch {
	case v.Kind() == reflect.String:
		return v.String(), nil
	case v.Kind() == reflect.Bool:
		return strconv.Itoa(map[bool]int{true: 1}[v.Bool()]), nil
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), nil
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), nil
	}
	return "", fmt.Errorf("%T is neither text nor a number", value)
}

// pythonNumber is float() of it, or int().
func pythonNumber(value any, whole bool) (float64, error) {
	v := reflect.ValueOf(value)
	switch {
	case v.Kind() == reflect.Bool:
		return float64(map[bool]int{true: 1}[v.Bool()]), nil
	case v.CanInt():
		return float64(v.Int()), nil
	case v.CanUint():
		return float64(v.Uint()), nil
	case v.CanFloat():
		if whole {
			return math.Trunc(v.Float()), nil
		}
		return v.Float(), nil
	case v.Kind() == reflect.String:
		text := strings.ReplaceAll(strings.TrimSpace(v.String()), "_", "")
		if whole {
			n, err := strconv.ParseInt(text, 10, 64)
			if err == nil {
				return float64(n), nil
			}
		} else if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f, nil
		}
		return 0, fmt.Errorf("%.40q is not a number", v.String())
	}
	return 0, fmt.Errorf("%T is not a number", value)
}

// count is an offset or a limit.
func count(value any) (int, error) {
	f, err := pythonNumber(value, true)
	if err != nil {
		return 0, err
	}
	if !(0 <= f && f <= math.MaxInt32) { // not a number is neither
		return 0, fmt.Errorf("%g is out of range: 0 to %d", f, math.MaxInt32)
	}
	return int(f), nil
}

// order is what entries are sorted by.
type order struct {
	compare func(a, b *row) int
	falling bool
}

var (
	byTime = order{compareNumbers("timestamp"), true}
	orders = map[string]func(a, b *row) int{
		"timestamp":     compareNumbers("timestamp"),
		"filesize":      compareNumbers("filesize"),
		"creation_time": compareNumbers("creation_time"),
		"title":         func(a, b *row) int { return strings.Compare(a.title, b.title) },
	}
)

func compareNumbers(key string) func(a, b *row) int {
	of := number(key)
	return func(a, b *row) int {
		switch x, y := of(a), of(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
}

// parseOrder takes the first of a list, as Sugar does, or the only one: + is
// falling there.
func parseOrder(value any) (order, error) {
	if list := elements(value); list != nil {
		if len(list) == 0 {
			return byTime, nil
		}
		value = list[0]
	}
	name, ok := value.(string)
	if !ok {
		return byTime, fmt.Errorf("%T is not the name of a property", value)
	}
	if name == "" {
		return byTime, nil
	}
	compare, ok := orders[name[1:]]
	if !ok || !slices.Contains([]byte("+-"), name[0]) {
		return byTime, nil
	}
	return order{compare, name[0] == '+'}, nil
}
