// Package bubble runs ordinary goroutines on the simulated network: a test inside of a
// bubble of testing/synctest, whose clock is the network's as well. What sleeps, blocks and
// waits for other goroutines works as it does in a program, and an hour passes in the time
// that its work takes.
//
//	bubble.Test(t, seed, simnet.Config{}, func(t *testing.T, w *bubble.World) {
//		a, b := w.Host("a", simnet.HostConfig{}), w.Host("b", simnet.HostConfig{})
//		// async.Config{Stack: a, Executor: a, Rand: a.Rand}: Bind, SendContext, Flush,
//		// Drain, Shutdown, and dispatchers that block.
//	})
//
// Package asynctest is the other kit: everything in the test's goroutine, nothing that
// blocks, several times faster, and repeatable to the last byte. What can be written for it
// is better written for it. This one is for code that has goroutines of its own: libraries
// that are not ours above all.
//
// # Who runs what
//
// A goroutine of the package, the driver, runs the network, as follows. It waits until all
// other goroutines of the bubble are blocked; it lets one event of the network happen, or
// one goroutine have its turn (Do); and again, until nothing is due. Then it sleeps until
// the next event, and the clock of the bubble moves to whatever comes first, that or a timer
// of some goroutine. At one instant goroutines go first, the network after them.
//
// Callbacks of workers (fast dispatch, Notify) run on the driver and must not block, as
// everywhere. Jobs of a host's executor (Dispatch, events) are a goroutine each, which
// begins between two events and may block as it likes.
//
// World.Net belongs to the driver: use it within Do, whose function has the network to
// itself. The methods of World and Host, and those of a messenger, may be called by any
// goroutine of the bubble. A goroutine of a bubble must not call synctest.Wait, which one
// alone can: the driver does, and World.Wait is there instead.
//
// A messenger needs all three of Stack, Executor and Rand of its host. Without an Executor
// it would use the pool that all messengers of the process share, whose goroutines are in no
// bubble.
//
// Mutexes are the weak spot of testing/synctest: who waits for one is not taken for blocked,
// because it may be held outside. If its owner sleeps meanwhile, or waits for the
// network, time stands still, for ever. Concurrent calls of Messenger.Bind that wait for
// an address in use are an example. When the deadline of go test is near, it is said what
// hangs.
//
// # What is repeatable
//
// The network is: latencies, split writes, the order of events and of jobs, Host.Rand's
// numbers come from the seed. The same things done to it at the same times give the same
// Hash.
//
// What goroutines do is not the seed's: the order in which those run that are ready at the
// same time, which case a select takes of several that are ready, the order of a map,
// math/rand's global functions, crypto/rand, the order of timers that end at the same
// instant, addresses in memory. A system that has such chance in it, as raft's election
// timeouts, runs differently with the same seed, and a failure may need several tries.
//
// To get nearer: GOMAXPROCS=1, by runtime.GOMAXPROCS(1) in the test or the environment. With
// more processors, a goroutine that an event wakes runs at the same time as the rest of that event, which
// may take notice of what it does or not; with one it runs after it, and those that are ready run in
// the order in which they became so. (The runtime takes the processor from a goroutine after 10 ms all
// the same.) Then, no two timers that end at the same instant, by a few nanoseconds more for one of
// them; each connection used by one goroutine at a time; and a seam for the system's chance, to
// which Host.Rand is given. Systems of messengers that keep to this had the same Hash in 20 of 20 runs
// (TestRepeats). For others, run a seed twice and compare.
//
// # What fails, and how it is told
//
// Every failure names the seed, the virtual time, the goroutines of the bubble that are
// left, by their stacks, and the sockets of the network:
//
//   - Deadlock: nothing ended the test within Limit of virtual time (a day), or all
//     goroutines wait for each other.
//   - Goroutines that are left, a minute of virtual time after the test has ended and its
//     hosts have been closed.
//   - A panic of the test, on a goroutine of World.Go, Host.Go or an executor, in a callback or a rule. A
//     panic on a goroutine that was started otherwise ends the program, as always; the seed
//     is then in what go test -v had printed before.
//   - A callback that ends the driver's goroutine (runtime.Goexit, as t.FailNow does).
//
// Such a failure ends the world: contexts of hosts are cancelled, and whoever calls World
// or waits there ends by runtime.Goexit (the test by FailNow). If goroutines go on for ten seconds of real time all the
// same, the program panics, because nothing can end them. Otherwise those that are left
// stay as they are, blocked, and the next test runs.
package bubble
