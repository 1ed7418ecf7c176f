package xapian

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// canonical is one way to write a query, for those that find the same and differ
// in nothing but nesting and order. Both ours and what Xapian describes become
// one of these.
//
// A leaf is written into its text. Chains of one operator are one node. And and
// AndNot are one node that has what must be there and, after "NOT", what must not.
type canonical struct {
	op   string // "" is a leaf
	text string
	subs []canonical
	not  []canonical
}

func leaf(text string) canonical { return canonical{text: text} }

func chain(op string, subs ...canonical) canonical {
	c := canonical{op: op}
	for _, s := range subs {
		if s.op == op && len(s.not) == 0 {
			c.subs = append(c.subs, s.subs...)
		} else {
			c.subs = append(c.subs, s)
		}
	}
	if len(c.subs) == 1 {
		return c.subs[0]
	}
	return c
}

func all(subs ...canonical) canonical {
	c := canonical{op: "AND"}
	for _, s := range subs {
		if s.op == "AND" {
			c.subs = append(c.subs, s.subs...)
			c.not = append(c.not, s.not...)
		} else {
			c.subs = append(c.subs, s)
		}
	}
	return c
}

func but(a canonical, not ...canonical) canonical {
	c := all(a)
	for _, n := range not {
		if n.op == "OR" {
			c.not = append(c.not, n.subs...)
		} else {
			c.not = append(c.not, n)
		}
	}
	return c
}

func (c canonical) String() string {
	if c.op == "" {
		return c.text
	}
	return c.op + "(" + sortedStrings(c.subs) + ifAny(" NOT ", sortedStrings(c.not)) + ")"
}

func sortedStrings(list []canonical) string {
	s := make([]string, len(list))
	for i, c := range list {
		s[i] = c.String()
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

func ifAny(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

// canonicalOf is for what Parse returns.
func canonicalOf(q *Query) canonical {
	var subs []canonical
	if q.Op != Phrase && q.Op != Near {
		for _, s := range q.Subs {
			subs = append(subs, canonicalOf(s))
		}
	}
	switch q.Op {
	case Term:
		return chain("OR", eachField(q.Fields, func(field string) canonical { return leaf(field + q.Text) })...)
	case Wildcard:
		return chain("OR", eachField(q.Fields, func(field string) canonical { return leaf(field + q.Text + "*") })...)
	case Phrase, Near:
		return positionalOf(q)
	case And:
		return all(subs...)
	case Or:
		return chain("OR", subs...)
	case Xor:
		return chain("XOR", subs...)
	case AndNot:
		return but(subs[0], subs[1:]...)
	}
	panic(fmt.Sprint("operator ", q.Op))
}

func positionalOf(q *Query) canonical {
	op := map[Op]string{Phrase: "PHRASE", Near: "NEAR"}[q.Op]
	if q.Fields == "" {
		var subs []canonical
		for _, s := range q.Subs {
			subs = append(subs, canonicalOf(s))
		}
		return windowed(op, q.Window, subs)
	}
	return chain("OR", eachField(q.Fields, func(field string) canonical {
		var subs []canonical
		for _, s := range q.Subs {
			subs = append(subs, leaf(field+s.Text))
		}
		return windowed(op, q.Window, subs)
	})...)
}

func eachField(fields string, f func(field string) canonical) []canonical {
	var list []canonical
	for _, field := range fields {
		list = append(list, f(string(field)))
	}
	return list
}

// windowed is a leaf: its parts are not to be sorted.
func windowed(op string, window int, subs []canonical) canonical {
	return leaf(fmt.Sprint(op, min(window, math.MaxInt32), subs))
}

// described reads Xapian's description of a query, "Query((Qa@1 OR Qb@2))".
func described(s string) canonical {
	inner := strings.TrimSuffix(strings.TrimPrefix(s, "Query("), ")")
	spaced := strings.NewReplacer("(", " ( ", ")", " ) ").Replace(inner)
	d := &description{words: strings.Fields(spaced)}
	c := d.query()
	if len(d.words) > 0 {
		panic(fmt.Sprintf("what is %q in %s", d.words, s))
	}
	return c
}

type description struct{ words []string }

func (d *description) take() string {
	w := d.words[0]
	d.words = d.words[1:]
	return w
}

func (d *description) query() canonical {
	switch w := d.take(); w {
	case "(":
		return d.operation()
	case "WILDCARD": // WILDCARD SYNONYM root, WILDCARD OR root
		d.take()
		return leaf(d.take() + "*")
	default:
		text, _, _ := strings.Cut(w, "@")
		return leaf(text)
	}
}

func (d *description) operation() canonical {
	subs := []canonical{d.query()}
	op, window := "", 0
	for {
		w := d.take()
		if w == ")" {
			break
		}
		op = w
		if op == "PHRASE" || op == "NEAR" {
			window, _ = strconv.Atoi(d.take())
		}
		subs = append(subs, d.query())
	}
	switch op {
	case "PHRASE", "NEAR":
		return windowed(op, window, subs)
	case "AND":
		return all(subs...)
	case "AND_NOT":
		return but(subs[0], subs[1:]...)
	case "AND_MAYBE":
		return subs[0]
	case "SYNONYM":
		op = "OR"
	}
	return chain(op, subs...)
}
