// Package stacktest is the conformance suite for implementations of
// eventloop.Stack: Run checks the promises of the contract on a real network as
// well as on a simulated one, where time is virtual and nothing happens by
// itself.
//
// The tests never sleep and never look at a clock of their own. What they
// observe on workers is kept behind a mutex and awaited with Harness.Until.
// Random choices come from a seed that is printed when a test fails.
//
// Implementation: not for users of the library; may change in any release.
package stacktest
