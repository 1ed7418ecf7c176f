package wire

import "testing"

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 9951: "10 kB", 999_499: "999 kB", 999_600: "1.0 MB", 12_345_678: "12 MB", 1 << 40: "1.1 TB", 1<<64 - 1: "18 EB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) is %s, not %s", n, got, want)
		}
	}
}
