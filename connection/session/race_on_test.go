//go:build race

package session

// slow: the race detector makes everything some ten times slower.
var slow = 10
