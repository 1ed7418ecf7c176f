package xapian

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// What is asked of both, beside what chance makes. Each with AND, brackets or a
// field's brackets around it, too.
var knownQueries = []string{
	"", " ", "a", "Ñandú", "casa perro gato", "a b AND c d", "a AND b OR c XOR d NOT e", "a OR b AND c", "a XOR b AND NOT c",
	"a NOT b NOT c AND d NOT e AND f", "a AND (b NOT c)", "(a NOT b) AND c", "a AND -b c", "a AND NOT b c", "a OR -b", "a XOR -b", "a NOT -b",
	"a AND NOT -b", "a AND + b", "a AND +b c", "a OR +b c",
	"+a b -c", "+a +b c d", "-a", "-a -b", "a -b -c", "a - b", "a -b c", "a b -c d e", "+(a b) -(c d)", "+-a", "+ a", "(+a)", "(-a)", "a OR (-b)", "a +", "a -",
	"-a AND b", "a AND (b", "a)", "(a", "((a b) c", ")", "(", "()", "( )", "()a", "a()", "a ()", "a(b)", "a (b)", "(a)(b)", "+(a)-(b)", "(a)b",
	"\"a b\"", "\"a", "\"", "\"\"", "\"\"a\"\"", "\"a b\" c", "\"a-b c\"", "\"-\"", "\"-", "\"AND\"", "\"a AND b\"", "\"a* b\"", "“a b”", "\"a (b) c\"", "a\"b c\"d", "-\"a b\" c",
	"uid:a", "uid:a b", "uid:a-b c", "uid:a.b@c", "uid:\"a b\"", "uid:\"a b", "uid:\"a", "uid:\"\"", "uid:(a b)", "uid:(a activity:b c) d", "uid:(a OR (b c))", "uid:(",
	"uid:()", "uid:", "uid: a", "uid:)", "uid::a", "uid:.a", "uid:/usr/local", "uid:...", "uid:*", "uid:AND", "uid:a*", "uid:A.B.C", "title:a", "UID:a", "xuid:a",
	"uid:\"a b\" c", "uid:(a \"b c\") d", "uid:+a", "uid:-a", "-uid:a b", "+uid:(a b) c", "a uid:b c", "a uid:b-c d", "uid:a uid:b", "mime_type:image/png", "keep:1 AND a*",
	"activity_id:x activity:x project_id:x", "uid:“a b”",
	"a*", "a* b", "a b*", "a b c* d", "a*b", "a**", "*", "*a", "\"a*\"", "a-b*", "a+*", "A.B.*", "AND*", "-a* b", "uid:a*b",
	"a NEAR b", "a NEAR/3 b", "a NEAR/0 b", "a NEAR/x b", "a NEAR/3x b", "a NEAR/3 b NEAR c NEAR/5 d", "a ADJ b", "a ADJ/2 b ADJ/7 c", "a NEAR b ADJ c", "a NEAR b c", "a b NEAR c",
	"a NEAR b-c", "a-b NEAR c", "a NEAR", "NEAR a", "NEAR", "a NEAR b*", "a NEAR (b)", "a NEAR \"b\"", "+a NEAR b", "a NEAR +b", "uid:a NEAR b", "uid:a NEAR uid:b", "uid:(a NEAR b)",
	"a NEAR b AND c NEAR d", "a NEAR/4294967296 b", "a NEAR/4294967295 b", "a NEAR/4294967295 b NEAR c", "a NEAR/4294967294 b NEAR c", "a NEAR/18446744073709551617 b",
	"a NEAR/2147483647 b", "a ADJ/4294967293 b",
	"AND", "OR", "NOT", "a AND", "AND a", "a AND AND b", "a OR AND b", "a AND OR b", "NOT a", "a NOT", "NOT NOT a", "a AND NOT", "OR NOT", "a OR) b", "(a OR) b", "(OR a", "OR a)", "OR (+)",
	"OR a NEAR b c", "OR +a b NEAR c ADJ d", "OR +a ADJ b NEAR c", "OR a b ADJ c", "OR -a", "OR -a b c NEAR d", "AND NEAR", "a AND NEAR b", "a OR NEAR b", "(+) AND", "a AND (+) OR",
	"and or not", "A.N.D b", "a A\u200bND b", "a AND: b", "a AND.b", "a-AND-b", "AND-a", "NEAR-a", "a AND* b", "AND+ a", "AND' a", "AND's a", "a 'AND' b",
	"a.b.c", "a..b", "a. b", "a b. c", "a b.c d", "a b . c", "a-", "-a-", "a--b", "a@b.c d", "a:b", "a: b", "a/b\\c", "a_b", "a-+b", "a-(b)", "a.(b)",
	"C++ c# a+b a++++ a+++", "a+", "a #b", "+C++ -c#", "AT&T l’été it''s", "1,5 1.5 1;5", "U.N.C.L.E. P.T.O b", "A.B.c",
	"∀(a b)", "∨(a b) c", "∩-a", "∫(a", "★(a b)", "\x00(a b)\x00-c", "\u00a0-a\u3000+b", "a\u200b-b", "a★b c", "a\xe9 \xff-b", "\xed\xa0\xa8(a b)", "\xed\xa0\xa9(a b)",
	"~a b", "a ~b", "~", "+~a", "a\tAND\nb", "a\x00AND\x7fb",
	strings.Repeat("x", 70) + " " + strings.Repeat("é", 40) + "*",
}

