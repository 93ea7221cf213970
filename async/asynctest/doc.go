// Package asynctest tests systems built on messengers: a Cluster is a number of
// messengers on a simulated network (package simnet) in virtual time, all of it
// in the test's goroutine and determined by a seed. A Recorder on each node sees
// what arrives, and checkers say whether the promises of the messenger were kept.
//
// A test sets a cluster up, has it send, breaks things, waits in virtual time
// with Run and Until, and checks. A failure prints the seed; the same seed runs
// the same again, to the last byte.
//
// With Options.History a cluster writes down all that happens, and Checkers judge it
// by the promises of the messenger. Scenario runs what a text says. RunSwarm makes a
// random system from a seed, breaks it in many ways and judges it; RunCampaign does
// so for many seeds. Try lets programs that are no tests use all this.
//
// The messengers log nothing unless Options.Config gives them a Logger: the cluster
// keeps the last lines of each node, and shows warnings and errors of all when the test
// fails. A panic of a callback fails the test, unless Cluster.PlanPanic announced it.
//
// What blocks for other goroutines must not be called in a simulation, because
// there are none: Messenger.Shutdown and Wait (the cluster shuts down by itself
// at the end of the test), Connection.SendContext on a full queue.
package asynctest
