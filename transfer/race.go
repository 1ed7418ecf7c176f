//go:build race

package transfer

// The race detector keeps a program for a second when it wants to exit: with a
// child or two a transfer, that was most of the time that the tests took.
func init() { childEnv = append(childEnv, "GORACE=atexit_sleep_ms=0") }
