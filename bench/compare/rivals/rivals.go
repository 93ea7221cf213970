// Package rivals has the contestants of the comparison, a file for each kind.
package rivals

import (
	"slices"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
)

// Reference is the contestant that the others are compared with.
const Reference = "threadpipe-goroutines"

// All returns the contestants.
func All() []workload.Contestant {
	all := []workload.Contestant{
		Async(true), Async(false),
		Threadpipe("threadpipe-goroutines", true, false, false), Threadpipe("threadpipe-queue", false, false, false),
		Threadpipe("threadpipe-threads", true, true, false), Threadpipe("threadpipe-batch", true, true, true),
	}
	all = append(all, notMessengers()...)
	for i := range all {
		all[i].Extra = slices.Contains([]string{"threadpipe-queue", "threadpipe-batch", "drpc-batch"}, all[i].Name)
	}
	return all
}
