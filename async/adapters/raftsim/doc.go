// Package raftsim runs hashicorp/raft, as it is, on simulated hosts in virtual time: five
// nodes, messengers between them, partitions, crashes and slow disks, by a seed, and checks what
// Raft promises. It shows what async/asynctest/bubble can do with a library that knows nothing of
// it: Raft's goroutines, timers and channels are the real ones.
//
// # What is checked
//
//   - One leader a term: whoever sends AppendEntries in a term is its leader.
//   - Logs agree: what a node applies at an index, in any of its lives, is what all the
//     others apply there, after the same before it, and each index once.
//   - Nothing committed is lost: what Apply has acknowledged is there at its index, on
//     all nodes, in the end.
//   - It goes on: within a minute without faults something new is committed, and all nodes have it; and
//     each request has ended, by a reply or an error.
//
// Two mistakes can be planted (Mistake), which the checks have to find.
//
// Raft draws its election timeouts from math/rand, so a seed does not repeat a run: it
// gives the network, the disks and the faults, and Raft meets them differently each time.
package raftsim
