//go:build !race

package session

// slow is how much less is searched: with -short, a fifth.
var slow = 1