// wrapped puts a query where it stands in another one.
var wrapped = []string{"%", "(%)", "uid:(%)", "z AND %", "% AND z", "z %", "% z", "OR %", "% OR", "+%", "-%", "\"%\"", "keep:\"%", "(% OR z", "z -%", "%*", "z NEAR %", "% -z"}

// compareQueries asks about n queries.
func compareQueries(t *testing.T, n int, generate func(i int) string) {
	t.Helper()
	differ, proper := 0, 0
	askEach(t, n, generate, askQuery, func(text string, a answer) {
		want := "nothing"
		if a.Tree != "" && a.Tree != "Query()" {
			want = described(a.Tree).String()
			proper++
		}
		got := "nothing"
		q, err := Parse(text)
		if err == nil {
			got = canonicalOf(q).String()
		}
		switch {
		case got != want:
			if differ++; differ <= 20 {
				t.Errorf("%q is\n     %s (%v)\nwant %s (%s)", text, got, err, want, a.Error)
			}
		case errors.Is(err, ErrEmpty) != (a.Tree == "Query()"):
			t.Errorf("%q: %v, %q", text, err, a.Tree)
		}
	})
	if differ > 20 {
		t.Errorf("%d of %d differ", differ, n)
	}
	t.Logf("%d of %d find something", proper, n)
}

func TestKnownQueries(t *testing.T) {
	compareQueries(t, len(knownQueries)*len(wrapped), func(i int) string {
		return strings.ReplaceAll(wrapped[i%len(wrapped)], "%", knownQueries[i/len(wrapped)])
	})
}

func TestSomeQueries(t *testing.T) {
	r := random()
	compareQueries(t, cases(50000), func(int) string { return someQuery(r) })
}

// Every sequence of up to three, or as many as -cases allows, of the things that
// a query is made of.
func TestAllShortQueries(t *testing.T) {
	things := []string{"a", "uid:b", "c*", "d-e", "+", "-", "AND", "OR", "XOR", "NOT", "NEAR", "ADJ", "(", ")", "\"", "keep:(", "keep:\""}
	compareQueries(t, cases(len(things)*len(things)*len(things)), func(i int) string {
		var s []string
		for ; i > 0; i /= len(things) {
			s = append(s, things[i%len(things)])
		}
		// A sign has something right behind it.
		return strings.NewReplacer("+ ", "+", "- ", "-").Replace(strings.Join(s, " "))
	})
}

