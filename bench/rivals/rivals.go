// Package rivals has the contestants of the comparison, a file for each kind.
package rivals

import "github.com/asyncmsgr/asyncmsgr/bench/workload"

// Reference is the contestant that the others are compared with.
const Reference = "threadpipe-goroutines"

// All returns the contestants.
func All() []workload.Contestant {
	all := []workload.Contestant{
		Async(true), Async(false),
		Threadpipe("threadpipe-goroutines", true, false, false), Threadpipe("threadpipe-queue", false, false, false),
		Threadpipe("threadpipe-threads", true, true, false), Threadpipe("threadpipe-batch", true, true, true),
		GRPC(), DRPC(), NetRPC(), NATS(),
		RawNet(), RawNetpoll(),
	}
	for i := range all {
		all[i].Extra = all[i].Name == "threadpipe-queue" || all[i].Name == "threadpipe-batch"
	}
	return all
}
