// Package simnet is a network that exists in one goroutine: hosts with event
// loops, byte streams between them, and a virtual clock. Each Host is an
// eventloop.Stack (and runs jobs, see Host.Submit), so that what runs on a real
// network runs here unchanged, and much faster than time passes.
//
// # Determinism
//
// The same seed and the same calls give the same trace, byte for byte, which
// Network.Hash shows. Whatever is left to chance (latencies, where a write or a
// read is split, which worker runs first, whether one is asleep) comes from the seed, with a generator
// of its own for each host and each link: a host more does not change what the
// others see.
//
// Nothing happens unless Step, Run or RunUntil is called; callbacks of all hosts
// run within these calls, on the caller's goroutine. Worker.Post, Host.Submit,
// Worker.Load and the clock may be used by any goroutine, as the contract has it
// (a run that depends on goroutines is not deterministic, of course); all else,
// Listen and Close included, belongs to the goroutine that runs the network, and
// with Config.Asleep so does what lends workers.
//
// Goroutines that block, and code that reads the system's clock, run on this network in
// a bubble of testing/synctest: package asynctest/bubble, by Config.Outside.
//
// # What is simulated
//
// A byte stream as TCP gives it: three-way connect, a window that makes writers
// wait, partial reads and writes, FIN, RST, half-open connections. Nothing is
// lost, doubled or out of order; what TCP repairs shows as delay: a packet that
// a rule stalls keeps everything behind it waiting until the rule is lifted. A
// round of a worker takes HostConfig.RoundTime, so that who never sleeps does not
// stop time.
package simnet