func TestLongQueries(t *testing.T) {
	const length = 1 << 17
	for _, c := range []struct {
		part string
		want error
	}{
		{"a ", nil}, {"a* ", nil}, {"a AND ", ErrSyntax}, {"a AND b NOT ", ErrSyntax}, {"a AND b NOT c OR ", ErrSyntax}, {"a NOT ", ErrSyntax}, {"+a ", nil}, {"-a b ", nil}, {"a-", nil},
		{"a NEAR ", nil}, {"\"a\" ", nil}, {"\"a b", nil}, {"(", ErrTooDeep}, {"(a ", ErrTooDeep}, {"uid:(a ", ErrTooDeep}, {"(a) ", nil}, {"(a OR ", ErrTooDeep}, {") ", ErrEmpty},
		{"A.", nil}, {"A.b", nil}, {"A.A.A.A", nil}, {"a+", nil}, {"NEAR/1", nil}, {"1", nil}, {"uid:", nil}, {"uid:.", nil}, {"uid:a", nil}, {"é", nil}, {"\xe9", nil},
		{"a . ", nil}, {"a.. ", nil}, {" ", ErrEmpty}, {"-", ErrEmpty}, {"\"", ErrEmpty}, {"a AND (b) OR ", ErrSyntax}, {"AND ", ErrSyntax}, {"a XOR ", ErrSyntax}, {"'", ErrEmpty},
	} {
		text := strings.Repeat(c.part, length/len(c.part))
		for _, text := range []string{text, text + "z", "z AND " + text} {
			q, err := Parse(text)
			if q == nil == (err == nil) {
				t.Errorf("%q…: %v, %v", c.part, q, err)
			}
			if err == nil && depth(q) > 4 {
				t.Errorf("%q…: %d deep", c.part, depth(q))
			}
		}
		if _, err := Parse(text); !errors.Is(err, c.want) {
			t.Errorf("%q…: %v, want %v", c.part, err, c.want)
		}
	}
}

// A million characters, and the memory that becomes of them.
func TestLongestQueries(t *testing.T) {
	for _, part := range []string{"ab Cd* ", "a ", "a-", "A.", "a NEAR ", "a AND b NOT (c OR d) XOR "} {
		text := strings.Repeat(part, 1<<20/len(part)) + "z"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		q, err := Parse(text)
		must(t, err)
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 80 {
			t.Errorf("a query of %q takes %d MB", part, got)
		} else {
			t.Logf("a query of %q takes %d MB", part, got)
		}
		runtime.KeepAlive(q)
	}
}

func TestDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("(a OR ", n) + "b" + strings.Repeat(")", n) }
	if q, err := Parse(nested(MaxDepth)); err != nil || depth(q) != MaxDepth+1 {
		t.Errorf("%d brackets: %v", MaxDepth, err)
	}
	if _, err := Parse(nested(MaxDepth + 1)); !errors.Is(err, ErrTooDeep) {
		t.Errorf("%d brackets: %v", MaxDepth+1, err)
	}
}

func depth(q *Query) int {
	deepest := 0
	for _, s := range q.Subs {
		deepest = max(deepest, depth(s))
	}
	return deepest + 1
}

// check says what is wrong with a query's form.
func check(t *testing.T, q *Query) {
	leaf := q.Op == Term || q.Op == Wildcard
	positional := q.Op == Phrase || q.Op == Near
	switch {
	case leaf && (q.Text == "" || len(q.Subs) > 0), !leaf && len(q.Subs) < 2,
		!leaf && q.Text != "", !leaf && !positional && q.Fields != "",
		positional == (q.Window == 0), q.Window < 0, q.Op > AndNot:
		t.Errorf("%+v", q)
	}
	for _, s := range q.Subs {
		if positional && (s.Op != Term || (s.Fields == "") != (q.Fields != "")) {
			t.Errorf("%+v in %+v", s, q)
		}
		if !positional && (s.Op == Term || s.Op == Wildcard) && s.Fields == "" {
			t.Errorf("%+v has no fields", s)
		}
		check(t, s)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range slices.Concat(knownQueries, wrapped, queryPieces) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		if err != nil {
			if q != nil || !(errors.Is(err, ErrEmpty) || errors.Is(err, ErrSyntax) || errors.Is(err, ErrTooDeep)) {
				t.Errorf("%v, %v", q, err)
			}
			return
		}
		check(t, q)
		if d := depth(q); d > 4*(MaxDepth+1) {
			t.Errorf("%d deep", d)
		}
	})
}
