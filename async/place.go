package async

import (
	"slices"

	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// placesOf returns the workers as what can run callbacks; nil for those that cannot, or
// must not.
func placesOf(cfg *Config) []dispatch.Place {
	places := make([]dispatch.Place, cfg.Stack.NumWorkers())
	if _, ours := cfg.Executor.(*dispatch.AntsPool); !ours || cfg.DispatchPlace == DispatchOnPool {
		return places
	}
	for i := range places {
		if a, ok := cfg.Stack.Worker(i).(eventloop.Asider); ok {
			places[i] = a
		}
	}
	return places
}

// placement is where the queue's callbacks run, if these are the workers.
func (c *Config) placement(places []dispatch.Place) dispatch.Placement {
	switch can := slices.ContainsFunc(places, func(p dispatch.Place) bool { return p != nil }); {
	case !can:
		return dispatch.OnPool
	case c.DispatchPlace == DispatchOnWorker:
		return dispatch.OnWorker
	default:
		return dispatch.Measured
	}
}
