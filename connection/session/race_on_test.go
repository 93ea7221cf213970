//go:build race

package session

// slow: the race detector makes everything some ten times slower.
const slow = 10
