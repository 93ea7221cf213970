// Command proof runs the tests of those whose transports the adapters take the place of:
// once as they are, and once with the adapter in that place.
//
// A third party's source is taken from the Go module cache, copied into a temporary
// folder, changed there by a few named edits (suites.go), tested and thrown away; none
// of it is in this repository. What an edit looks for and does not find is an error, so
// that a new version of the third party is noticed.
//
// # The rule
//
// No test may fail with the adapter that passes without it. A test that fails with the
// adapter is run again by itself, both ways: it counts if it fails each of 25 times with
// the adapter, and has passed twice in a row without. So a test that fails now and then, as
// many of raft's do where a goroutine may wait for a processor for 50 ms, never decides; how
// often it failed is said. The exit status is 1 if a test counts, 2 if the tests could not
// be run.
//
//	go run . [-suite raft] [-run TestName] [-keep] [-v]
package main
