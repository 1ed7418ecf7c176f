//go:build !race

package transfer

const race = false
