package xapian

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// entry is an entry's positions, by field and term.
type entry map[string][]int

func entryOf(properties []property) entry {
	e := entry{}
	position := 0
	for _, p := range properties {
		Terms(string(p.Value), func(term []byte) {
			position++
			key := p.Field + string(term)
			e[key] = append(e[key], position)
		})
		position += 100
	}
	return e
}

// found is what query.go says of each operator, taken by the word.
func (e entry) found(q *Query) bool {
	count := 0
	for i, s := range q.Subs {
		if q.Op != Phrase && q.Op != Near && e.found(s) {
			if count++; q.Op == AndNot && i > 0 {
				return false
			}
		}
	}
	switch q.Op {
	case Term:
		return len(e.positions(q.Text, q.Fields)) > 0
	case Wildcard:
		for key := range e {
			if strings.Contains(q.Fields, key[:1]) && strings.HasPrefix(key[1:], q.Text) {
				return true
			}
		}
		return false
	case Phrase, Near:
		return e.positional(q)
	case And:
		return count == len(q.Subs)
	case Xor:
		return count%2 == 1
	}
	return count > 0
}

func (e entry) positions(term, fields string) []int {
	var all []int
	for _, f := range fields {
		all = append(all, e[string(f)+term]...)
	}
	return all
}

func (e entry) positional(q *Query) bool {
	if q.Fields == "" {
		return e.within(q, "", nil)
	}
	for _, f := range q.Fields {
		if e.within(q, string(f), nil) {
			return true
		}
	}
	return false
}

// within chooses a position for each sub, all ways there are.
func (e entry) within(q *Query, field string, chosen []int) bool {
	if len(chosen) == len(q.Subs) {
		return len(chosen) == 0 || slices.Max(chosen)-slices.Min(chosen) < q.Window
	}
	next := q.Subs[len(chosen)]
	for _, p := range e.positions(next.Text, field+next.Fields) {
		if slices.Contains(chosen, p) || q.Op == Phrase && len(chosen) > 0 && p < chosen[len(chosen)-1] {
			continue
		}
		if e.within(q, field, append(chosen, p)) {
			return true
		}
	}
	return false
}

// What Parse makes finds the same entries as what Xapian makes of it, although
// some of it was left out or put together.
func TestMeaning(t *testing.T) {
	const entries, queries = 60, 100
	r := random()
	type round struct {
		entries []entry
		queries []string
	}
	rounds := make(chan round, 1<<10)
	askXapian(t, func(ask func(question)) {
		defer close(rounds)
		for range cases(50) {
			var q question
			var now round
			for range entries {
				properties := someProperties(r)
				q.Entries = append(q.Entries, properties)
				now.entries = append(now.entries, entryOf(properties))
			}
			for range queries {
				s := smallQuery(r, 2)
				q.Queries = append(q.Queries, []byte(s))
				now.queries = append(now.queries, s)
			}
			ask(q)
			rounds <- now
		}
	}, func(a answer) {
		now := <-rounds
		for i, s := range now.queries {
			var got []int
			if q, err := Parse(s); err == nil {
				for n, e := range now.entries {
					if e.found(q) {
						got = append(got, n)
					}
				}
			}
			if !slices.Equal(got, a.Found[i]) {
				t.Errorf("%q finds %d, want %d", s, got, a.Found[i])
			}
		}
	})
}

// The words are so few that most queries find something and not all.
var fewWords = []string{"a", "b", "c", "d", "ab", "abc", "Dé", "a+"}

func someProperties(r *rand.Rand) []property {
	list := []property{}
	for _, field := range []string{"Q", "A", "I", "M", "K", "P", "N", "N", "N"} {
		if r.IntN(2) == 0 {
			words := make([]string, r.IntN(5))
			for i := range words {
				words[i] = pick(r, fewWords)
			}
			list = append(list, property{field, []byte(strings.Join(words, pick(r, []string{" ", "-", ", "})))})
		}
	}
	return list
}

func smallQuery(r *rand.Rand, depth int) string {
	field := func() string { return pick(r, []string{"", "", "", "uid:", "keep:", "activity:"}) }
	word := func() string { return field() + pick(r, fewWords) }
	inner := func() string { return smallQuery(r, depth-1) }
	if depth == 0 {
		return word() + pick(r, []string{"", "", "", "*"})
	}
	switch r.IntN(9) {
	case 0:
		return pick(r, []string{"", "uid:", "mime_type:"}) + "(" + inner() + ")"
	case 1:
		return pick(r, []string{"", "uid:"}) + "\"" + pick(r, fewWords) + " " + pick(r, fewWords) + "\""
	case 2:
		// Where one word stands in two fields that overlap, as in a NEAR b NEAR uid:a,
		// Xapian itself overlooks some entries.
		op := pick(r, []string{" NEAR ", " ADJ ", " NEAR/2 ", " ADJ/2 ", " NEAR/3 ", " NEAR/150 ", " ADJ/300 "})
		if r.IntN(3) == 0 {
			a, b, c := pick(r, fewWords), pick(r, fewWords), pick(r, fewWords)
			return a + op + b + op + c
		}
		i := r.Perm(len(fewWords))
		return field() + fewWords[i[0]] + op + field() + fewWords[i[1]] + pick(r, []string{"", op + field() + fewWords[i[2]]})
	case 3:
		return pick(r, []string{"", "+", "-"}) + word() + " " + pick(r, []string{"", "+", "-"}) + word() + " " + inner()
	case 4:
		return pick(r, fewWords) + "-" + pick(r, fewWords)
	}
	return inner() + pick(r, []string{" AND ", " OR ", " XOR ", " NOT ", " AND NOT ", " AND -", " ", " +", " -"}) + inner()
}
