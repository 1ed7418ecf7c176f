package index

// first are the n smallest of all, in no order, in time that hardly depends on n:
// somebody who types looks at twenty of thousands. It moves all about.
func first[E any](all []E, n int, compare func(a, b E) int) []E {
	if n > len(all)/4 {
		return all // to sort these is as good
	}
	if n == 0 {
		return nil
	}
	heap := all[:n] // the largest is first
	for i := n/2 - 1; i >= 0; i-- {
		sink(heap, i, compare)
	}
	for i := n; i < len(all); i++ {
		if compare(all[i], heap[0]) < 0 {
			heap[0], all[i] = all[i], heap[0]
			sink(heap, 0, compare)
		}
	}
	return heap
}

// sink puts the element at i into its place below.
func sink[E any](heap []E, i int, compare func(a, b E) int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && compare(heap[child+1], heap[child]) > 0 {
			child++
		}
		if compare(heap[child], heap[i]) <= 0 {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
