package index

import "slices"

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
	for w := range words {
		first := slices.IndexFunc(words, func(o []string) bool { return slices.Equal(o, words[w]) })
		if need[first]++; first == w {
			for _, pos := range at[w] {
				all = append(all, occurrence{pos, w})
			}
		}
	}
	slices.SortFunc(all, func(a, b occurrence) int { return a.pos - b.pos })
	have, from := make([]int, len(words)), 0
	for _, p := range all {
		have[p.word]++
		for p.pos-all[from].pos >= window {
			have[all[from].word]--
			from++
		}
		enough := true
		for w := range need {
			enough = enough && have[w] >= need[w]
		}
		if enough {
			return true
		}
	}
	return false
}
