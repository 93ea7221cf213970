// Package simulate runs whole systems of messengers in virtual time, on the
// simulated network of eventloop/simnet, breaks that network, and checks what the
// messenger promises. One goroutine runs one system, and its seed determines all
// of it: two runs with the same Config have the same trace and the same Hash.
//
// # The systems
//
//	gossip      every node knows ten others; rumours spread from node to node,
//	            and neighbours compare now and then what they know
//	store       clients write and read objects of which three servers keep
//	            copies; a write is acknowledged when two of them have it
//	fan-in      all nodes send as fast as they may to one, which is slow and
//	            holds them back with its throttles
//	storm       all nodes lose one server, again and again, and come back
//	swarm       a small random system for each seed, see asynctest
//	a file      a text scenario, see asynctest.Scenario
//
// The messengers are those of package async, unchanged: the same sessions,
// dispatch and policies as over real sockets.
//
// # The checks
//
// Each message carries the number it has in its flow (one connection and
// priority) and a checksum; [Result.Invariants] has the letters of what was
// checked:
//
//	L1, L2, Y1, C1, C2, C3, C4
//	    what package promise says; L1 of sessions both ends of which live, C4 of
//	    lossy ones
//	B1  what arrives is what was sent
//	R1  throttles are kept, and empty in the end
//	R2  no connection, socket or handshake is left
//	V1  when the last fault is over everything gets done in time
//	V2  and then there is rest: no session comes or goes
//	app what the system itself promises, such as: no acknowledged write is lost
//	sim not an invariant: the simulation itself could not go on
//
// They are judged while the system runs, with memory for flows and not for
// messages, so that thousands of nodes can be checked. The swarm is judged by the
// checkers of asynctest instead, which look at everything, the wire included.
package simulate
