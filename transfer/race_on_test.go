//go:build race

package transfer

// race: the race detector takes memory of its own.
const race = true
