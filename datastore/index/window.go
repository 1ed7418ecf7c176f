package index

import (
	"slices"
	"strings"
)

// inOrder tells whether one of each of the positions can be chosen so that they
// rise, within a window.
func inOrder(words [][]int, window int) bool {
	rest := slices.Clone(words)
	for _, first := range words[0] {
		last := first
		for w := 1; w < len(rest); w++ {
			for len(rest[w]) > 0 && rest[w][0] <= last {
				rest[w] = rest[w][1:]
			}
			if len(rest[w]) == 0 {
				return false
			}
			last = rest[w][0]
		}
		if last-first < window {
			return true
		}
	}
	return false
}

// together tells whether one of each of the positions can be chosen within a
// window, none of them twice.
func together(words [][]string, at [][]int, window int) bool {
	type occurrence struct{ pos, word int }
	var all []occurrence
	need := make([]int, len(words)) // how often a word is among the words
	firsts := map[string]int{}
	for w := range words {
		key := strings.Join(words[w], "\x00")
		first, again := firsts[key]
		if !again {
			first, firsts[key] = w, w
		}
		if need[first]++; first == w {
			for _, pos := range at[w] {
				all = append(all, occurrence{pos, w})
			}
		}
	}
	slices.SortFunc(all, func(a, b occurrence) int { return a.pos - b.pos })
	have, from, lacking := make([]int, len(words)), 0, len(firsts)
	for _, p := range all {
		if have[p.word]++; have[p.word] == need[p.word] {
			lacking--
		}
		for ; p.pos-all[from].pos >= window; from++ {
			if w := all[from].word; have[w] == need[w] {
				lacking++
			}
			have[all[from].word]--
		}
		if lacking == 0 {
			return true
		}
	}
	return false
}
